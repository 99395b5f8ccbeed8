"""What each call of the API documents answers, field by field, as data: written from the documents'
tables, not from our own declaration, so that the two are compared. A field that the documents return
only sometimes is a `maybe`."""

import re


class Form:
    """A value that `fits` decides about."""

    def __init__(self, name, fits):
        self.name, self.fits = name, fits

    def __repr__(self):
        return self.name


def of_type(*types):
    return lambda value: isinstance(value, types) and not (isinstance(value, bool) and bool not in types)


def matching(name, pattern):
    return Form(name, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


def maybe(form):
    """May be null or missing."""
    return Maybe(form)


class Maybe:
    def __init__(self, form):
        self.form = form


def one_of(*values):
    return Form(f"one of {values}", lambda value: value in values)


def ident(suffix):
    """An id: 32 hexadecimal digits and what says of which noun."""
    return matching(f"…{suffix}", f"[0-9a-f]{{32}}{suffix}")


def mapping(form):
    return Form(f"map of {form}", lambda value: isinstance(value, dict) and all(form.fits(one) for one in value.values()))


TEXT = Form("text", of_type(str))
NUMBER = Form("number", of_type(int))
FLAG = Form("flag", of_type(bool))
DIGITS = matching("digits", "[0-9]+")
TIME = matching("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000")
MILLISECONDS = Form("UNIX milliseconds", lambda value: of_type(int)(value) and value > 1_600_000_000_000)
ADDRESS = matching("address", r"\d+\.\d+\.\d+\.\d+")
GUID = matching("GUID", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
JOB = matching("job", "[0-9a-f-]{32,36}")
NODE_STATUS = one_of("normal", "abnormal", "creating", "createfail", "enlargefail", "resizing")
INSTANCE_STATUS = one_of(
    "CREATING", "CREATEFAILED", "RUNNING", "ERROR", "RESTARTING", "RESIZING", "UPGRADE_VERSION_INSTANCE",
    "ROLL_BACK_DB_VERSION", "GROWING", "REDUCING", "RESTORE", "BACKUP", "MODIFY_NAME", "MIGRATE_DATABASE",
    "RESET_PASSWORD", "SET_CONFIGURATION")
SCHEMA_STATUS = one_of("CREATING", "RUNNING", "CREATE_FAILED", "DELETING", "EXPANDING", "EXPAND_FAILED", "ROLLING BACK")
SHARD_MODE = one_of("cluster", "single")

PAGE = {"offset": NUMBER, "limit": NUMBER, "total": NUMBER}
PAGES = {"page_no": NUMBER, "page_size": NUMBER, "total_record": NUMBER, "total_page": NUMBER}
INSTANCE = {
    "id": ident("in09"), "status": INSTANCE_STATUS, "name": TEXT, "created": TIME, "updated": TIME,
    "available_zone": TEXT, "vpc_id": GUID, "subnet_id": GUID, "security_group_id": GUID, "node_count": NUMBER,
    "access_ip": ADDRESS, "access_port": DIGITS, "core_count": DIGITS, "ram_capacity": DIGITS, "error_msg": maybe(TEXT),
    "node_status": TEXT, "enterprise_project_id": TEXT, "project_id": matching("project", "[0-9a-f]{32}"),
    "engine_version": matching("version", r"\d+\.\d+\.\d+(\.\d+)?"), "order_id": maybe(TEXT), "enable_ssl": FLAG,
    "flavor_ref": matching("class", r"ddm\.[a-z0-9.]+"),
}
USED_DATA_NODE = {"id": ident("in01"), "name": TEXT, "status": TEXT, "error_msg": maybe(TEXT)}
STARTED = {"instanceId": ident("in09"), "instanceName": TEXT, "jobId": JOB}
NAMED = {"name": TEXT}

ANSWERS = {
    "POST /v1/{project_id}/instances": {"id": ident("in09"), "job_id": JOB, "order_id": maybe(TEXT)},
    "GET /v1/{project_id}/instances": {"instances": [INSTANCE], "instance_num": NUMBER, **PAGES},
    "GET /v1/{project_id}/instances/{instance_id}": {
        **INSTANCE, "nodes": [{"status": TEXT, "port": DIGITS, "ip": ADDRESS}], "admin_username": TEXT,
        "admin_user_name": TEXT},
    "PUT /v1/{project_id}/instances/{instance_id}/modify-name": NAMED,
    "PUT /v1/{project_id}/instances/{instance_id}/modify-security-group": {"security_group_id": GUID},
    "DELETE /v1/{project_id}/instances/{instance_id}": {"id": ident("in09"), "job_id": JOB},
    "POST /v1/{project_id}/instances/{instance_id}/action": STARTED,
    "POST /v1/{project_id}/instances/{instance_id}/reload-config": {},
    "POST /v2/{project_id}/instances/{instance_id}/action/enlarge": STARTED,
    "POST /v2/{project_id}/instances/{instance_id}/action/reduce": {**STARTED, "orderId": maybe(TEXT)},
    "PUT /v2/{project_id}/instances/{instance_id}/action/read-write-strategy": {
        "success": FLAG, "instance_id": ident("in09")},
    "POST /v1/{project_id}/instances/{instance_id}/rds/sync": {"instanceId": ident("in09"), "jobId": JOB},
    "GET /v1/{project_id}/instances/{instance_id}/nodes": {
        "nodes": [{"port": DIGITS, "status": NODE_STATUS, "node_id": ident("no09"), "ip": ADDRESS}], **PAGE},
    "GET /v1/{project_id}/instances/{instance_id}/nodes/{node_id}": {
        "status": NODE_STATUS, "name": TEXT, "node_id": ident("no09"), "private_ip": ADDRESS, "floating_ip": ADDRESS,
        "server_id": GUID, "subnet_name": TEXT, "datavolume_id": GUID, "res_subnet_ip": ADDRESS,
        "systemvolume_id": GUID, "group_id": ident("gr09"), "subnet_id": GUID},
    "GET /v2/{project_id}/engines": {
        "engineGroups": [{"id": GUID, "name": one_of("ddm"), "version": TEXT, "supportAzs": [
            {"code": TEXT, "name": TEXT, "favored": FLAG}]}], **PAGE},
    "GET /v2/{project_id}/flavors": {
        "computeFlavorGroups": [{"groupType": TEXT, **PAGE, "computeFlavors": [{
            "id": GUID, "typeCode": TEXT, "code": TEXT, "iaasCode": TEXT, "cpu": DIGITS, "mem": DIGITS,
            "maxConnections": maybe(TEXT), "serverType": TEXT, "architecture": TEXT,
            "azStatus": mapping(one_of("normal", "unsupported", "sellout")), "regionStatus": TEXT,
            "groupType": maybe(TEXT), "dbType": TEXT, "extendFields": mapping(TEXT)}]}]},
    "PUT /v3/{project_id}/instances/{instance_id}/flavor": {"job_id": JOB, "order_id": maybe(TEXT)},
    "GET /v3/{project_id}/instances/{instance_id}/configurations": {
        "updated": matching("time", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "configuration_parameter": [{
            "name": TEXT, "value": TEXT, "need_restart": one_of("0", "1"), "read_only": one_of("0", "1"),
            "value_range": TEXT, "data_type": TEXT, "description": TEXT}],
        **PAGE, "id": ident("pr09"), "name": TEXT, "description": TEXT},
    "POST /v1/{project_id}/instances/{instance_id}/databases": {"databases": [NAMED]},
    "GET /v1/{project_id}/instances/{instance_id}/databases": {
        "databases": [{"name": TEXT, "shard_mode": SHARD_MODE, "shard_number": NUMBER, "status": SCHEMA_STATUS,
                       "created": MILLISECONDS, "used_rds": [USED_DATA_NODE], "shard_unit": NUMBER}], "total": NUMBER},
    "GET /v1/{project_id}/instances/{instance_id}/databases/{ddm_dbname}": {"database": {
        "name": TEXT, "created": MILLISECONDS, "status": SCHEMA_STATUS, "updated": MILLISECONDS, "databases": [{
            "dbslot": NUMBER, "name": TEXT, "status": SCHEMA_STATUS, "created": MILLISECONDS,
            "updated": MILLISECONDS, "id": ident("in01"), "idName": TEXT}],
        "shard_mode": SHARD_MODE, "shard_number": NUMBER, "shard_unit": NUMBER,
        "dataVips": [matching("address and port", r"\d+\.\d+\.\d+\.\d+:\d+")], "used_rds": [USED_DATA_NODE]}},
    "DELETE /v1/{project_id}/instances/{instance_id}/databases/{ddm_dbname}": {},
    "GET /v1/{project_id}/instances/{instance_id}/rds": {
        "instances": [{
            "id": ident("in01"), "projectId": TEXT, "status": TEXT, "name": TEXT, "engineName": TEXT,
            "engineSoftwareVersion": TEXT, "privateIp": TEXT, "mode": one_of("Ha", "Single"), "port": NUMBER,
            "azCode": TEXT, "timeZone": TEXT}], **PAGE},
    "POST /v1/{project_id}/instances/{instance_id}/users": {"users": [NAMED]},
    "GET /v1/{project_id}/instances/{instance_id}/users": {
        "users": [{
            "name": TEXT, "status": TEXT, "base_authority": [TEXT], "extend_authority": [TEXT],
            "password_last_changed": MILLISECONDS, "description": TEXT, "created": MILLISECONDS,
            "databases": [{"name": TEXT, "description": TEXT}]}], **PAGES},
    "PUT /v1/{project_id}/instances/{instance_id}/users/{username}": NAMED,
    "DELETE /v1/{project_id}/instances/{instance_id}/users/{username}": NAMED,
    "POST /v2/{project_id}/instances/{instance_id}/users/{username}/password": {
        "success": FLAG, "instance_id": ident("in09"), "user_name": TEXT},
    "PUT /v3/{project_id}/instances/{instance_id}/admin-user": None,
    "POST /v3/{project_id}/weak-password-verification": {"is_weak_password": FLAG},
    "GET /v2/{project_id}/instances/{instance_id}/slowlog": {
        "totalRecord": NUMBER, "slowLogList": [{
            "users": TEXT, "database": TEXT, "querySample": TEXT, "time": DIGITS, "shards": TEXT,
            "logTime": matching("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|\+0000)?"), "rowsExamined": DIGITS,
            "host": ADDRESS}]},
    "POST /v3/{project_id}/instances/{instance_id}/schema-metadata": {
        "instance_id": ident("in09"), "instance_name": TEXT, "job_id": JOB},
    "GET /v3/{project_id}/instances/{instance_id}/schema-metadata": {
        "compressed_databases_info": TEXT, "data_nodes": [{
            "instance_id": ident("in01"), "instance_name": TEXT, "access_host": TEXT, "access_port": NUMBER,
            "engine": TEXT, "engine_version": TEXT}]},
    "POST /v3/{project_id}/instances/{instance_id}/backups/metadata-recovery": {"job_id": JOB},
}
STATUSES = {
    "PUT /v3/{project_id}/instances/{instance_id}/flavor": 202,
    "PUT /v3/{project_id}/instances/{instance_id}/admin-user": 202,
    "POST /v3/{project_id}/instances/{instance_id}/schema-metadata": 202,
    "POST /v3/{project_id}/instances/{instance_id}/backups/metadata-recovery": 202,
}


def compare(form, value, at=""):
    """What is wrong about a value: places and what was expected there."""
    if isinstance(form, Maybe):
        return [] if value is None else compare(form.form, value, at)
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return [f"{at}: not an object: {value!r}"]
        wrong = []
        for name, inner in form.items():
            if name not in value and not isinstance(inner, Maybe):
                wrong.append(f"{at}.{name}: missing")
            else:
                wrong += compare(inner, value.get(name), f"{at}.{name}")
        return wrong
    if isinstance(form, list):
        if not isinstance(value, list):
            return [f"{at}: not a list: {value!r}"]
        return [one for index, row in enumerate(value) for one in compare(form[0], row, f"{at}[{index}]")]
    return [] if form.fits(value) else [f"{at}: {value!r} is not {form}"]
