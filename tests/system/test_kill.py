"""Sessions are seen and ended from every node of the instance."""

import os
import signal
import threading
import time

import pymysql
import pytest
from shop import Shop
from system import rows

SOON = 5
ADMINISTRATOR, PASSWORD = "shop_admin", "R00t-of_Willow8"


@pytest.fixture(scope="module")
def shop():
    with Shop() as shop:
        yield shop


def own_id(session):
    return rows(session, "SELECT CONNECTION_ID()")[0][0]


def listed(session):
    return {row[0]: row for row in rows(session, "SHOW FULL PROCESSLIST")}


class Running:
    """A statement that runs in another thread, and how it ends."""

    def __init__(self, session, sql):
        self.error = None
        self.thread = threading.Thread(target=self.run, args=(session, sql))
        self.thread.start()

    def run(self, session, sql):
        try:
            rows(session, sql)
        except pymysql.err.MySQLError as error:
            self.error = error.args[0]

    def ends_with(self):
        self.thread.join(SOON)
        assert not self.thread.is_alive()
        return self.error


def test_every_node_lists_all_sessions(shop):
    first, second = (shop.log_in(host) for host in shop.hosts)
    ids = [own_id(first), own_id(second)]
    assert len(set(ids)) == 2
    for session in (first, second):
        assert rows(session, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID IN (%d, %d)" % tuple(ids)) == [(2,)]
        seen = listed(session)
        assert set(ids) <= set(seen) and list(seen) == sorted(seen)
        assert seen[own_id(session)][4:8] == ("Query", 0, "executing", "SHOW FULL PROCESSLIST")
        assert rows(session, "SHOW WARNINGS") == []


def test_a_statement_is_ended_from_another_node(shop):
    first, second = (shop.log_in(host) for host in shop.hosts)
    target = own_id(first)
    running = Running(first, "SELECT SLEEP(60)")
    deadline = time.monotonic() + SOON
    while listed(second)[target][4] != "Query":
        assert time.monotonic() < deadline
    assert listed(second)[target][7] == "SELECT SLEEP(60)"
    rows(second, f"KILL QUERY {target}")
    # SLEEP answers 1 when it is interrupted, as on one server, or the statement is an error.
    assert running.ends_with() in (None, 1317)
    assert rows(first, "SELECT 1") == [(1,)]


def test_a_session_is_ended_from_another_node(shop):
    first, second = (shop.log_in(host) for host in shop.hosts)
    target = own_id(first)
    rows(second, f"KILL {target}")
    with pytest.raises(pymysql.err.MySQLError):
        for _ in range(50):
            rows(first, "SELECT 1")
            time.sleep(0.1)
    assert target not in listed(second)
    with pytest.raises(pymysql.err.MySQLError) as unknown:
        rows(second, f"KILL {target}")
    assert unknown.value.args == (1094, f"Unknown thread id: {target}")


def test_an_account_sees_and_ends_its_own_alone(shop):
    shop.system.ctl("accounts", "set-administrator", shop.ends["instance_id"], ADMINISTRATOR, "--password", PASSWORD)
    administrator = shop.log_in(shop.hosts[0], ADMINISTRATOR, PASSWORD)
    rows(administrator, "CREATE USER clerk IDENTIFIED BY 'Clerk-2026-x'")
    rows(administrator, f"GRANT SELECT ON {shop.ends['schema']}.* TO clerk")
    clerks = [shop.log_in(host, "clerk", "Clerk-2026-x") for host in shop.hosts]
    ids = {own_id(clerk) for clerk in clerks}
    assert set(listed(clerks[0])) == ids
    with pytest.raises(pymysql.err.MySQLError) as refused:
        rows(clerks[1], f"KILL {own_id(administrator)}")
    assert refused.value.args[0] == 1095
    rows(administrator, "KILL USER clerk")
    deadline = time.monotonic() + SOON
    while ids & set(listed(administrator)):
        assert time.monotonic() < deadline
    rows(administrator, "DROP USER clerk")


def test_a_node_that_hangs_is_told_of(shop):
    asking = shop.log_in(shop.hosts[0])
    hung = shop.node_of(shop.hosts[1])
    os.kill(hung, signal.SIGSTOP)
    try:
        assert own_id(asking) in listed(asking)
        ((level, number, text),) = rows(asking, "SHOW WARNINGS")
        assert (level, number) == ("Warning", 3102) and "did not answer" in text
        with pytest.raises(pymysql.err.MySQLError) as unknown:
            rows(asking, "KILL 4000000000")
        assert unknown.value.args[0] == 1094 and "did not answer" in unknown.value.args[1]
    finally:
        os.kill(hung, signal.SIGCONT)


def test_without_the_control_plane_a_node_knows_its_own_sessions(shop):
    first, second = (shop.log_in(shop.hosts[0]) for _ in range(2))
    os.kill(shop.system.process.pid, signal.SIGSTOP)
    try:
        assert {own_id(first), own_id(second)} <= set(listed(first))
        ((_, number, text),) = rows(first, "SHOW WARNINGS")
        assert number == 3102 and "control plane" in text
        running = Running(second, "SELECT SLEEP(60)")
        time.sleep(0.5)
        rows(first, f"KILL {second.thread_id()}")
        assert running.ends_with() is not None
    finally:
        os.kill(shop.system.process.pid, signal.SIGCONT)
