"""kill -9 of a node in the middle of changes of definitions: what they left on some of the physical
tables is finished or undone by itself, no table stays locked, and CHECK TABLE finds nothing."""

import os
import random
import time

import pymysql
import pytest
from nodes import die_in, hosts, log_in
from system import UNTHROTTLED, System, eventually, rows

SEED = int(os.environ.get("DDM_TEST_SEED", "1").split(",")[0])
ROUNDS = 12 if os.environ.get("DDM_TEST_FORM") == "long" else 4
# Rows enough that a copying ALTER takes its time on each physical table.
ROWS = 8_000
# A node is taken as dead after 5 s, and its changes are looked at after 10 s; one that died often starts late.
SETTLED_SECONDS = 90


@pytest.fixture(scope="module")
def faulty():
    system = System("--demo", environment=UNTHROTTLED)
    try:
        system.start()
        demo = system.endpoints["demo"]
        system.ctl("schemas", "create", demo["instance_id"], "faults", "--mode", "cluster", "--shards", "8")
        yield system
    finally:
        system.remove()


def open_schema(system):
    return log_in(system, "faults")


def fill(connection, table):
    with connection.cursor() as cursor:
        values = [(number, "x" * 40) for number in range(ROWS)]
        cursor.executemany(f"INSERT INTO {table} (id, v) VALUES (%s, %s)", values)


def make(connection):
    for table in ("big", "one", "two"):
        rows(connection, f"DROP TABLE IF EXISTS {table}")
        rows(connection, f"CREATE TABLE {table} (id INT NOT NULL PRIMARY KEY, v VARCHAR(40)) DBPARTITION BY MOD_HASH(id)")
    fill(connection, "big")
    rows(connection, "INSERT INTO one VALUES " + ", ".join(f"({n}, 'one')" for n in range(64)))
    rows(connection, "INSERT INTO two VALUES " + ", ".join(f"({n}, 'two')" for n in range(64)))


def settled(system, probe):
    """Waits until all physical tables agree and the tables can be changed again, on each node: they learn one after the
    other what came of a dead node's change."""

    def check():
        for host in hosts(system):
            connection = log_in(system, "faults", host)
            wrong = [row for row in rows(connection, "CHECK TABLE") if row[4] != "Y"]
            assert not wrong, wrong
            rows(connection, probe)
        return True

    eventually("the change is settled", check, SETTLED_SECONDS)
    return open_schema(system)


def columns(connection, table):
    return [row[0] for row in rows(connection, f"SHOW COLUMNS FROM {table}")]


def test_alter_is_finished_everywhere(faulty):
    rng = random.Random(SEED)
    connection = open_schema(faulty)
    make(connection)
    started = time.monotonic()
    rows(connection, "ALTER TABLE big ADD COLUMN c0 INT, ALGORITHM = COPY")
    whole = time.monotonic() - started
    for number in range(1, ROUNDS + 1):
        moment = whole * number / (ROUNDS + 1) * rng.uniform(0.8, 1.2)
        statement = f"ALTER TABLE big ADD COLUMN c{number} INT, ALGORITHM = COPY"
        told = die_in(faulty, "faults", statement, moment)
        connection = settled(faulty, "ALTER TABLE big COMMENT = 'free'")
        has = f"c{number}" in columns(connection, "big")
        assert has or not told, "the client was told OK and the column is not there"
        assert rows(connection, "SELECT COUNT(*) FROM big") == [(ROWS,)]
        if not has:
            rows(connection, statement)


def test_a_client_that_goes_away_leaves_its_change_to_others(faulty):
    """Its node lives, and nobody but the session knew of the change."""
    rng = random.Random(SEED + 3)
    connection = open_schema(faulty)
    make(connection)
    started = time.monotonic()
    rows(connection, "ALTER TABLE big ADD COLUMN c0 INT, ALGORITHM = COPY")
    whole = time.monotonic() - started
    for number in range(1, ROUNDS + 1):
        for statement in (f"ALTER TABLE big ADD COLUMN c{number} INT, ALGORITHM = COPY",
                          f"ALTER TABLE big DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(id) TBPARTITIONS {number + 1}"):
            leave_in(open_schema(faulty), statement, whole * rng.uniform(0.0, 1.0))
            connection = settled(faulty, "ALTER TABLE big COMMENT = 'free'")
            assert rows(connection, "SELECT COUNT(*) FROM big") == [(ROWS,)]


def leave_in(connection, statement, after):
    """Sends a statement and closes the connection a moment later."""
    connection._execute_command(pymysql.constants.COMMAND.COM_QUERY, statement)  # noqa: SLF001 - without waiting
    time.sleep(after)
    connection._force_close()  # noqa: SLF001 - without a goodbye


def test_a_swap_is_whole(faulty):
    rng = random.Random(SEED + 1)
    connection = open_schema(faulty)
    make(connection)
    for _ in range(ROUNDS):
        die_in(faulty, "faults", "RENAME TABLE one TO three, two TO one, three TO two", rng.uniform(0, 0.12))
        connection = settled(faulty, "ALTER TABLE one COMMENT = 'free'")
        rows(connection, "ALTER TABLE two COMMENT = 'free'")
        ones = {row[0] for row in rows(connection, "SELECT DISTINCT v FROM one")}
        twos = {row[0] for row in rows(connection, "SELECT DISTINCT v FROM two")}
        assert len(ones) == 1 and len(twos) == 1 and ones != twos, (ones, twos)


def test_create_drop_and_truncate_are_whole(faulty):
    rng = random.Random(SEED + 2)
    connection = open_schema(faulty)
    make(connection)
    for number in range(ROUNDS):
        name = f"made{number}"
        die_in(faulty, "faults", f"CREATE TABLE {name} (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)", rng.uniform(0, 0.1))
        connection = settled(faulty, f"CREATE TABLE IF NOT EXISTS {name} (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)")
        rows(connection, f"INSERT INTO {name} VALUES (1), (2), (3), (4), (5), (6), (7), (8)")
        die_in(faulty, "faults", f"DROP TABLE {name}", rng.uniform(0, 0.1))
        connection = settled(faulty, f"DROP TABLE IF EXISTS {name}")
        rows(connection, f"CREATE TABLE {name} (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)")
        assert rows(connection, f"SELECT COUNT(*) FROM {name}") == [(0,)]
    rows(connection, "INSERT INTO made0 VALUES (1), (2), (3), (4), (5), (6), (7), (8)")
    die_in(faulty, "faults", "TRUNCATE TABLE made0", 0.03)
    connection = settled(faulty, "ALTER TABLE made0 COMMENT = 'free'")
    assert rows(connection, "SELECT COUNT(*) FROM made0")[0][0] in (0, 8)


def test_a_refused_definition_locks_nothing(faulty):
    connection = open_schema(faulty)
    for _ in range(2):
        # What the key's type is the data node says, after the tables are made.
        with pytest.raises(pymysql.MySQLError) as caught:
            rows(connection, "CREATE TABLE refused (a CHAR(2) CHARACTER SET binary) DBPARTITION BY HASH(a)")
        assert caught.value.args[0] == 1210, caught.value
    rows(connection, "CREATE TABLE refused (a INT) DBPARTITION BY HASH(a)")
    rows(connection, "DROP TABLE refused")
