"""Reading definitions anew: after something else than DDM changed physical tables, as a copy from another
region does, both forms of the call make every node use what the data nodes have now."""

import pymysql
import pytest
from huaweicloudsdkddm.v1 import RebuildConfigRequest, RebuildDdmConfigRequest
from system import connect, rows


@pytest.fixture
def table(demo):
    ends = demo.endpoints["demo"]
    with log_in(demo) as client:
        rows(client, "CREATE TABLE moved (id INT PRIMARY KEY, a INT) DBPARTITION BY HASH(id)")
        rows(client, "INSERT INTO moved VALUES (1, 10), (2, 20), (3, 30)")
    yield ends["schema"]
    with log_in(demo) as client:
        rows(client, "DROP TABLE moved")


def log_in(demo, host=None):
    ends = demo.endpoints["demo"]
    return connect(host or ends["host"], ends["port"], ends["user"], ends["password"], ends["schema"])


def behind_its_back(demo, schema, change):
    """Runs a change of the table in every physical database."""
    changed = 0
    for node in demo.endpoints["data_nodes"]:
        with connect(node["host"], node["port"], node["admin_user"], node["admin_password"]) as direct:
            for (database,) in rows(direct, f"SHOW DATABASES LIKE '{schema}\\_0%'"):
                rows(direct, f"ALTER TABLE `{database}`.moved {change}")
                changed += 1
    assert changed == 8


def unknown_column(client, sql):
    with pytest.raises(pymysql.err.MySQLError) as error:
        rows(client, sql)
    return error.value.args[0] == 1054


@pytest.mark.parametrize("method, request_type", [
    ("rebuild_config", RebuildConfigRequest), ("rebuild_ddm_config", RebuildDdmConfigRequest)])
def test_new_definitions_are_used(demo, table, method, request_type):
    instance, client = demo.endpoints["demo"]["instance_id"], demo.sdk()
    hosts = [node["ip"] for node in demo.ctl("instances", "show", instance)["nodes"]]
    grouped = "SELECT b, COUNT(*) FROM moved GROUP BY b ORDER BY b"
    behind_its_back(demo, table, "ADD COLUMN b INT NOT NULL DEFAULT 7")
    sessions = [log_in(demo, host) for host in hosts]
    assert all(unknown_column(session, grouped) for session in sessions), "nobody told the nodes"
    getattr(client, method)(request_type(instance_id=instance))
    assert demo.ctl("instances", "show", instance)["status"] == "RUNNING"
    for session in sessions:
        assert rows(session, grouped) == [(7, 3)], "sessions that were open follow too"
    rows(sessions[0], "INSERT INTO moved VALUES (4, 40, 8)")
    assert rows(sessions[-1], grouped) == [(7, 3), (8, 1)]
    behind_its_back(demo, table, "DROP COLUMN b")
    getattr(client, method)(request_type(instance_id=instance))
    for session in sessions:
        assert unknown_column(session, grouped)
        session.close()
