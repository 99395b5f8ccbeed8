"""Histories of transactions on lists show no anomaly that their isolation level excludes: on a plain server, on one shard, over
shards, and through two nodes. In snapshots of all data nodes nobody sees half of a commit.

DDM_TEST_FORM=long takes more sessions and time."""

import os

import pytest
from cycles import OK, find
from list_append import ALLOWED, ALLOWED_IN_SNAPSHOTS, Lists, apart, mixed
from plain import Plain
from shop import Shop
from system import eventually, rows

LONG = os.environ.get("DDM_TEST_FORM") == "long"
THREADS = 16 if LONG else 6
SECONDS = 60 if LONG else 3
# What is enough to be judged, however slow the machine.
COMMITTED_MIN = 5

# Where the keys lie, over eight shards on two data nodes, and through how many nodes sessions come.
PLACES = {"one shard": (8, 1), "shards": (1, 1), "shards, two nodes": (1, 2)}


@pytest.fixture(scope="module")
def plain():
    server = Plain()
    with server.log_in() as session:
        rows(session, "CREATE DATABASE shop")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shop():
    with Shop() as one:
        one.system.ctl("parameters", "set", one.ends["instance_id"], "consistent_reads=SESSION")
        for host in one.hosts:
            eventually("the parameter is in force",
                       lambda host=host: rows(one.log_in(host), "SET ddm_consistent_reads = ON") == [])
        yield one


def judge(lists, session, allowed):
    committed = sum(one.outcome == OK for one in lists.history)
    found = find(lists.history, lists.final(session))
    print(f"{committed} of {len(lists.history)} committed: {sorted(found)}")
    assert committed >= COMMITTED_MIN, committed
    assert set(found) <= allowed, {kind: found[kind] for kind in set(found) - allowed}


def level_of(level):
    return [f"SET SESSION TRANSACTION ISOLATION LEVEL {level}"]


@pytest.mark.parametrize("level", ALLOWED)
def test_plain_server(plain, level):
    lists = Lists(lambda _: plain.log_in("shop"), list(range(1000)), seed=1)
    with plain.log_in("shop") as session:
        lists.make(session, "")
        lists.run(THREADS, SECONDS, level_of(level), mixed)
        judge(lists, session, ALLOWED[level])


@pytest.mark.parametrize("level", ALLOWED)
@pytest.mark.parametrize("place", PLACES)
def test_levels_hold(shop, place, level):
    step, nodes = PLACES[place]
    lists = Lists(lambda number: shop.log_in(shop.hosts[number % nodes]), list(range(0, 1000 * step, step)), seed=2)
    with shop.log_in() as session:
        lists.make(session, "DBPARTITION BY MOD_HASH(k)")
        lists.run(THREADS, SECONDS, level_of(level), mixed)
        judge(lists, session, ALLOWED[level])


def test_snapshots_of_a_plain_server_show_no_anomaly(plain):
    lists = Lists(lambda _: plain.log_in("shop"), list(range(1000)), seed=3)
    with plain.log_in("shop") as session:
        lists.make(session, "")
        lists.run(THREADS, SECONDS, [], apart)
        judge(lists, session, set())


def test_snapshots_over_shards_show_no_half_of_a_commit(shop):
    lists = Lists(lambda number: shop.log_in(shop.hosts[number // 2 % 2]), list(range(1000)), seed=4)
    with shop.log_in() as session:
        lists.make(session, "DBPARTITION BY MOD_HASH(k)")
        lists.run(THREADS, 2 * SECONDS, ["SET ddm_consistent_reads = ON"], apart)
        judge(lists, session, ALLOWED_IN_SNAPSHOTS)
