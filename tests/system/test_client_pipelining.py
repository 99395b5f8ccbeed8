"""Clients that send several packets at once, or less than one, or go in the middle: answers come in order, as from a plain
server."""

import contextlib
import socket
import struct
import time

import pytest
from raw import Raw
from sides import answer, ask, prepare, told, two_sides


@pytest.fixture(scope="module")
def sides():
    with two_sides() as both:
        for ends, kind in zip(both, ["", "DBPARTITION BY MOD_HASH(id)"]):
            session = Raw(ends)
            assert ask(session, f"CREATE TABLE p (id INT NOT NULL PRIMARY KEY, a INT) {kind}")[0][0] == 0
        yield both


def frame(payload, sequence=0):
    return struct.pack("<I", len(payload) | sequence << 24) + payload


COMMANDS = [
    b"\x03DELETE FROM p", b"\x03INSERT INTO p VALUES (1, 1), (2, 2), (3, 3)", b"\x03SELECT id FROM p WHERE id = 2", b"\x0e",
    b"\x03SELECT nosuch FROM p", b"\x03SELECT COUNT(*) FROM p", b"\x03UPDATE p SET a = a + 1", b"\x03BEGIN", b"\x03INSERT INTO p VALUES (4, 4)",
    b"\x03SELECT id, a FROM p ORDER BY id", b"\x03INSERT INTO p VALUES (4, 4)", b"\x03ROLLBACK", b"\x03SELECT id, a FROM p ORDER BY id", b"\x02nosuch",
    b"\x03SET @x = 5", b"\x03SELECT @x + id AS n FROM p WHERE id = 1", b"\x1f", b"\x03SELECT @x IS NULL AS n", b"\x03SELECT 1 AS one", b"\x0e",
]


@pytest.mark.parametrize("pieces", [1, 2, 7, 1000])
def test_packets_sent_together_are_answered_in_order(sides, pieces):
    seen = []
    for ends in sides:
        session = Raw(ends)
        burst = b"".join(frame(command) for command in COMMANDS)
        size = -(-len(burst) // pieces)
        for at in range(0, len(burst), size):
            session.socket.sendall(burst[at:at + size])
            if 1 < pieces < 100:
                time.sleep(0.02)
        seen.append([told(answer(session)) for _ in COMMANDS])
    for command, plain, ddm in zip(COMMANDS, *seen):
        assert ddm == plain, command


def test_statements_of_many_kinds_behind_each_other(sides):
    seen = []
    for ends in sides:
        session = Raw(ends)
        ask(session, "DELETE FROM p")
        number, _ = prepare(session, b"INSERT INTO p VALUES (?, ?)")
        read, _ = prepare(session, b"SELECT a FROM p WHERE id = ?")
        burst = b""
        for value in range(50):
            numbers = struct.pack("<ii", value, value * value)
            burst += frame(b"\x17" + number + b"\0\1\0\0\0" + b"\0\1\3\0\3\0" + numbers)
            burst += frame(b"\x18" + read + b"\0\0" + str(value).encode())
            burst += frame(b"\x17" + read + b"\0\1\0\0\0" + b"\0\1\xfd\0")
            burst += frame(b"\x1a" + read)
        burst += frame(b"\x19" + number) + frame(b"\x03SELECT COUNT(*), SUM(a) FROM p")
        session.socket.sendall(burst)
        seen.append([told(answer(session)) for _ in range(151)])
    assert seen[1] == seen[0]


@pytest.mark.parametrize("rest", [b"\x03", b"\x10\0\0", b"\x10\0\0\0\x03SELECT", b""])
def test_a_client_that_goes_in_the_middle_leaves_nothing_behind(sides, rest):
    _, ends = sides
    before = Raw(ends)
    ask(before, "DELETE FROM p")
    session = Raw(ends)
    session.socket.sendall(frame(b"\x03BEGIN") + frame(b"\x03INSERT INTO p VALUES (77, 1)") + rest)
    assert session.packet()[0] == 0 and session.packet()[0] == 0
    session.socket.shutdown(socket.SHUT_RDWR)
    session.socket.close()
    deadline = time.monotonic() + 20
    while ask(before, "INSERT INTO p VALUES (77, 2)")[0][0] != 0:
        assert time.monotonic() < deadline, "the row is still locked"
    assert ask(before, "SELECT a FROM p WHERE id = 77")[-2] == b"\x012"


def test_a_client_that_goes_while_a_statement_runs_ends_it(sides):
    _, ends = sides
    other = Raw(ends)
    session = Raw(ends)
    session.socket.sendall(frame(b"\x03SELECT SLEEP(600) FROM p WHERE id = 77") + frame(b"\x03SELECT 1"))
    ask(other, "REPLACE INTO p VALUES (77, 1)")
    time.sleep(0.5)
    session.socket.close()
    deadline = time.monotonic() + 20
    while any(b"SLEEP" in row for row in ask(other, "SHOW FULL PROCESSLIST") if b"SHOW" not in row):
        assert time.monotonic() < deadline, "the statement still runs"
        time.sleep(0.1)


def test_half_a_login_and_wrong_numbers(sides):
    _, ends = sides
    for payload in (b"", b"\x01", struct.pack("<I", 1 << 24 | 40) + b"x" * 10, struct.pack("<I", 5 << 24 | 4) + b"abcd"):
        with socket.create_connection((ends["host"], ends["port"]), timeout=20) as half:
            half.recv(1000)
            # The node may have ended the connection before each of these.
            with contextlib.suppress(OSError):
                half.sendall(payload)
                half.shutdown(socket.SHUT_WR)
                while half.recv(1000):
                    pass
    session = Raw(ends)
    session.send(b"\x03SELECT 1", 3)
    assert session.packet()[:1] == b"\xff"
    assert ask(Raw(ends), "SELECT 1")[-2] == b"\x011"
