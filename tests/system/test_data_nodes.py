"""Data nodes as their operators and tenants meet them: weights that are refused, a server that moved,
replicas that come and go, and what stays on the servers after a schema or an instance is deleted."""

import json
import sys
from pathlib import Path

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkddm.v1 import (
    BatchModifyReadAndWriteStrategyRequest, BatchModifyReadWriteStrategyRequest, CheckDataNodeConnectionRequest,
    DeleteDatabaseRequest, DeleteInstanceRequest, EsdbCheckRdsConnectionRequestV3, EsdbCheckRdsConnectionsRequestV3,
    ModifyReadAndWriteStrategyReq, ShowDatabaseRequest, ShowInstanceRequest, SyncDnInformationRequest,
    UpdateDatabaseInfoRequest, UpdateReadAndWriteStrategyRequest,
)
from instances import Api, ask, buy, log_in, make_schema
from system import JOB_SECONDS, connect, eventually, rows

sys.path.append(str(Path(__file__).resolve().parent.parent / "api"))
from servers import Forwarder, foreign_server  # noqa: E402

FIT = ("--lower-case-table-names=1", "--log-bin=binlog", "--binlog-format=ROW", "--local-infile=ON")


@pytest.fixture(scope="module")
def shop(replicated):
    """An instance with a schema on two servers of the tests' own, which may be moved and changed."""
    with foreign_server(*FIT, "--server-id=501") as one, foreign_server(*FIT, "--server-id=502") as two:
        api = Api(replicated)
        nodes = []
        for number, server in enumerate((one, two)):
            status, body = api.call("POST", "v3/data-nodes", {"name": f"own-{number}", **server})
            assert status == 201, body
            nodes.append({**server, "id": body["id"]})
        instance = buy(replicated, "data-nodes")
        make_schema(replicated, instance, "kept", nodes, 4)
        with log_in(replicated, instance, "kept") as client:
            rows(client, "CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(20)) DBPARTITION BY MOD_HASH(id)")
            rows(client, "INSERT INTO things VALUES " + ", ".join(f"({key}, 'x')" for key in range(100)))
        yield replicated, api, instance, nodes
        replicated.sdk().delete_instance(DeleteInstanceRequest(instance_id=instance, delete_rds_data="true"))
        gone(replicated, instance)


def gone(system, instance):
    eventually("the instance is gone", lambda: is_missing(
        lambda: system.sdk().show_instance(ShowInstanceRequest(instance_id=instance))), JOB_SECONDS)


def is_missing(call):
    """Whether a call says that its object does not exist."""
    try:
        call()
    except ClientRequestException as error:
        return error.status_code == 404
    return False


def refused(call):
    """Status, code and text of a refusal."""
    with pytest.raises(ClientRequestException) as raised:
        call()
    error = raised.value
    # The SDK takes v3's errors apart; of v1's and v2's it shows the body.
    if (error.error_msg or "").startswith("{"):
        body = json.loads(error.error_msg)
        return error.status_code, body["errCode"], body["externalMessage"]
    return error.status_code, error.error_code, error.error_msg


def sync(system, instance):
    """The v1 call; its job has ended."""
    answer = system.sdk().update_database_info(UpdateDatabaseInfoRequest(instance_id=instance))
    assert answer.instance_id == instance
    shown = system.ctl("jobs", "wait", answer.job_id)
    assert (shown["status"], shown["name"]) == ("Completed", "synRdsinfo"), shown


def places(system, instance):
    """Where nodes look for each data node."""
    with log_in(system, instance, "kept") as client:
        return {(node, port) for node, _, _, port in rows(client, "SHOW DATA NODE")}


def test_weights_are_refused_as_documented(shop):
    system, api, instance, nodes = shop
    client, (one, two) = system.sdk(), [node["id"] for node in nodes]
    foreign = system.endpoints["data_nodes"][0]

    def v2(weights):
        return lambda: client.update_read_and_write_strategy(UpdateReadAndWriteStrategyRequest(
            instance_id=instance, body=ModifyReadAndWriteStrategyReq(read_weight=weights)))

    def v3(*entries):
        return lambda: client.batch_modify_read_write_strategy(BatchModifyReadWriteStrategyRequest(
            instance_id=instance, body=BatchModifyReadAndWriteStrategyRequest(read_weight_list=list(entries))))

    for call, code in (
        (v2({one: 101}), "DBS.300315"), (v2({one: -1}), "DBS.300315"), (v2({}), "DBS.280001"),
        (v2({foreign["id"]: 10}), "DBS.300314"), (v2({foreign["replicas"][0]["id"]: 10}), "DBS.300314"),
        (v2({one: 50}), "DBS.300314"), (v3({one: 100}, {one: 100}), "DBS.300108"),
        (v3({one: 100, two: 100}), "DBS.300314"), (v3({one: 100}, {"0" * 32 + "in01": 1}), "DBS.300314"),
    ):
        assert refused(call)[:2] == (400, code)
    assert v2({one: 100})().success is True
    assert [api.data_node(node["id"])["read_weight"] for node in nodes] == [100, 100]


def test_a_moved_server_is_used_once_it_is_synchronised(shop):
    system, api, instance, nodes = shop
    node = nodes[0]
    path = f"v3/data-nodes/{node['id']}"
    before = places(system, instance)
    with Forwarder(node["host"], node["port"]) as forwarder:
        port = forwarder.address[1]
        status, body = api.call("PUT", path, {"port": port})
        assert (status, body["port"], body["needs_sync"]) == (200, port, True)
        assert places(system, instance) == before, "an instance has it when it is synchronised"
        sync(system, instance)
        assert (node["id"], port) in places(system, instance)
        assert api.data_node(node["id"])["needs_sync"] is False
        with log_in(system, instance, "kept") as client:
            assert rows(client, "SELECT COUNT(*) FROM things") == [(100,)]
    # The server moved back: as long as nobody says so, nothing is found where it was, and nothing changes.
    moved = places(system, instance)
    for call in (lambda: system.sdk().update_database_info(UpdateDatabaseInfoRequest(instance_id=instance)),
                 lambda: system.sdk().sync_dn_information(SyncDnInformationRequest(instance_id=instance))):
        status, code, text = refused(call)
        assert (status, code) == (400, "DBS.300356") and "own-0" in text
    assert places(system, instance) == moved
    assert api.call("PUT", path, {"port": node["port"]})[0] == 200
    system.sdk().sync_dn_information(SyncDnInformationRequest(instance_id=instance))
    assert places(system, instance) == before
    with log_in(system, instance, "kept") as client:
        assert rows(client, "SELECT COUNT(*) FROM things") == [(100,)]
    status, body = api.call("PUT", path, {"port": nodes[1]["port"]})
    assert (status, body["error_code"]) == (409, "DBS.280409")
    status, body = api.call("DELETE", path)
    assert (status, body["error_code"]) == (409, "DBS.280409"), "an instance uses it"


def test_another_server_is_refused(shop):
    system, api, instance, nodes = shop
    with foreign_server(*FIT, "--server-id=509") as other:
        status, body = api.call("PUT", f"v3/data-nodes/{nodes[0]['id']}", {"port": other["port"]})
        assert (status, body["error_code"]) == (400, "DBS.300363"), body
    assert api.data_node(nodes[0]["id"])["needs_sync"] is False


def follow(replica, node):
    """Makes a fresh server a replica of another from its first transaction on."""
    log = ask(node, "SHOW BINARY LOGS")[0][0]
    with connect(replica["host"], replica["port"], replica["admin_user"], replica["admin_password"]) as server:
        for sql in (
            f"CHANGE MASTER TO MASTER_HOST='{node['host']}', MASTER_PORT={node['port']}, MASTER_USER='{node['admin_user']}', "
            f"MASTER_PASSWORD='{node['admin_password']}', MASTER_LOG_FILE='{log}', MASTER_LOG_POS=4, MASTER_USE_GTID=no, "
            "MASTER_CONNECT_RETRY=1",
            f"DROP USER {replica['admin_user']}@'%'",  # the one of its primary takes its place
            "START SLAVE",
        ):
            rows(server, sql)


def test_replicas_come_and_go(shop):
    system, api, instance, nodes = shop
    node = nodes[1]
    assert api.data_node(node["id"])["replicas"] == []
    with foreign_server(*FIT, "--server-id=503", "--read-only=ON") as replica:
        follow(replica, node)
        name = ask(node, "SHOW DATABASES LIKE 'kept\\_%'")[0][0]
        eventually("it replicates", lambda: ask(replica, f"SELECT COUNT(*) FROM {name}.things")[0][0] > 0)
        sync(system, instance)
        (found,) = api.data_node(node["id"])["replicas"]
        assert (found["port"], found["read_weight"]) == (replica["port"], 0)
        system.sdk().update_read_and_write_strategy(UpdateReadAndWriteStrategyRequest(
            instance_id=instance, body=ModifyReadAndWriteStrategyReq(read_weight={node["id"]: 0, found["id"]: 100})))

        def counted(server):
            return int(ask(server, "SHOW GLOBAL STATUS LIKE 'Com_select'")[0][1])

        def reads_replica():
            at_first = counted(replica)
            with log_in(system, instance, "kept") as client:
                for _ in range(20):
                    assert rows(client, "SELECT COUNT(*) FROM things") == [(100,)]
            return counted(replica) - at_first >= 20

        eventually("the new replica answers reads", reads_replica)
        sync(system, instance)
        assert api.data_node(node["id"])["replicas"] == [{**found, "read_weight": 100}]
        for sql in ("STOP SLAVE", "RESET SLAVE ALL"):
            ask(replica, sql)
        sync(system, instance)
        shown = api.data_node(node["id"])
        assert (shown["replicas"], shown["read_weight"]) == ([], 100)
    with log_in(system, instance, "kept") as client:
        assert rows(client, "SELECT COUNT(*) FROM things") == [(100,)]


def test_a_new_version_is_seen(shop):
    system, api, instance, nodes = shop
    version = ask(nodes[0], "SELECT VERSION()")[0][0]
    assert api.data_node(nodes[0]["id"])["engine_version"] == version
    system.ctl("instances", "sync-data-nodes", instance)
    assert api.data_node(nodes[0]["id"])["engine_version"] == version


def test_connections_are_tried(shop):
    system, _, instance, nodes = shop
    node = nodes[0]

    def info(**other):
        good = {"endpoint": f"{node['host']}:{node['port']}", "username": node["admin_user"],
                "password": node["admin_password"], "rds_instance_id": node["id"]}
        return EsdbCheckRdsConnectionRequestV3(**{**good, **other})

    answer = system.sdk().check_data_node_connection(CheckDataNodeConnectionRequest(
        instance_id=instance, body=EsdbCheckRdsConnectionsRequestV3(infos=[
            info(), info(password="wrong"), info(endpoint="127.0.0.1:1"), info(rds_instance_id="0" * 32 + "in01")])))
    told = [(one.rds_instance_id, one.success, one.error_code) for one in answer.rds_check_infos]
    assert told == [(node["id"], "true", None), (node["id"], "false", "DBS.300114"),
                    (node["id"], "false", "DBS.300408"), ("0" * 32 + "in01", "false", "DBS.300103")]


def traces(nodes):
    """Databases and accounts of ours on each server."""
    databases = "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'gone%' OR schema_name = '_ddm'"
    return [(sorted(name for (name,) in ask(node, databases)),
             len(ask(node, "SELECT user FROM mysql.user WHERE user LIKE 'DDMRW%'"))) for node in nodes]


@pytest.mark.parametrize("flag", ["true", "false", None])
def test_deleting_takes_the_data_only_when_told(replicated, flag):
    system, client = replicated, replicated.sdk()
    instance = buy(system, f"deleted-{flag or 'empty'}", nodes=1)
    with foreign_server(*FIT, "--server-id=601") as server:
        api = Api(system)
        status, body = api.call("POST", "v3/data-nodes", {"name": f"deleted-{flag}", **server})
        assert status == 201, body
        own = [{**server, "id": body["id"]}]
        assert traces(own) == [([], 0)]
        # A schema goes while another one stays, then the instance goes with that.
        make_schema(system, instance, "gone_a", own, 2)
        make_schema(system, instance, "gone_b", own, 2)
        everything = ["_ddm", "gone_a_0000", "gone_a_0001", "gone_b_0000", "gone_b_0001"]
        assert traces(own) == [(everything, 1)]
        client.delete_database(DeleteDatabaseRequest(instance_id=instance, ddm_dbname="gone_a", delete_rds_data=flag))

        shown = ShowDatabaseRequest(instance_id=instance, ddm_dbname="gone_a")
        eventually("the schema is gone", lambda: is_missing(lambda: client.show_database(shown)), JOB_SECONDS)
        left = ["_ddm", "gone_b_0000", "gone_b_0001"] if flag == "true" else everything
        assert traces(own) == [(left, 1)], "another schema still needs the account"
        client.delete_instance(DeleteInstanceRequest(instance_id=instance, delete_rds_data=flag))
        gone(system, instance)
        assert traces(own) == [([] if flag == "true" else left, 0)], "an account without an instance is nobody's"
        assert api.data_node(own[0]["id"])["instance_id"] is None
        assert api.call("DELETE", f"v3/data-nodes/{own[0]['id']}")[0] == 204
