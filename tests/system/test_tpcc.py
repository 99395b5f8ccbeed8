"""TPC-C's five transactions by several terminals over tables sharded by warehouse: its consistency conditions hold at
the end, through DDM and on each data node, also when data node connections are killed meanwhile."""

import os
import threading
import time

import pymysql
import pytest
from system import System, connect, rows
from tpcc import Terminal, make, violated

LONG = os.environ.get("DDM_TEST_FORM") == "long"
WAREHOUSES = 4 if LONG else 2
TERMINALS = 12 if LONG else 6
SECONDS = 120 if LONG else 12
KILL_EVERY = 3


@pytest.fixture(scope="module")
def market():
    system = System("--demo")
    system.start()
    try:
        demo = system.endpoints["demo"]
        system.ctl("schemas", "create", demo["instance_id"], "tpcc", "--mode", "cluster", "--shards", "2")

        def session(**more):
            return connect(demo["host"], demo["port"], demo["admin_user"], demo["admin_password"], "tpcc", **more)

        with session() as first:
            make(first, WAREHOUSES)
        yield system, session
    finally:
        system.remove()


def play(session, seconds, seed):
    """All terminals for so long; what they did."""
    until = time.monotonic() + seconds
    terminals = [Terminal(session, WAREHOUSES, seed + number) for number in range(TERMINALS)]
    failed = []

    def one(terminal):
        try:
            terminal.run(until)
        except Exception as error:  # noqa: BLE001 - shown below
            failed.append(repr(error))

    threads = [threading.Thread(target=one, args=(terminal,)) for terminal in terminals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 60)
        assert not thread.is_alive(), "a terminal hangs"
    assert not failed, failed
    done = {}
    for terminal in terminals:
        for key, count in terminal.done.items():
            done[key] = done.get(key, 0) + count
    return done, sum(t.again for t in terminals), sum(t.lost for t in terminals)


def check(system, session):
    """The conditions, through DDM and in each physical schema of the data nodes."""
    with session() as whole:
        assert violated(whole) == []
        assert rows(whole, "SELECT COUNT(*) FROM warehouse") == [(WAREHOUSES,)]
    seen = 0
    for node in system.endpoints["data_nodes"]:
        with pymysql.connect(host=node["host"], port=node["port"], user=node["admin_user"],
                             password=node["admin_password"]) as direct:
            names = [name for (name,) in rows(direct, "SHOW DATABASES") if name.startswith("tpcc")]
            for name in names:
                direct.select_db(name)
                if not rows(direct, "SHOW TABLES LIKE 'warehouse'"):
                    continue
                seen += rows(direct, "SELECT COUNT(*) FROM warehouse")[0][0]
                assert violated(direct) == [], name
            assert rows(direct, "XA RECOVER") == [], "a branch was left prepared"
    assert seen == WAREHOUSES, "the data nodes hold every warehouse once"


def test_the_conditions_hold_from_the_start(market):
    check(*market)


def test_five_transactions_keep_the_conditions(market):
    system, session = market
    done, _, lost = play(session, SECONDS, seed=100)
    assert set(done) == {"new_order", "payment", "order_status", "delivery", "stock_level"}, done
    assert lost == 0, "no connection was killed, none may be lost"
    check(system, session)


def test_killed_connections_keep_the_conditions(market):
    system, session = market
    over = threading.Event()
    killed = []

    def kill():
        while not over.wait(KILL_EVERY):
            for node in system.endpoints["data_nodes"]:
                with pymysql.connect(host=node["host"], port=node["port"], user=node["admin_user"],
                                     password=node["admin_password"]) as direct:
                    ours = rows(direct, "SELECT id FROM information_schema.processlist WHERE user LIKE 'DDM%' "
                                        "AND id <> CONNECTION_ID() ORDER BY RAND() LIMIT 1")
                    for (number,) in ours:
                        try:
                            rows(direct, f"KILL {number}")
                            killed.append(number)
                        except pymysql.MySQLError as error:
                            assert error.args[0] == 1094, error  # it has ended by itself

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        done, _, _ = play(session, SECONDS, seed=200)
    finally:
        over.set()
        killer.join()
    assert killed, "no connection was killed"
    assert done.get("new_order", 0) > 0 and done.get("payment", 0) > 0, done
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and prepared(system):
        time.sleep(0.5)
    check(system, session)


def prepared(system):
    """Branches that are prepared and not ended: recovery ends them soon."""
    found = 0
    for node in system.endpoints["data_nodes"]:
        with pymysql.connect(host=node["host"], port=node["port"], user=node["admin_user"],
                             password=node["admin_password"]) as direct:
            found += len(rows(direct, "XA RECOVER"))
    return found
