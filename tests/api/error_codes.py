"""Every error code of the API, as data: the request that causes it, or why none can.

`@cause` registers a request that a running system answers with exactly that code and status;
`needs` names the call that it makes, so that it is left out only while that call is not served.
`none` registers a code that no request causes. `docs/api-notes.md` has both lists, made from here:
`UPDATE=1` with `test_error_codes.py` rewrites them."""

import base64
import gzip
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Optional

import pymysql
from servers import Forwarder, open_port, foreign_server
from system import connect, eventually, rows
from world import OTHER_PASSWORD, PASSWORD, account, schema_v3

INSTANCES = "/v1/{project_id}/instances"
INSTANCE = INSTANCES + "/{instance_id}"
SCHEMAS = INSTANCE + "/databases"
SCHEMA = SCHEMAS + "/{ddm_dbname}"
ACCOUNTS = INSTANCE + "/users"
ACCOUNT = ACCOUNTS + "/{username}"
DATA_NODES = "/v3/{project_id}/data-nodes"
V3 = "/v3/{project_id}/instances/{instance_id}"


@dataclass(frozen=True)
class Row:
    """One code: what causes it and the request that shows it, or the reason why nothing does."""

    code: str
    text: str
    status: Optional[int] = None
    needs: Optional[str] = None
    request: Optional[Callable] = None


ROWS = []


def cause(code, status, text, needs):
    """Registers the decorated function: given the world, it makes the request and returns its answer."""

    def register(request):
        ROWS.append(Row(code, text, status, needs, request))
        return request

    return register


def none(codes, why):
    """Registers codes that no request causes."""
    ROWS.extend(Row(f"DBS.{number}", why) for number in codes.split())


def call(world, needs, body=None, query=None, **names):
    """The call `needs` on the world's objects, or on those given."""
    method, path = needs.split()
    names = {**world.known, **names}
    arguments = {} if body is None else {"body": body}
    return world.caller.call(method, world.caller.path(path, **names), query=query, **arguments)


@contextmanager
def administrator(node):
    """A connection to a data node as its administrator."""
    with connect(node["host"], node["port"], node["admin_user"], node["admin_password"]) as connection:
        yield connection


BUY = f"POST {INSTANCES}"
MAKE_SCHEMA = f"POST {SCHEMAS}"
MAKE_ACCOUNTS = f"POST {ACCOUNTS}"
CHANGE_ACCOUNT = f"PUT {ACCOUNT}"
REGISTER = f"POST {DATA_NODES}"


def make_schema(world, name="conformity", nodes=None, **more):
    return call(world, MAKE_SCHEMA, world.schema_body(name, nodes, **more))


def make_account(world, **more):
    return call(world, MAKE_ACCOUNTS, {"users": [{**account(world), **more}]})


def register(world, host, port, **more):
    node = world.ends["data_nodes"][0]
    return call(world, REGISTER, {"name": f"conformity-{port}", "host": host, "port": port,
                                  "admin_user": node["admin_user"], "admin_password": node["admin_password"], **more})


# Requests as a whole.

@cause("DBS.280001", 400, "a body that is no JSON or not of the documented form, a missing field, a wrong type, a limit "
       "passed, an unknown engine, node class, AZ, VPC or subnet", BUY)
def _(world):
    return call(world, BUY, {})


@cause("DBS.280401", 401, "no valid token or signature", f"GET {INSTANCES}")
def _(world):
    return world.caller.call("GET", world.caller.path(INSTANCES), token="nonsense")


@cause("DBS.280404", 404, "an unknown route, instance, node, group, order, data node, backup, "
       "security group or rule", f"GET {INSTANCE}")
def _(world):
    return call(world, f"GET {INSTANCE}", instance_id=world.unknown("instance_id"))


@cause("DBS.280405", 405, "a wrong method", f"GET {INSTANCES}")
def _(world):
    return call(world, f"PATCH {INSTANCES}")


@cause("DBS.280409", 409, "an order that needs no payment; a data node that is registered already or that an instance uses; a "
       "name that is taken; a security group that an instance has; a rule that is there",
       "POST /v3/{project_id}/orders/{order_id}/pay")
def _(world):
    order = world.order()
    pay = "POST /v3/{project_id}/orders/{order_id}/pay"
    first = call(world, pay, order_id=order.order_id)
    assert first.status == 202, first
    return call(world, pay, order_id=order.order_id)


@cause("DBS.280413", 413, "a quota, no free address, or a body of more than 12 MB", BUY)
def _(world):
    return world.caller.announced("POST", world.caller.path(INSTANCES), 12 * 1024 * 1024 + 1)


@cause("DBS.280415", 415, "a body that is not JSON", BUY)
def _(world):
    return world.caller.call("POST", world.caller.path(INSTANCES), b"a=1", headers={"Content-Type": "text/plain"})


@cause("DBS.280429", 429, "the throttle: more than 60 calls of one API by one user in a minute, or 8,000 by all",
       "GET /v3/{project_id}/flavors")
def _(world):
    strict = world.throttled()
    answers = [strict.call("GET", strict.path("/v3/{project_id}/flavors")) for _ in range(61)]
    assert {answer.status for answer in answers[:60]} == {200}, answers[0]
    return answers[60]


@cause("DBS.300541", 403, "another project's path", f"GET {INSTANCES}")
def _(world):
    return call(world, f"GET {INSTANCES}", project_id="0" * 32)


# Instances.

@cause("DBS.200076", 409, "an operation on an instance (or a schema of one) that is not RUNNING, or on which another job "
       "works", f"PUT {INSTANCE}/modify-name")
def _(world):
    order = world.order()
    return call(world, f"PUT {INSTANCE}/modify-name", {"name": "conformity-9"}, instance_id=order.instance_id)


@cause("DBS.280305", 400, "an unknown security group, when buying or changing it", BUY)
def _(world):
    return call(world, BUY, world.instance_body(security_group_id=world.unknown("any")))


@cause("DBS.300376", 400, "a time zone that is not in the documents' list", BUY)
def _(world):
    return call(world, BUY, world.instance_body(time_zone="UTC+04:00"))


@cause("DBS.200057", 400, "a parameter template that does not exist, or the default one where only one's own can be named", BUY)
def _(world):
    return call(world, BUY, world.instance_body(param_group_id=world.unknown("config_id")))


# Schemas.

@cause("DBS.300102", 400, "no data node, more than 256, or more than one for a single schema", MAKE_SCHEMA)
def _(world):
    return make_schema(world, used_rds=[])


@cause("DBS.300103", 400, "an unknown data node", MAKE_SCHEMA)
def _(world):
    return make_schema(world, nodes=[{**world.ends["data_nodes"][0], "id": world.unknown("data_node_id")}])


@cause("DBS.300104", 400, "a `shard_mode` that is neither cluster nor single", MAKE_SCHEMA)
def _(world):
    return make_schema(world, shard_mode="sharded")


@cause("DBS.300106", 400, "a `shard_unit` outside 1–64 (1 for single)", MAKE_SCHEMA)
def _(world):
    return make_schema(world, shard_unit=65, shard_number=130)


@cause("DBS.300108", 400, "one data node twice in a request", MAKE_SCHEMA)
def _(world):
    return make_schema(world, nodes=world.ends["data_nodes"][:1] * 2)


@cause("DBS.300109", 400, "a schema name with other characters or another first character", MAKE_SCHEMA)
def _(world):
    return make_schema(world, "1st_schema")


@cause("DBS.300110", 400, "a data node of another instance", MAKE_SCHEMA)
def _(world):
    return call(world, MAKE_SCHEMA, world.schema_body("elsewhere"), instance_id=world.spare())


@cause("DBS.300112", 400, "a schema that exists", MAKE_SCHEMA)
def _(world):
    return make_schema(world, world.ends["demo"]["schema"])


@cause("DBS.300113", 400, "a physical database that exists on the data node already", MAKE_SCHEMA)
def _(world):
    with administrator(world.ends["data_nodes"][0]) as server:
        rows(server, "CREATE DATABASE taken_0000")
        try:
            return make_schema(world, "taken")
        finally:
            rows(server, "DROP DATABASE taken_0000")


@cause("DBS.300114", 400, "wrong credentials of a data node in a request", MAKE_SCHEMA)
def _(world):
    return make_schema(world, nodes=[{**world.ends["data_nodes"][0], "admin_password": "wrong"}])


@cause("DBS.300127", 400, "a `shard_number` outside the range, or not `shard_unit` times the data nodes", MAKE_SCHEMA)
def _(world):
    return make_schema(world, shard_number=5)


@cause("DBS.300129", 404, "an unknown schema", f"GET {SCHEMA}")
def _(world):
    return call(world, f"GET {SCHEMA}", ddm_dbname="nosuch")


@cause("DBS.300130", 400, "deleting a schema that is being made or deleted", f"DELETE {SCHEMA}")
def _(world):
    with administrator(world.ends["data_nodes"][0]) as server:
        rows(server, "FLUSH TABLES WITH READ LOCK")  # holds the job up in the middle
        try:
            assert make_schema(world, "halfway").status == 200
            return call(world, f"DELETE {SCHEMA}", ddm_dbname="halfway")
        finally:
            rows(server, "UNLOCK TABLES")
            world.schema_settled("halfway")


@cause("DBS.300323", 400, "a data node that is not fit (read-only, no binary log, …)", MAKE_SCHEMA)
def _(world):
    with administrator(world.ends["data_nodes"][0]) as server:
        rows(server, "SET GLOBAL read_only = 1")
        try:
            return make_schema(world)
        finally:
            rows(server, "SET GLOBAL read_only = 0")


@cause("DBS.300356", 400, "a data node, or a replica that its primary has connected, that does not answer", MAKE_SCHEMA)
def _(world):
    node = world.ends["data_nodes"][0]
    with Forwarder(node["host"], node["port"]) as forwarder:
        made = register(world, *forwarder.address)
        assert made.status == 201, made
    try:
        return make_schema(world, nodes=[{**node, "id": made.body["id"]}])
    finally:
        gone = call(world, f"DELETE {DATA_NODES}/{{data_node_id}}", data_node_id=made.body["id"])
        assert gone.status == 204, gone


@cause("DBS.300405", 400, "a schema name of fewer than 2 or more than 48 characters", MAKE_SCHEMA)
def _(world):
    return make_schema(world, "x" * 49)


@cause("DBS.300406", 400, "a schema name with one of the four keywords", MAKE_SCHEMA)
def _(world):
    return make_schema(world, "my_mysql_copy")


@cause("DBS.300407", 400, "a schema name with upper-case letters", MAKE_SCHEMA)
def _(world):
    return make_schema(world, "Shop")


# Data nodes of one's own.

@cause("DBS.300357", 400, "registering a server with a wrong administrator or password; a data node that refuses its registered "
       "administrator", REGISTER)
def _(world):
    node = world.ends["data_nodes"][0]
    with Forwarder(node["host"], node["port"]) as forwarder:
        return register(world, *forwarder.address, admin_password="wrong")


@cause("DBS.300363", 400, "registering a server that is not set up as a data node must be, or that is another one when a "
       "registration changes", REGISTER)
def _(world):
    node = world.ends["data_nodes"][0]
    with administrator(node) as server, Forwarder(node["host"], node["port"]) as forwarder:
        rows(server, "SET GLOBAL read_only = 1")
        try:
            return register(world, *forwarder.address)
        finally:
            rows(server, "SET GLOBAL read_only = 0")


@cause("DBS.300368", 400, "a data node with `lower_case_table_names` other than 1", REGISTER)
def _(world):
    with foreign_server("--lower-case-table-names=0") as server:
        return register(world, **server)


@cause("DBS.300408", 400, "registering a server that does not answer", REGISTER)
def _(world):
    return register(world, "127.0.0.1", open_port())


# Accounts.

@cause("DBS.300107", 400, "one account twice in a request", MAKE_ACCOUNTS)
def _(world):
    return call(world, MAKE_ACCOUNTS, {"users": [account(world)] * 2})


@cause("DBS.300300", 400, "more than 100 accounts, or an unknown schema, when an account is made", MAKE_ACCOUNTS)
def _(world):
    return make_account(world, databases=[{"name": "nosuch"}])


@cause("DBS.300301", 400, "an unknown schema when an account is changed", CHANGE_ACCOUNT)
def _(world):
    return call(world, CHANGE_ACCOUNT, {"user": {"databases": [{"name": "nosuch"}]}})


@cause("DBS.300305", 400, "a wrong name of an account or administrator", MAKE_ACCOUNTS)
def _(world):
    return make_account(world, name="1st")


@cause("DBS.300306", 400, "a password that breaks a rule or is easy to guess", MAKE_ACCOUNTS)
def _(world):
    return make_account(world, password="Password-1")


@cause("DBS.300307", 400, "a description of more than 256 characters", MAKE_ACCOUNTS)
def _(world):
    return make_account(world, description="x" * 257)


@cause("DBS.300309", 400, "a permission that does not exist, or none", MAKE_ACCOUNTS)
def _(world):
    return make_account(world, base_authority=["GRANT"])


@cause("DBS.300311", 400, "an account that exists", MAKE_ACCOUNTS)
def _(world):
    return make_account(world, name=world.ends["demo"]["user"])


@cause("DBS.300327", 404, "an unknown account", f"DELETE {ACCOUNT}")
def _(world):
    return call(world, f"DELETE {ACCOUNT}", username="nobody")


# Jobs.

@cause("DBS.300377", 400, "a time range that ends before it begins", "GET /v3/{project_id}/jobs")
def _(world):
    now = int(time.time() * 1000)
    return call(world, "GET /v3/{project_id}/jobs", query={"start_time": now, "end_time": now - 60_000})


@cause("DBS.300400", 404, "an unknown job", "GET /v3/{project_id}/jobs/{job_id}")
def _(world):
    return call(world, "GET /v3/{project_id}/jobs/{job_id}", job_id=world.unknown("job_id"))


# Read policies, parameters, metadata.

SYNC = f"POST {INSTANCE}/rds/sync"
STRATEGY = "PUT /v2/{project_id}/instances/{instance_id}/action/read-write-strategy"
PARAMETERS = f"PUT {V3}/configurations"
IMPORT = f"POST {V3}/schema-metadata"
RESTORE = f"POST {V3}/backups/metadata-recovery"


@cause("DBS.300314", 400, "read weights for a server that is none of the instance's, for a data node without replicas, or "
       "for several data nodes in one entry", STRATEGY)
def _(world):
    return call(world, STRATEGY, {"read_weight": {world.unknown("data_node_id"): 50}})


@cause("DBS.300315", 400, "a read weight outside 0–100, or a data node of which no server has one above 0", STRATEGY)
def _(world):
    return call(world, STRATEGY, {"read_weight": {world.ends["data_nodes"][0]["id"]: 101}})


@cause("DBS.300125", 400, "synchronising when another server answers at the address of a data node", SYNC)
def _(world):
    instance, node_id = world.spare(), world.empty_data_node(0)
    world.empty_data_node(1)
    node, other = world.logins[node_id], world.logins[world.empty_data_node(1)]
    made = call(world, MAKE_SCHEMA, world.schema_body("moving", [{**node, "id": node_id}]), instance_id=instance)
    assert made.status == 200, made
    world.schema_settled("moving", instance)
    move = f"PUT {DATA_NODES}/{{data_node_id}}"
    try:
        with Forwarder(node["host"], node["port"]) as forwarder:
            moved = call(world, move, dict(zip(("host", "port"), forwarder.address)), data_node_id=node_id)
            assert moved.status == 200, moved
            forwarder.target = other["host"], other["port"]
            return call(world, SYNC, instance_id=instance)
    finally:
        back = call(world, move, {"host": node["host"], "port": node["port"]}, data_node_id=node_id)
        assert back.status == 200, back
        world.unbind(instance, "moving", "true")


@cause("DBS.300375", 400, "a parameter that does not exist, is read-only, or whose value is out of its range", PARAMETERS)
def _(world):
    return call(world, PARAMETERS, {"values": {"long_query_time": "soon"}})


@cause("DBS.300330", 400, "exported metadata whose inside is JSON of another form", IMPORT)
def _(world):
    node_id = world.empty_data_node(2)
    login = world.logins[node_id]
    inside = base64.b64encode(gzip.compress(json.dumps({"format": 5}).encode())).decode()
    return call(world, IMPORT, {"compressed_databases_info": inside, "dn_instance": [
        {"dn_instance_id": node_id, "admin_user": login["admin_user"], "admin_password": login["admin_password"]}]},
        instance_id=world.spare())


@cause("DBS.300336", 400, "restoring onto data nodes that lack a physical database of the backup, or some of a table's physical "
       "tables", RESTORE)
def _(world):
    return world.restore(world.spare(), data_nodes=[world.empty_data_node(2)])


@cause("DBS.300372", 400, "restoring onto an instance that is unknown, or onto another one than the source that has a schema, "
       "an account or a data node", RESTORE)
def _(world):
    return world.restore(world.unknown("instance_id"), data_nodes=[world.ends["data_nodes"][0]["id"]])


# Codes that no request causes.

none("200412", "a fault of ours; a request that causes it shows a defect")
none("300002 300005 300100 300101 300115 300116 300117 300120 300128 300302 300312 300322 300335 300355",
     "failures of the server itself: a call answers `DBS.200412` or `DBS.280503`, a job gives its reason")
none("300135 300316", "failures of the server itself, as above")
none("300328", "a password that nodes did not take, so that the old one holds: they take each that passes the checks")
none("280503", "the store does not answer, an object kept changing under the call, or nodes needed more than 20 s for it")
none("280501", "every route that exists is served")
none("300310", "extended permissions: no call can set them")
none("300360 300369 300370 300371", "there is no such condition here: every data node supports every operation, every "
     "instance shares one address, there are no test instances")
none("300118 300121 300122 300123 300133 300134 300329 300331 300332 300333 300334 300337 300338 300339 300340 300341 "
     "300342 300343 300344 300345 300346 300347 300348 300349 300350 300351 300352 300353 300354 300358 300362 300364 "
     "300365 300366 300367 300379 300401 300402", "shard configuration, which is not served")
none("300131 300132 300313", "the SQL blacklist, which is not served")
