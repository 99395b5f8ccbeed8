"""Transfers over shards from many sessions on two nodes, which are killed again and again meanwhile: the money is right at every
consistent read and at the end, no acknowledged transfer is lost, none is there twice. Without `consistent_reads` the same
readers do see money on its way, so the readers do look.

DDM_TEST_FORM=long takes more sessions and minutes, DDM_TEST_SECONDS its own time."""

import os
import signal
import threading
import time

import pymysql
import pytest
from bank import LOCK_WAIT_SECONDS, Bank, make
from shop import Shop
from system import eventually, rows

LONG = os.environ.get("DDM_TEST_FORM") == "long"
PAYERS, COUNTERS = (32, 6) if LONG else (8, 3)
SECONDS = float(os.environ.get("DDM_TEST_SECONDS", "600" if LONG else "15"))
# A node serves so long before it is killed.
SERVES_SECONDS = 3
RETURN_SECONDS = 60


@pytest.fixture(scope="module")
def bank_shop():
    with Shop() as shop:
        shop.system.ctl("parameters", "set", shop.ends["instance_id"], "consistent_reads=SESSION")
        make(shop.log_in())
        yield shop


def opener(shop, wants):
    """Sessions of even numbers on the first node, of odd ones on the second."""
    def open_session(number):
        session = shop.log_in(shop.hosts[number % 2])
        rows(session, f"SET innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}")
        rows(session, f"SET ddm_consistent_reads = {wants}")
        return session
    return open_session


def in_force(shop):
    def check():
        for host in shop.hosts:
            with shop.log_in(host) as session:
                rows(session, "SET ddm_consistent_reads = ON")
        return True
    eventually("the parameter is in force", check)


def kill_one(shop, killed):
    """kill -9 of one node, in turn, until it serves again."""
    time.sleep(SERVES_SECONDS)
    host = shop.hosts[len(killed) % 2]
    begun = time.monotonic()
    os.kill(shop.node_of(host), signal.SIGKILL)
    eventually("the node is back", lambda: shop.log_in(host).close() is None, RETURN_SECONDS)
    killed.append(time.monotonic() - begun)


def settled(shop):
    """No branch is prepared on any data node."""
    for node in shop.system.endpoints["data_nodes"]:
        with pymysql.connect(host=node["host"], port=node["port"], user=node["admin_user"],
                             password=node["admin_password"]) as direct:
            if rows(direct, "XA RECOVER"):
                return False
    return True


def test_money_is_right_while_nodes_die(bank_shop):
    in_force(bank_shop)
    bank = Bank(opener(bank_shop, "ON"), seed=1)
    killed = []
    bank.run(PAYERS, COUNTERS, SECONDS, lambda: kill_one(bank_shop, killed))
    eventually("all branches are finished", lambda: settled(bank_shop))
    with opener(bank_shop, "ON")(0) as session:
        assert bank.total(session) is None
        assert bank.books(session) is None
        figures = bank.compare(session)
    print(f"{figures}, {bank.reads} reads, {bank.unanswered} unanswered, {len(killed)} kills, "
          f"longest away {max(killed):.1f} s")
    assert not bank.wrong, bank.wrong[:3]
    for what in ["lost", "twice", "refused and there", "nobody's"]:
        assert not figures[what], (what, figures)
    assert figures["acknowledged"] > 20 and bank.reads > 5, (figures, bank.reads)


def test_without_the_setting_money_is_seen_on_its_way(bank_shop):
    """Many tries: one half seen is enough."""
    in_force(bank_shop)
    bank = Bank(opener(bank_shop, "OFF"), seed=2)
    seen = threading.Event()

    def look():
        time.sleep(0.1)
        if bank.wrong:
            seen.set()
            bank.over.set()

    bank.run(PAYERS, COUNTERS, 60, look)
    assert seen.is_set()
    with opener(bank_shop, "ON")(0) as session:
        assert bank.total(session) is None and bank.books(session) is None
