"""kill -9 of a node at one known step of a change of definitions: a lock on a data node holds the change there, all
that came before is done, and nothing that comes after. Within 20 seconds it is wholly old or wholly new."""

import os
import signal
import threading
import time

import pytest
from nodes import all_serve, log_in, oldest, process_of
from system import UNTHROTTLED, System, connect, eventually, rows

SETTLED_SECONDS = 20
SHARDS = 8
TABLE = "DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(id) TBPARTITIONS 2"
# At which shard it is held, and whether what waits there goes on when the node is dead.
HOLDS = [(0, True), (SHARDS - 1, False)]
if os.environ.get("DDM_TEST_FORM") == "long":
    HOLDS = [(shard, go_on) for shard in (0, SHARDS // 2 - 1, SHARDS - 1) for go_on in (True, False)]
# The statement, what may be told of it afterwards (of tables a and b), and whether a table is there to be locked.
CHANGES = {
    "alter": ("ALTER TABLE a ADD COLUMN more INT DEFAULT 7", {("a", 3), ("a", 2)}),
    "index": ("CREATE INDEX by_v ON a (v)", {("a", 2)}),
    "truncate": ("TRUNCATE TABLE a", {("a", 2)}),
    "drop": ("DROP TABLE a", {("a", 2), ()}),
    "rename": ("RENAME TABLE a TO c", {("a", 2), ("c", 2)}),
    "swap": ("RENAME TABLE a TO c, b TO a, c TO b", {("a", 2)}),
    "rename_column": ("ALTER TABLE a CHANGE v w VARCHAR(30), RENAME TO c", {("a", 2), ("c", 2)}),
}


@pytest.fixture(scope="module")
def stepped():
    system = System("--demo", environment=UNTHROTTLED)
    try:
        system.start()
        instance = system.endpoints["demo"]["instance_id"]
        system.ctl("schemas", "create", instance, "steps", "--mode", "cluster", "--shards", str(SHARDS))
        yield system
    finally:
        system.remove()


def administrator(system, shard):
    """A session on the data node that has a shard."""
    for node in system.endpoints["data_nodes"]:
        session = connect(node["host"], node["port"], node["admin_user"], node["admin_password"])
        if rows(session, f"SHOW DATABASES LIKE 'steps\\_{shard:04}'"):
            return session
        session.close()
    raise LookupError(shard)


def make(system):
    eventually("both nodes serve", lambda: all_serve(system, "steps"), 90)
    client = log_in(system, "steps")
    for table in ("a", "b", "c", "made"):
        rows(client, f"DROP TABLE IF EXISTS {table}")
    for table in ("a", "b"):
        rows(client, f"CREATE TABLE {table} (id INT NOT NULL PRIMARY KEY, v VARCHAR(20)) {TABLE}")
        rows(client, f"INSERT INTO {table} VALUES " + ", ".join(f"({n}, '{table}')" for n in range(64)))


def held_there(session):
    """The connections that wait for the lock."""
    wait = "SELECT ID FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for%lock%' OR STATE LIKE 'Waiting for%flush%'"
    return [row[0] for row in rows(session, wait)]


def run_into(system, lock, session, statement, go_on):
    """Runs the statement until it waits for the lock, kills its node, and takes the lock away; what waited goes on
    or does not."""
    host = oldest(system)
    victim = process_of(system, host)
    rows(session, lock)

    def run():
        try:
            rows(log_in(system, "steps", host), statement)
        except Exception:  # noqa: BLE001 - the connection dies with the node
            pass

    runner = threading.Thread(target=run, daemon=True)
    runner.start()
    waiting = eventually("the statement is held", lambda: held_there(session), 15)
    time.sleep(0.5)  # The other data node comes to its end.
    os.kill(victim, signal.SIGKILL)
    if not go_on:
        for connection in waiting:
            rows(session, f"KILL {connection}")
        time.sleep(0.2)
    rows(session, "UNLOCK TABLES")
    session.close()
    runner.join(30)


def settled(system, probes):
    def check():
        client = log_in(system, "steps")
        wrong = [row for row in rows(client, "CHECK TABLE") if row[4] != "Y"]
        assert not wrong, wrong
        names = {row[0] for row in rows(client, "SHOW TABLES")}
        for name in probes & names:
            rows(client, f"ALTER TABLE {name} COMMENT = 'free'")
        for name in probes - names:
            rows(client, f"CREATE TABLE {name} (id INT PRIMARY KEY) {TABLE}")
            rows(client, f"DROP TABLE {name}")
        return client

    eventually("the change is settled", lambda: bool(check()), SETTLED_SECONDS)
    return log_in(system, "steps")


@pytest.mark.parametrize("shard, go_on", HOLDS)
@pytest.mark.parametrize("change", CHANGES)
def test_held_at_a_physical_table(stepped, change, shard, go_on):
    statement, outcomes = CHANGES[change]
    make(stepped)
    session = administrator(stepped, shard)
    run_into(stepped, f"LOCK TABLES steps_{shard:04}.a_1 READ", session, statement, go_on)
    client = settled(stepped, {"a", "b", "c"})
    names = {row[0] for row in rows(client, "SHOW TABLES")} & {"a", "c"}
    found = tuple((name, len(rows(client, f"SHOW COLUMNS FROM {name}"))) for name in sorted(names))
    assert found in {(one,) if one else () for one in outcomes}, found
    counts = {name: rows(client, f"SELECT COUNT(*), COUNT(DISTINCT id) FROM {name}")[0] for name in names | {"b"}}
    assert all(count in ((64, 64), (0, 0)) for count in counts.values()), counts
    if change == "swap":
        values = [rows(client, f"SELECT DISTINCT v FROM {name}") for name in ("a", "b")]
        assert sorted(values) == [[("a",)], [("b",)]], values


@pytest.mark.parametrize("shard, go_on", HOLDS)
def test_held_at_a_whole_data_node(stepped, shard, go_on):
    make(stepped)
    session = administrator(stepped, shard)
    statement = f"CREATE TABLE made (id INT PRIMARY KEY, v INT) {TABLE}"
    run_into(stepped, "FLUSH TABLES WITH READ LOCK", session, statement, go_on)
    client = settled(stepped, {"a", "made"})
    rows(client, statement)
    rows(client, "INSERT INTO made VALUES " + ", ".join(f"({n}, 1)" for n in range(64)))
    assert rows(client, "SELECT COUNT(*) FROM made") == [(64,)]
