"""RENAME TABLE into another schema: the physical tables move where both schemas have their shards on the same data
nodes, with their rows, keys and sequences; elsewhere it is refused. A killed node leaves the table on one side."""

import os
import random

import pymysql
import pytest
from nodes import KINDS, die_in, log_in
from system import UNTHROTTLED, System, eventually, rows

SEED = int(os.environ.get("DDM_TEST_SEED", "1").split(",")[0])
ROUNDS = 10 if os.environ.get("DDM_TEST_FORM") == "long" else 3
SETTLED_SECONDS = 90


@pytest.fixture(scope="module")
def two():
    system = System("--demo", environment=UNTHROTTLED)
    try:
        system.start()
        instance = system.endpoints["demo"]["instance_id"]
        for name, mode, shards in (("here", "cluster", "8"), ("there", "cluster", "8"), ("fewer", "cluster", "4")):
            system.ctl("schemas", "create", instance, name, "--mode", mode, "--shards", shards)
        yield system
    finally:
        system.remove()


def refused(connection, statement):
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(connection, statement)
    return caught.value.args[0]


def make(connection, name, clause):
    rows(connection, f"CREATE TABLE {name} (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20)) {clause}")
    rows(connection, f"INSERT INTO {name} (v) VALUES " + ", ".join(f"('v{n}')" for n in range(50)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_moves_with_its_rows(two, kind):
    client = log_in(two, "here")
    name = f"moved_{kind}"
    make(client, name, KINDS[kind])
    before = rows(client, f"SELECT id, v FROM {name} ORDER BY id")
    rows(client, f"RENAME TABLE {name} TO there.{name}_now")
    assert refused(client, f"SELECT * FROM {name}") == 1146
    assert rows(client, f"SELECT id, v FROM there.{name}_now ORDER BY id") == before
    assert rows(client, f"SELECT v FROM there.{name}_now WHERE id = {before[7][0]}") == [(before[7][1],)]
    rows(client, f"INSERT INTO there.{name}_now (v) VALUES ('more')")
    assert rows(client, f"SELECT id FROM there.{name}_now WHERE v = 'more'")[0][0] > before[-1][0]
    make(client, name, KINDS[kind])
    assert refused(client, f"RENAME TABLE {name} TO there.{name}_now") == 1050
    rows(client, f"ALTER TABLE there.{name}_now RENAME TO here.{name}_back")
    assert rows(client, f"SELECT COUNT(*) FROM {name}_back") == [(51,)]
    for schema in ("here", "there"):
        assert [row for row in rows(log_in(two, schema), "CHECK TABLE") if row[4] != "Y"] == []
    assert refused(client, f"RENAME TABLE {name} TO nosuch.{name}") == 1049
    if kind != "alone":
        assert refused(client, f"RENAME TABLE {name} TO fewer.{name}") == 1235
    rows(client, f"CREATE VIEW shown AS SELECT id FROM {name}")
    assert refused(client, "RENAME TABLE shown TO there.shown") == 1450
    rows(client, "DROP VIEW shown")
    rows(client, f"DROP TABLE {name}, {name}_back")


def test_a_killed_node_leaves_it_on_one_side(two):
    rng = random.Random(SEED)
    client = log_in(two, "here")
    make(client, "torn", KINDS["sharded"])
    for _ in range(ROUNDS):
        die_in(two, "here", "RENAME TABLE here.torn TO there.torn", rng.uniform(0, 0.1))
        found = []

        def settled():
            found.clear()
            for schema in ("here", "there"):
                connection = log_in(two, schema)
                assert [row for row in rows(connection, "CHECK TABLE") if row[4] != "Y"] == []
                if rows(connection, "SHOW TABLES LIKE 'torn'"):
                    rows(connection, "ALTER TABLE torn COMMENT = 'free'")
                    found.append(schema)
            assert len(found) == 1, found
            return True

        eventually("the rename is settled", settled, SETTLED_SECONDS)
        client = log_in(two, "here")
        assert rows(client, f"SELECT COUNT(*), SUM(id) FROM {found[0]}.torn") == [(50, 50 * 51 // 2)]
        rows(client, f"INSERT INTO {found[0]}.torn (v) VALUES ('new')")
        rows(client, f"DELETE FROM {found[0]}.torn WHERE v = 'new'")
        if found[0] == "there":
            rows(client, "RENAME TABLE there.torn TO here.torn")
