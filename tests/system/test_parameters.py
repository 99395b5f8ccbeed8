"""Instance parameters and parameter templates: every call of the official SDK, and that a change is in
force on every node when the instance is RUNNING again."""

import json
import os
import signal
import time

import pymysql
import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkddm.v1 import (
    CompareParameterGroupsRequest, ConfigurationCopyReqV3, ConfigurationDiffReqV3, ConfigurationUpdateReqV3,
    CopyConfigurationRequest, CreateConfigurationRequest, CreateDdmConfigurationsRequest,
    DeleteConfigurationRequest, ListConfigurationApplyHistoriesRequest, ListDdmConfigurationsRequest,
    ListInstancesConfigurationsRequest, ModifyConfigurationRequest, ParaGroupUpdate, ResetParameterGroupRequest,
    ShowConfigurationRequest, ShowInstanceParamRequest, UpdateInstanceParamRequest, UpdateParametersReq,
    UpdateParametersReqValues,
)
from system import connect, rows

SECONDS = 20


@pytest.fixture(scope="module")
def client(demo):
    return demo.sdk()


@pytest.fixture(scope="module")
def instance(demo):
    return demo.endpoints["demo"]["instance_id"]


@pytest.fixture
def defaults(demo, client, instance):
    """Afterwards all parameters of the demo have their defaults again."""
    yield
    wait_running(demo)
    first = client.list_ddm_configurations(ListDdmConfigurationsRequest()).configurations[0]
    apply(demo, first.id, [instance])
    wait_running(demo)


def refused(call, *arguments):
    with pytest.raises(ClientRequestException) as error:
        call(*arguments)
    return error.value.status_code, error.value.error_code, error.value.error_msg


def listed(client, instance, **more):
    return client.show_instance_param(ShowInstanceParamRequest(instance_id=instance, **more))


def value(client, instance, name):
    return next(one.value for one in listed(client, instance).configuration_parameter if one.name == name)


def set_v3(client, instance, **values):
    return client.update_instance_param(UpdateInstanceParamRequest(
        instance_id=instance, body=UpdateParametersReq(values=UpdateParametersReqValues(**values))))


def set_v31(client, instance, values, **more):
    return client.modify_configuration(ModifyConfigurationRequest(
        instance_id=instance, body=ParaGroupUpdate(values=values, **more)))


def wait_running(demo):
    instance = demo.endpoints["demo"]["instance_id"]
    deadline = time.monotonic() + SECONDS
    while demo.ctl("instances", "show", instance)["status"] != "RUNNING":
        assert time.monotonic() < deadline, "the instance is not RUNNING"
        time.sleep(0.5)  # the API takes 60 calls a minute


def apply(demo, template, instances):
    """The SDK has no call for it."""
    return call(demo, "PUT", f"configurations/{template}/apply", {"instance_ids": instances})


def call(demo, method, path, body):
    """A signed call through the SDK's own transport."""
    client = demo.sdk()
    http_info = {
        "method": method, "resource_path": f"/v3/{{project_id}}/{path}", "request_type": "Call",
        "response_type": "RebuildDdmConfigResponse",
        "cname": None, "collection_formats": {}, "path_params": {}, "query_params": [],
        "header_params": {"Content-Type": "application/json"}, "post_params": {}, "body": body, "response_headers": [],
    }
    return json.loads(client._call_api(**http_info).raw_content)


def packet_limit(demo, host):
    """How many MB of a statement a node takes, found out by asking."""
    ends = demo.endpoints["demo"]
    for megabytes in (2, 8):
        try:
            with connect(host, ends["port"], ends["admin_user"], ends["admin_password"], max_allowed_packet=1 << 30) as node:
                rows(node, "SELECT LENGTH('" + "x" * (megabytes << 20) + "')")
        except pymysql.err.MySQLError as error:
            assert error.args[0] in (1153, 2006, 2013), error
            return megabytes
    return None


def node_addresses(demo):
    shown = demo.ctl("instances", "show", demo.endpoints["demo"]["instance_id"])
    return [node["ip"] for node in shown["nodes"]]


def test_the_list_has_every_field(client, instance):
    answer = listed(client, instance, x_language="en-us")
    assert answer.id.endswith("pr09") and len(answer.id) == 36
    assert answer.name.startswith("ddm_") and len(answer.name) == 16
    assert time.strptime(answer.updated, "%Y-%m-%d %H:%M:%S")
    assert (answer.offset, answer.limit) == (0, 128)
    assert answer.total == len(answer.configuration_parameter) >= 22
    by_name = {one.name: one for one in answer.configuration_parameter}
    rows_max = by_name["temp_table_size_limit"]
    assert (rows_max.value, rows_max.need_restart, rows_max.read_only) == ("1000000", "0", "0")
    assert (rows_max.value_range, rows_max.data_type) == ("500000-2000000000", "integer")
    assert by_name["autocommit"].read_only == "1"
    assert all(one.description.isascii() for one in by_name.values())
    chinese = listed(client, instance, offset=2, limit=3)
    assert (chinese.offset, chinese.limit, chinese.total) == (2, 3, answer.total)
    assert [one.name for one in chinese.configuration_parameter] == [one.name for one in answer.configuration_parameter[2:5]]
    assert not any(one.description.isascii() for one in chinese.configuration_parameter)
    assert refused(lambda: listed(client, instance, limit=129))[:2] == (400, "DBS.280001")
    assert refused(lambda: listed(client, instance, offset=-1))[:2] == (400, "DBS.280001")
    assert refused(lambda: listed(client, "0" * 32 + "in09"))[:2] == (404, "DBS.280404")


def test_a_change_is_in_force_on_every_node(demo, client, instance, defaults):
    addresses = node_addresses(demo)
    assert len(addresses) >= 2
    assert [packet_limit(demo, host) for host in addresses] == [None] * len(addresses)
    began = time.monotonic()
    answer = set_v3(client, instance, max_allowed_packet=str(4 << 20))
    assert answer.need_restart is False and answer.job_id
    assert (answer.config_id, answer.config_name) == (listed(client, instance).id, listed(client, instance).name)
    assert len(answer.node_list.split(",")) == len(addresses)
    job = demo.ctl("jobs", "wait", answer.job_id)
    assert time.monotonic() - began < SECONDS
    assert job["name"] == "SetConfiguration" and job["status"] == "Completed"
    assert [packet_limit(demo, host) for host in addresses] == [8] * len(addresses)
    assert value(client, instance, "max_allowed_packet") == str(4 << 20)
    assert demo.ctl("instances", "show", instance)["status"] == "RUNNING"
    assert set_v31(client, instance, {"max_allowed_packet": str(1 << 30)}).need_restart is False
    wait_running(demo)
    assert [packet_limit(demo, host) for host in addresses] == [None] * len(addresses)


def test_the_status_is_seen_while_nodes_take_it(demo, client, instance, defaults):
    nodes = demo.children("node.toml")
    held = nodes[0]
    os.kill(held, signal.SIGSTOP)
    try:
        set_v31(client, instance, {"long_query_time": "7"})
        assert demo.ctl("instances", "show", instance)["status"] == "SET_CONFIGURATION"
        code = refused(set_v31, client, instance, {"long_query_time": "8"})
        assert code[:2] == (409, "DBS.200076")
    finally:
        os.kill(held, signal.SIGCONT)
    wait_running(demo)
    assert value(client, instance, "long_query_time") == "7"


def test_what_is_wrong_is_named(client, instance):
    for values, wrong in (
        ({"nosuch": "1"}, "nosuch"), ({"autocommit": "ON"}, "autocommit"), ({"transaction_policy": "FREE"}, "transaction_policy"),
        ({"long_query_time": "0.001"}, "long_query_time"), ({"long_query_time": ""}, "long_query_time"),
        ({"max_allowed_packet": "1500"}, "max_allowed_packet"), ({"character_set_server": "utf8"}, "collation_server"),
        ({"long_query_time": "2", "contains_shard_key": "perhaps"}, "contains_shard_key"),
        ({"bind_table": "[{a,b}]"}, "bind_table"), ({"concurrent_execution_level": "ALL"}, "concurrent_execution_level"),
    ):
        status, code, message = refused(set_v31, client, instance, values)
        assert (status, code) == (400, "DBS.300375"), values
        assert f"{wrong}" in message, message
    for values in ({}, {"": "1"}):
        assert refused(set_v31, client, instance, values)[:2] == (400, "DBS.280001")
    for more in ({"name": ""}, {"name": "a b"}, {"name": "x" * 65}, {"description": "a=b"}, {"description": "x" * 257}):
        assert refused(lambda: set_v31(client, instance, {"long_query_time": "2"}, **more))[:2] == (400, "DBS.280001"), more
    assert value(client, instance, "long_query_time") == "1"


def test_new_schemas_take_the_collation(demo, client, instance, defaults):
    ends = demo.endpoints
    job = set_v3(client, instance, character_set_server="utf8", collation_server="utf8_bin").job_id
    assert demo.ctl("jobs", "wait", job)["status"] == "Completed"
    demo.ctl("schemas", "create", instance, "binary_one", "--shards", str(2 * len(ends["data_nodes"])))
    try:
        for node in ends["data_nodes"]:
            with connect(node["host"], node["port"], node["admin_user"], node["admin_password"]) as direct:
                found = rows(direct, "SELECT default_collation_name FROM information_schema.schemata "
                                     "WHERE schema_name LIKE 'binary\\_one%'")
                assert len(found) == 2 and {name for (name,) in found} <= {"utf8_bin", "utf8mb3_bin"}, found
    finally:
        demo.ctl("schemas", "delete", instance, "binary_one", "--delete-data")


def test_an_instance_is_bought_with_a_template(demo, client):
    ends = demo.endpoints
    template = client.create_ddm_configurations(CreateDdmConfigurationsRequest(
        body=CreateConfigurationRequest(name="to.buy.with", values={"max_connections": "10"}))).id
    body = lambda config: {  # noqa: E731
        "name": "bought-with", "node_num": 1, "flavor_ref": "ddm.c6.large.2", "available_zones": ends["availability_zones"][:1],
        "vpc_id": ends["vpc_id"], "subnet_id": ends["subnet_id"], "security_group_id": ends["security_group_id"],
        "param_group_id": config, "admin_user_name": "root", "admin_user_password": "R00t-of_Willow8",
    }
    assert refused(call, demo, "POST", "instances", body("0" * 32 + "pr09"))[:2] == (400, "DBS.200057")
    bought = call(demo, "POST", "instances", body(template))
    try:
        demo.ctl("jobs", "wait", bought["job_id"])
        assert value(client, bought["id"], "max_connections") == "10"
        shown = demo.ctl("instances", "show", bought["id"])
        open_ones = []
        with pytest.raises(pymysql.err.MySQLError) as error:
            for _ in range(12):
                open_ones.append(connect(shown["access_ip"], int(shown["access_port"]), "root", "R00t-of_Willow8"))
        # An administrator has one place more.
        assert len(open_ones) == 11 and error.value.args[0] == 1040, error.value
        for one in open_ones:
            one.close()
    finally:
        demo.ctl("instances", "delete", bought["id"])
        client.delete_configuration(DeleteConfigurationRequest(config_id=template))


def test_the_life_of_a_template(demo, client, instance, defaults):
    make = lambda name, **more: client.create_ddm_configurations(CreateDdmConfigurationsRequest(  # noqa: E731
        body=CreateConfigurationRequest(name=name, **more)))
    templates = lambda: client.list_ddm_configurations(ListDdmConfigurationsRequest(offset=0, limit=128))  # noqa: E731
    default = templates().configurations[0]
    assert (default.user_defined, default.datastore_name) == (False, "ddm")
    made = make("mine.1", description="of mine", values={"long_query_time": "3", "contains_shard_key": "on"})
    assert made.name == "mine.1" and made.id.endswith("pr09")
    for wrong in ("", "a b", "x" * 65, "ä"):
        assert refused(make, wrong)[:2] == (400, "DBS.280001"), wrong
    for wrong in ("a>b", "a!b", "a<b", 'a"b', "a&b", "a'b", "a=b", "a\rb", "x" * 257):
        assert refused(lambda: make("fine", description=wrong))[:2] == (400, "DBS.280001"), wrong
    assert refused(lambda: make("fine", values={"autocommit": "OFF"}))[:2] == (400, "DBS.300375")
    assert refused(make, "mine.1")[:2] == (409, "DBS.280409")

    shown = client.show_configuration(ShowConfigurationRequest(config_id=made.id))
    by_name = {one.name: one for one in shown.configuration_parameters}
    slow = by_name["long_query_time"]
    assert (slow.value, slow.restart_required, slow.readonly, slow.value_range, slow.type) == ("3", False, False, "0.01-10", "float")
    assert (by_name["contains_shard_key"].value, by_name["autocommit"].readonly) == ("ON", True)
    time.strptime(shown.created, "%Y-%m-%dT%H:%M:%S%z")

    copy = lambda config, name: client.copy_configuration(CopyConfigurationRequest(  # noqa: E731
        config_id=config, body=ConfigurationCopyReqV3(new_name=name, description="a copy")))
    copy(made.id, "mine.2")
    copied = next(one for one in templates().configurations if one.name == "mine.2")
    assert (copied.description, copied.user_defined, templates().total) == ("a copy", True, 3)
    assert refused(copy, default.id, "no")[:2] == (400, "DBS.200057")
    assert refused(copy, "0" * 32 + "pr09", "no")[:2] == (404, "DBS.200057")

    update = lambda config, **more: client.reset_parameter_group(ResetParameterGroupRequest(  # noqa: E731
        config_id=config, body=ConfigurationUpdateReqV3(**more)))
    assert update(copied.id, values={"max_connections": "99"}, name="mine.3").need_restart is False
    assert refused(lambda: update(copied.id, values={}))[:2] == (400, "DBS.280001")
    assert refused(lambda: update(default.id, values={"max_connections": "99"}))[:2] == (400, "DBS.200057")
    difference = lambda one, other: client.compare_parameter_groups(CompareParameterGroupsRequest(  # noqa: E731
        body=ConfigurationDiffReqV3(source_id=one, target_id=other)))
    answer = difference(made.id, copied.id)
    assert (answer.source_name, answer.target_name) == ("mine.1", "mine.3")
    assert [(one.name, one.source_value, one.target_value) for one in answer.parameters] == [("max_connections", "20000", "99")]
    assert refused(difference, made.id, "x")[:2] == (400, "DBS.200057")

    applicable = client.list_instances_configurations(ListInstancesConfigurationsRequest(config_id=made.id))
    assert instance in [one.instance_id for one in applicable.entities] and applicable.total == len(applicable.entities)
    set_v31(client, instance, {"seconds_behind_master": "5"})
    wait_running(demo)
    apply(demo, made.id, [instance, "0" * 32 + "in09"])
    wait_running(demo)
    assert value(client, instance, "long_query_time") == "3"
    assert value(client, instance, "seconds_behind_master") == "30"
    history = client.list_configuration_apply_histories(ListConfigurationApplyHistoriesRequest(config_id=made.id))
    assert history.total == 1 and history.histories[0].target_id == instance
    assert (history.histories[0].apply_result, history.histories[0].error_message) == ("SUCCESS", "")
    for config in (made.id, copied.id):
        client.delete_configuration(DeleteConfigurationRequest(config_id=config))
    assert refused(client.delete_configuration, DeleteConfigurationRequest(config_id=default.id))[:2] == (400, "DBS.200057")
    assert refused(client.show_configuration, ShowConfigurationRequest(config_id=made.id))[:2] == (404, "DBS.200057")
    assert templates().total == 1
    assert value(client, instance, "long_query_time") == "3", "an instance keeps what it has"


def test_ctl(demo, client, instance, defaults):
    answer = demo.ctl("parameters", "set", instance, "long_query_time=4", "bind_table=")
    assert answer["job"]["status"] == "Completed"
    by_name = {one["name"]: one["value"] for one in demo.ctl("parameters", "list", instance)}
    assert by_name["long_query_time"] == "4"
