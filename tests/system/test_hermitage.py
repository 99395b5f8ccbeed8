"""Cases of isolation do on one shard, on two data nodes and through two nodes what they do on a plain server, but for what
is listed here with its reason. They run side by side, each on tables of its own.

DDM_TEST_FORM=long plays more of them."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from hermitage import CASES, LEVELS, play
from plain import Plain
from shop import Shop
from system import eventually, rows

LONG = os.environ.get("DDM_TEST_FORM") == "long"
BEGIN, SNAPSHOT = "BEGIN", "START TRANSACTION WITH CONSISTENT SNAPSHOT"
AT_ONCE = 8

# Eight shards, the first four on the first data node.
ONE_SHARD = {"a": 8, "b": 16, "c": 24, "d": 32}
TWO_DATA_NODES = {"a": 1, "b": 5, "c": 6, "d": 10}
PLACES = {"one shard": (ONE_SHARD, 1), "two data nodes": (TWO_DATA_NODES, 1), "two data nodes, two nodes": (TWO_DATA_NODES, 2)}
PLAYED = list(PLACES) if LONG else ["one shard", "two data nodes, two nodes"]
PLAYED_LEVELS = LEVELS if LONG else LEVELS[1:]

FIRST_READ = ("a transaction's snapshot of a data node is taken when it reads it first; WITH CONSISTENT SNAPSHOT with consistent "
              "reads takes all at once")

# What is done on two data nodes otherwise, and why.
DIFFERENT = {
    ("G-single, a read skew", "REPEATABLE READ"): FIRST_READ,
    ("G-single, with a write", "REPEATABLE READ"): FIRST_READ,
}

# Over two data nodes a deadlock is found after a second, and the youngest transaction gives way; or, as MariaDB does not name
# those who lock for sharing when several do so beside each other, as the cases do here, the lock wait timeout ends it.
DEADLOCKS = {
    ("G1c, a circle of reads", "SERIALIZABLE"),
    ("G-single, with a write between", "SERIALIZABLE"),
    ("G2, a write skew", "SERIALIZABLE"),
    ("G2, by predicates", "SERIALIZABLE"),
}


@pytest.fixture(scope="module")
def played():
    """What each case did, on the server and elsewhere."""
    server, shop = Plain(), Shop()
    try:
        yield play_all(server, shop)
    finally:
        shop.system.remove()
        server.stop()


def play_all(server, shop):
    with server.log_in() as session:
        rows(session, "CREATE DATABASE shop")
    shop.system.ctl("parameters", "set", shop.ends["instance_id"], "consistent_reads=SESSION")
    for host in shop.hosts:
        eventually("the parameter is in force",
                   lambda: rows(shop.log_in(host), "SET ddm_consistent_reads = ON") == [])  # noqa: B023
    ways = [(case, BEGIN, level) for case in CASES for level in PLAYED_LEVELS]
    ways += [(case, SNAPSHOT, "REPEATABLE READ") for case in CASES]
    tables = [f"test_{number}" for number in range(AT_ONCE)]
    columns = "(id INT NOT NULL PRIMARY KEY, value INT NOT NULL)"
    for table in tables:
        rows(server.log_in("shop"), f"CREATE TABLE {table} {columns}")
        rows(shop.log_in(), f"CREATE TABLE {table} {columns} DBPARTITION BY MOD_HASH(id)")

    def one(number):
        """Every so many of the ways, one after the other."""
        table, done = tables[number], {}
        for case, begin, level in ways[number::AT_ONCE]:
            known = play(case, lambda _: server.log_in("shop"), table, begin, level, TWO_DATA_NODES)
            for place in PLAYED if begin == BEGIN else PLAYED[1:]:
                ids, nodes = PLACES[place]
                wants = "OFF" if begin == BEGIN else "ON"
                log_in = opener(shop, nodes, wants)
                done[place, case, begin, level] = play(case, log_in, table, begin, level, ids, known), known
        return done

    all_done = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in pool.map(one, range(AT_ONCE)):
            all_done.update(done)
    return all_done


def opener(shop, nodes, wants):
    def log_in(number):
        session = shop.log_in(shop.hosts[number % nodes])
        rows(session, f"SET ddm_consistent_reads = {wants}")
        return session
    return log_in


@pytest.mark.parametrize("level", PLAYED_LEVELS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("place", PLAYED)
def test_as_the_server(played, place, case, level):
    done, known = played[place, case, BEGIN, level]
    if place != "one shard" and (case, level) in DEADLOCKS:
        assert {"error 1213", "error 1205"} & {told for _, _, told in done if isinstance(told, str)}
        assert "error 1213" in [told for _, _, told in known]
    elif place != "one shard" and (case, level) in DIFFERENT:
        assert done != known, "it is listed as different and is not"
    else:
        assert done == known


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("place", PLAYED[1:])
def test_snapshots_as_the_servers(played, place, case):
    """With consistent reads nothing at REPEATABLE READ differs."""
    done, known = played[place, case, SNAPSHOT, "REPEATABLE READ"]
    assert done == known
