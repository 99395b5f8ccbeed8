"""Many connections to one node: what an idle one keeps, the limit with its place for the administrator, and that
no session keeps the others of its thread waiting."""

import re
import subprocess
import threading
import time
from pathlib import Path

import pymysql
import pytest
from nodes import hosts, log_in, process_of
from raw import Raw
from system import System, connect, eventually, rows

IDLE = 1_000
# With room for what the allocator keeps and for a build that is not optimised; an idle connection takes about 12 KiB.
IDLE_KIB_MAX = 24
# The longest statement that an idle connection has had must not stay with it.
STATEMENT_BYTES = 1_000_000
LONG_KIB_MAX = 200
LIMIT = 12
# It goes to one shard.
ONE_ROW = b"SELECT n FROM ten WHERE n = 1"
# Rows of about 1 KiB that one session takes at once.
STREAMED_ROWS = 200_000
TENS = ", ".join(f"ten AS t{number}" for number in range(6))
SELECTS_MEANWHILE = 20


@pytest.fixture(scope="module")
def system():
    one = System("--demo")
    try:
        one.start()
        with log_in(one, "shop") as session:
            rows(session, "CREATE TABLE ten (n INT NOT NULL PRIMARY KEY) BROADCAST")
            rows(session, "INSERT INTO ten VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)")
        yield one
    finally:
        one.remove()


@pytest.fixture(scope="module")
def host(system):
    return hosts(system)[0]


def ends(system, host):
    demo = system.endpoints["demo"]
    return {"host": host, "port": demo["port"], "user": demo["admin_user"], "password": demo["admin_password"], "schema": "shop"}


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def ask(session, statement):
    session.send(b"\x03" + statement)
    for _ in range(2):  # the columns' end and the rows' end
        while (packet := session.packet())[:1] != b"\xfe":
            assert packet[:1] != b"\xff", packet


def opened(system, host, count, statement):
    sessions = [Raw(ends(system, host)) for _ in range(count)]
    for session in sessions:
        ask(session, statement)
    return sessions


def test_an_idle_connection_keeps_little(system, host):
    pid = process_of(system, host)
    first = opened(system, host, 100, ONE_ROW)
    before = resident_kib(pid)
    sessions = opened(system, host, IDLE, ONE_ROW)
    each = (resident_kib(pid) - before) / IDLE
    assert each < IDLE_KIB_MAX, f"{each} KiB"
    used = cpu_ticks(pid)
    time.sleep(3)
    assert cpu_ticks(pid) - used <= 30, "idle connections cost less than a tenth of a core"
    for session in [*first, *sessions]:
        session.socket.close()


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_a_long_statement_leaves_nothing(system, host):
    pid = process_of(system, host)
    sessions = opened(system, host, 100, b"SELECT 1")
    before = resident_kib(pid)
    statement = b"SELECT LENGTH('" + b"x" * STATEMENT_BYTES + b"') FROM ten WHERE n = 1"
    for session in sessions:
        ask(session, statement)
    each = (resident_kib(pid) - before) / len(sessions)
    assert each < LONG_KIB_MAX, f"{each} KiB"
    for session in sessions:
        session.socket.close()


def test_the_limit_has_one_more_place_for_an_administrator(system, host):
    demo = system.endpoints["demo"]
    user = lambda: connect(host, demo["port"], demo["user"], demo["password"], demo["schema"])  # noqa: E731
    admin = lambda: connect(host, demo["port"], demo["admin_user"], demo["admin_password"])  # noqa: E731
    system.ctl("parameters", "set", demo["instance_id"], f"max_connections={LIMIT}")
    watching = admin()
    eventually("the limit", lambda: rows(watching, "SHOW VARIABLES LIKE 'max_connections'") == [("max_connections", str(LIMIT))])
    eventually("no other session", lambda: len(rows(watching, "SHOW PROCESSLIST")) == 1)
    sessions = [user() for _ in range(LIMIT - 1)]
    with pytest.raises(pymysql.err.OperationalError) as refused:
        user()
    assert refused.value.args == (1040, "Too many connections")
    extra = eventually("the administrator's place", admin)
    # There is one, and it is taken.
    with pytest.raises(pymysql.err.OperationalError) as refused:
        admin()
    assert refused.value.args[0] == 1040
    for session in [watching, *sessions]:
        assert rows(session, "SELECT 1") == [(1,)]
    for session in [extra, sessions.pop()]:
        session.close()
    sessions.append(eventually("a place again", user))
    system.ctl("parameters", "set", demo["instance_id"], "max_connections=20000")
    for session in [watching, *sessions]:
        session.close()


def test_a_long_answer_lets_the_others_come_first(system, host):
    """Each of some sessions, of which at least one shares the thread, is answered again and again meanwhile."""
    one = ends(system, host)
    sessions = [Raw(one) for _ in range(8)]
    rows_sql = f"SELECT REPEAT('x', 1000) FROM {TENS} LIMIT {STREAMED_ROWS}"
    stream = subprocess.Popen(
        ["mariadb", "--quick", "--skip-column-names", "-h", host, "-P", str(one["port"]), "-u", one["user"],
         f"-p{one['password']}", "shop", "-e", rows_sql], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert stream.stdout.read(1) == b"x"
    counts, over = [0] * len(sessions), threading.Event()

    def run(number):
        while not over.is_set():
            ask(sessions[number], ONE_ROW)
            counts[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(sessions))]
    for thread in threads:
        thread.start()
    taken = 1
    while chunk := stream.stdout.read(1 << 20):
        taken += len(chunk)
    over.set()
    for thread in threads:
        thread.join()
    assert stream.wait(60) == 0, stream.stderr.read()
    assert taken == STREAMED_ROWS * 1_001
    assert min(counts) >= SELECTS_MEANWHILE, counts
    for session in sessions:
        session.socket.close()
