"""The official SDK as the tests use it: its calls, read from the SDK itself; a client that signs or that
sends a token; and whether an answer has all that the SDK's models say, for calls that only the SDK
documents."""

import json
import re

import huaweicloudsdkddm.v1 as ddm
from document import find
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.signer.signer import Signer

WAYS = ["signature", "token"]
TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool, "object": object, "datetime": str}

# Calls that were made, with how their caller was known.
CALLED = set()

# Calls that are being built: they may have a route or none, and need not be called yet.
PENDING = set()

# Calls without a route, and why.
NO_ROUTE = {
    "changing the shards of a schema is not served": [
        "cancel_migration", "change_strategy", "check_migrate_logic_db", "check_preliminary_results", "clean_migration",
        "list_available_rds_for_migrate", "migrate_logic_db", "migrate_results", "retry_migration", "rollback_migration",
        "show_migration_log", "switch_route", "unbind_logic_db"],
    "there are no public addresses": ["bind_eip", "modify_eip", "show_public_ip", "unbind_eip"],
    "there is one version, and it changes with the program": [
        "change_database_version", "list_api_version", "list_database_available_versions", "roll_back_database_version"],
    "sessions are seen and ended with SHOW PROCESSLIST and KILL": [
        "execute_kill_logical_processes", "execute_kill_physical_processes", "show_logical_processes",
        "show_physical_processes", "show_processes_audit_log"],
    "the SQL blacklist is not served": ["list_sql_black", "modify_sql_black_list"],
    "backups hold metadata; data are the data nodes' own": ["restore2_exist"],
    "TLS is always offered, ports are chosen at the start, and writing is a matter of permissions and groups": [
        "set_read_only_status", "switch_ssl", "update_instance_port"],
    "nodes keep no logs of transactions: data nodes do": ["move_tmlog_files", "show_tmlog_infos"],
    "monitoring is the metrics of nodes": ["list_read_write_ratio", "show_risk_info"],
}

# Fields of the SDK's models that an answer may lack, and why.
LACKING = {field: why for why, fields in {
    "only orders have one": [f"{answer}.order_id" for answer in (
        "BatchDeleteNodesResponse", "CreateGroupResponse", "DeleteGroupResponse", "DeleteNodesResponse",
        "ExpandDdmInstanceNodesResponse", "CustomerInstanceVO", "InstanceDetail")],
    "there is nothing like it here": [
        "CustomerInstanceVO.description", "CustomerInstanceVO.maintenance_time", "CustomerInstanceVO.tags",
        "GroupInfo.ipv6_endpoint", "DdmGroupInfo.ipv6_endpoint", "DdmGroupInfo.extend_map", "DdmNodeInfo.actions",
        "InstanceDetail.alias", "InstanceDetail.cluster_mode", "InstanceDetail.bpdomain_id", "InstanceDetail.user_id",
        "InstanceDetail.public_ip", "InstanceDetail.extend_map", "InstanceDetail.tags_info",
        "InstanceDetail.eip_binding_info"],
    "only some instances have it": [
        "CustomerInstanceVO.admin_user_name", "CustomerInstanceVO.error_msg", "InstanceDetail.create_fail_error_code", "InstanceDetail.delete_at",
        "InstanceDetail.frozen_time", "InstanceDetail.period"],
    "a data node does not tell its size": ["DataNodes.mem", "DataNodes.cpu"],
    "the SDK names no field of this answer": ["DeleteDdmInstanceResponse.body"],
}.items() for field in fields}


def request_of(method):
    """The class of a call's request."""
    return getattr(ddm, "".join(word.capitalize() for word in method.split("_")) + "Request")


def calls():
    """Every call of the SDK: its name, and the method and path that it uses."""
    names = [name for name in vars(ddm.DdmClient) if re.fullmatch(r"_\w+_http_info", name)]
    made = {name[1:-len("_http_info")]: getattr(ddm.DdmClient, name) for name in names}
    found = {}
    for name, info in made.items():
        info = info(request_of(name)())
        found[name] = f"{info['method']} {info['resource_path']}"
    return found


def client(system, way):
    """The SDK's client; it knows signatures only, so a token takes the place of the signature."""
    if way == "signature":
        return system.sdk()
    from caller import Caller

    ends = system.endpoints
    config = HttpConfig.get_default_config()
    config.ssl_ca_cert, config.timeout = ends["ca_file"], (5, 60)
    credentials = BasicCredentials("nobody", "nothing", ends["project_id"])
    token = Caller(ends).token

    def with_token(request):
        request.header_params["X-Auth-Token"] = token
        Signer.process_request_uri(request)
        assert "Authorization" not in request.header_params
        return request

    credentials.sign_request = with_token
    return (ddm.DdmClient.new_builder().with_http_config(config).with_credentials(credentials)
            .with_endpoint(ends["api"]).build())


def call(client, way, method, **fields):
    """One call; its answer and body, which is one that the declared API has."""
    operation = find(calls()[method])
    answer = getattr(client, method)(request_of(method)(**fields))
    body = json.loads(answer.raw_content) if answer.raw_content.strip() else None
    assert answer.status_code == operation.success, (method, answer)
    CALLED.add((method, way))
    return answer, body


def lacking(model, body, at=""):
    """What the SDK's model has and the body has not, or not of that type."""
    wrong = []
    for attribute, name in model.attribute_map.items():
        place = f"{at}.{name}" if at else name
        if name not in body:
            if f"{model.__name__}.{name}" not in LACKING:
                wrong.append(f"{place}: missing")
        elif body[name] is not None:
            wrong += of_type(model.openapi_types[attribute], body[name], place)
    return wrong


def of_type(wanted, value, at):
    """What is wrong about a value of a type as the SDK writes it."""
    inner = re.fullmatch(r"list\[(.*)\]", wanted)
    if inner:
        rows = value if isinstance(value, list) else [value]
        wrong = [] if isinstance(value, list) else [f"{at}: no list: {value!r}"]
        return wrong + [one for row in rows for one in of_type(inner.group(1), row, at)]
    inner = re.fullmatch(r"dict\(str, (.*)\)", wanted)
    if inner:
        return [one for row in value.values() for one in of_type(inner.group(1), row, at)]
    if wanted in TYPES:
        fits = isinstance(value, TYPES[wanted]) and (wanted in ("bool", "object") or not isinstance(value, bool))
        return [] if fits else [f"{at}: {value!r} is no {wanted}"]
    return lacking(getattr(ddm, wanted), value, at)
