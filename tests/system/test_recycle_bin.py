"""The recycle bin: with enable_table_recycle=ON a dropped table is kept with its rows, comes back by RESTORE TABLE,
and goes for good by PURGE, with its schema, or when too many are kept. A killed node leaves it whole."""

import os
import random

import pymysql
import pytest
from nodes import KINDS, die_in, log_in
from system import UNTHROTTLED, System, eventually, rows

SEED = int(os.environ.get("DDM_TEST_SEED", "1").split(",")[0])
ROUNDS = 10 if os.environ.get("DDM_TEST_FORM") == "long" else 4
COPIES_MAX = 10
SETTLED_SECONDS = 90


@pytest.fixture(scope="module")
def bin_system():
    system = System("--demo", environment=UNTHROTTLED)
    try:
        system.start()
        instance = system.endpoints["demo"]["instance_id"]
        system.ctl("schemas", "create", instance, "kept", "--mode", "cluster", "--shards", "8")
        system.ctl("schemas", "create", instance, "solo", "--mode", "single")
        system.ctl("parameters", "set", instance, "enable_table_recycle=ON")
        eventually("the parameter is known", lambda: is_on(system), 60)
        yield system
    finally:
        system.remove()


def is_on(system):
    client = log_in(system, "solo")
    rows(client, "CREATE TABLE IF NOT EXISTS probe (id INT)")
    rows(client, "DROP TABLE probe")
    assert len(rows(client, "SHOW RECYCLEBIN")) > 0
    rows(client, "PURGE RECYCLEBIN")
    return True


def refused(connection, statement):
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(connection, statement)
    return caught.value.args[0]


def make(connection, name, clause, count=60):
    rows(connection, f"CREATE TABLE {name} (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20)) {clause}")
    rows(connection, f"INSERT INTO {name} (v) VALUES " + ", ".join(f"('v{n}')" for n in range(count)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_dropped_table_comes_back_with_its_rows(bin_system, kind):
    client = log_in(bin_system, "kept")
    name = f"back_{kind}"
    make(client, name, KINDS[kind])
    before = rows(client, f"SELECT id, v FROM {name} ORDER BY id")
    create = rows(client, f"SHOW CREATE TABLE {name}")[0][1].split(" AUTO_INCREMENT")[0]
    rows(client, f"DROP TABLE {name}")
    assert refused(client, f"SELECT * FROM {name}") == 1146
    assert rows(client, f"SHOW TABLES LIKE '{name}'") == []
    listed = rows(client, f"SHOW RECYCLEBIN LIKE '{name}'")
    assert [row[1] for row in listed] == [name] and listed[0][3] < listed[0][4], listed
    # What is in the bin is no table to anybody.
    assert refused(client, f"SELECT * FROM `{listed[0][0]}`") == 1146
    assert rows(client, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'kept' "
                        "AND TABLE_NAME LIKE '\\_ddm%'") == []
    # The name is free, and its values begin anew.
    make(client, name, KINDS[kind], 3)
    assert rows(client, f"SELECT COUNT(*) FROM {name}") == [(3,)]
    assert refused(client, f"RESTORE TABLE {name}") == 1050
    rows(client, f"ALTER TABLE {name} RENAME TO {name}_new")
    rows(client, f"RESTORE TABLE kept.{name}")
    assert rows(client, f"SELECT id, v FROM {name} ORDER BY id") == before
    assert rows(client, f"SHOW CREATE TABLE {name}")[0][1].split(" AUTO_INCREMENT")[0] == create
    assert rows(client, f"SHOW RECYCLEBIN LIKE '{name}'") == []
    rows(client, f"INSERT INTO {name} (v) VALUES ('more')")
    assert rows(client, f"SELECT MAX(id) FROM {name} WHERE v = 'more'")[0][0] > before[-1][0]
    assert [row for row in rows(client, "CHECK TABLE") if row[4] != "Y"] == []
    assert refused(client, f"RESTORE TABLE {name}") == 3114
    rows(client, f"DROP TABLE {name}, {name}_new")
    assert len(rows(client, "SHOW RECYCLEBIN FROM kept")) == 2
    rows(client, f"PURGE TABLE {name}")
    rows(client, "PURGE RECYCLEBIN FROM kept")
    assert rows(client, "SHOW RECYCLEBIN") == []
    assert files(bin_system) == []


def files(system):
    return [file.name for file in (system.data_dir / "data-nodes").glob("*/data/*/_ddm_bin*.ibd")]


def test_several_of_one_name_and_what_replaces(bin_system):
    client = log_in(bin_system, "kept")
    for value in ("first", "second"):
        rows(client, "CREATE TABLE twice (id INT PRIMARY KEY, v VARCHAR(9)) DBPARTITION BY MOD_HASH(id)")
        rows(client, f"INSERT INTO twice VALUES (1, '{value}')")
        rows(client, "DROP TABLE IF EXISTS twice")
    older = next(row[0] for row in rows(client, "SHOW RECYCLEBIN") if row[1] == "twice" and "bin1" in row[0])
    rows(client, "RESTORE TABLE twice")
    assert rows(client, "SELECT v FROM twice") == [("second",)]
    rows(client, "CREATE OR REPLACE TABLE twice (other INT)")
    assert rows(client, "SELECT COUNT(*) FROM twice") == [(0,)]
    rows(client, "DROP TABLE twice")
    rows(client, f"RESTORE TABLE `{older}`")
    assert rows(client, "SELECT v FROM twice") == [("first",)]
    rows(client, "DROP TABLE twice")
    rows(client, "PURGE RECYCLEBIN")


def test_a_table_whose_rows_failed_is_not_kept(bin_system):
    client = log_in(bin_system, "kept")
    make(client, "source", KINDS["sharded"], 5)
    assert refused(client, "CREATE TABLE broken (PRIMARY KEY (one)) AS SELECT 1 AS one, v FROM source") == 1062
    assert rows(client, "SHOW RECYCLEBIN") == []
    rows(client, "DROP TABLE source")
    rows(client, "PURGE RECYCLEBIN")


def test_what_cannot_be_kept_is_told(bin_system):
    client = log_in(bin_system, "solo")
    rows(client, "CREATE TABLE parent (id INT PRIMARY KEY)")
    rows(client, "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id))")
    assert refused(client, "DROP TABLE parent") == 1451
    with client.cursor() as cursor:
        cursor.execute("DROP TABLE child")
        cursor.execute("SHOW WARNINGS")
        assert [row[1] for row in cursor.fetchall()] == [3114]
    rows(client, "CREATE TRIGGER told BEFORE INSERT ON parent FOR EACH ROW SET NEW.id = NEW.id + 1")
    rows(client, "DROP TABLE parent")
    assert rows(client, "SHOW RECYCLEBIN") == []
    rows(client, "CREATE TABLE plain (id INT)")
    rows(client, "CREATE VIEW shown AS SELECT * FROM plain")
    rows(client, "INSERT INTO plain VALUES (1)")
    rows(client, "DROP TABLE plain")
    rows(client, "RESTORE TABLE plain")
    assert rows(client, "SELECT * FROM shown") == [(1,)]
    rows(client, "DROP VIEW shown")
    rows(client, "CREATE TEMPORARY TABLE passing (id INT)")
    rows(client, "DROP TABLE passing")
    assert rows(client, "SHOW RECYCLEBIN") == []
    rows(client, "DROP TABLE plain")


def test_a_killed_node_leaves_it_in_or_out(bin_system):
    rng = random.Random(SEED)
    client = log_in(bin_system, "kept")
    make(client, "half", KINDS["sharded"])
    whole = (60, 60 * 61 // 2)
    for number in range(ROUNDS):
        die_in(bin_system, "kept", "DROP TABLE half" if number % 2 == 0 else "RESTORE TABLE half", rng.uniform(0, 0.15))

        def settled():
            connection = log_in(bin_system, "kept")
            assert [row for row in rows(connection, "CHECK TABLE") if row[4] != "Y"] == []
            kept = [row for row in rows(connection, "SHOW RECYCLEBIN") if row[1] == "half"]
            if kept:
                rows(connection, "RESTORE TABLE half")
            rows(connection, "ALTER TABLE half COMMENT = 'free'")
            return connection

        eventually("the change is settled", lambda: bool(settled()), SETTLED_SECONDS)
        client = log_in(bin_system, "kept")
        assert rows(client, "SELECT COUNT(*), SUM(id) FROM half") == [whole]
        if number % 2 == 0:
            rows(client, "DROP TABLE half")
    rows(client, "DROP TABLE IF EXISTS half")


def test_what_is_kept_too_long_goes_and_the_rest_survives_a_restart(bin_system):
    client = log_in(bin_system, "kept")
    rows(client, "PURGE RECYCLEBIN")
    for number in range(COPIES_MAX + 2):
        rows(client, "CREATE TABLE many (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)")
        rows(client, f"INSERT INTO many VALUES ({number})")
        rows(client, "DROP TABLE many")
    assert len(rows(client, "SHOW RECYCLEBIN")) == COPIES_MAX + 2
    bin_system.stop()
    bin_system.start()

    def emptied():
        connection = log_in(bin_system, "kept")
        assert len(rows(connection, "SHOW RECYCLEBIN")) == COPIES_MAX
        return True

    eventually("the oldest are gone", emptied, 60)
    client = log_in(bin_system, "kept")
    names = {row[0] for row in rows(client, "SHOW RECYCLEBIN")}
    assert not names & {"_ddm_bin1_many", "_ddm_bin2_many"}
    assert not [name for name in files(bin_system) if name.endswith(("bin1_many.ibd", "bin2_many.ibd"))]
    rows(client, "RESTORE TABLE many")
    assert rows(client, "SELECT id FROM many") == [(COPIES_MAX + 1,)]


def test_a_schema_takes_its_bin_along(bin_system):
    instance = bin_system.endpoints["demo"]["instance_id"]
    for _ in range(2):
        bin_system.ctl("schemas", "create", instance, "passing", "--mode", "cluster", "--shards", "2")
        client = log_in(bin_system, "passing")
        assert rows(client, "SHOW RECYCLEBIN") == []
        rows(client, "CREATE TABLE gone (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)")
        rows(client, "DROP TABLE gone")
        assert len(rows(client, "SHOW RECYCLEBIN")) == 1
        client.close()
        bin_system.ctl("schemas", "delete", instance, "passing", "--delete-data")
