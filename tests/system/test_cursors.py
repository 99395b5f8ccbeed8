"""Cursors of prepared statements: what comes on COM_STMT_EXECUTE with a cursor and on COM_STMT_FETCH is, byte for byte, what a
plain server sends."""

import struct

import pytest
from plain import Plain
from raw import DEPRECATE_EOF, Raw
from shop import Shop
from system import connect, rows

ROWS = 700
READ_ONLY, NONE = 1, 0
CURSOR_EXISTS, LAST_ROW_SENT, INDEX_FLAGS = 64, 128, 16 | 32


@pytest.fixture(scope="module")
def servers():
    """The ends of a plain server and of DDM, with the same rows."""
    plain = Plain()
    with Shop() as shop:
        rows(plain.log_in(), f"CREATE DATABASE {shop.ends['schema']} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        ends = {"host": plain.host, "port": plain.port, "user": "tester", "password": "", "schema": shop.ends["schema"]}
        for side in (ends, shop.ends):
            session = connect(side["host"], side["port"], side["user"], side["password"], side["schema"])
            sharded = " DBPARTITION BY MOD_HASH(id)" if side is shop.ends else ""
            rows(session, f"CREATE TABLE items (id INT NOT NULL PRIMARY KEY, body VARCHAR(200)){sharded}")
            values = ", ".join(f"({number}, REPEAT('{number} ', {number % 40}))" for number in range(ROWS))
            rows(session, f"INSERT INTO items VALUES {values}")
        yield ends, shop.ends
    plain.stop()


def prepare(session, text):
    session.send(b"\x16" + text)
    made = session.packet()
    assert made[0] == 0, made
    columns, params = struct.unpack_from("<HH", made, 5)
    for count in (params, columns):
        for _ in range(count + (count > 0 and not session.flags & DEPRECATE_EOF)):
            session.packet()
    return made[1:5]


def until_end(session):
    """Packets up to the one that ends columns or rows, or an error."""
    seen = [session.packet()]
    while seen[-1][0] not in (0xFE, 0xFF):
        seen.append(session.packet())
    return seen


def status(end):
    return struct.unpack_from("<H", end, 3)[0]


def open_cursor(session, text, flags=READ_ONLY):
    number = prepare(session, text)
    session.send(b"\x17" + number + bytes([flags]) + struct.pack("<I", 1))
    return number, until_end(session)


def fetch(session, number, count):
    session.send(b"\x1c" + number + struct.pack("<I", count))
    return until_end(session)


def names(column):
    """Catalog, schema, table, its own name, the column, its own name."""
    at, found = 0, []
    for _ in range(6):
        found.append(column[at + 1:at + 1 + column[at]])
        at += 1 + column[at]
    return found


def told(packets):
    """Packets as both servers must send them: no text of an error, nothing of how indexes were used; of a column its name,
    type and length alone, for the rest is that of the temporary table in which a server keeps a cursor."""
    def kept(packet):
        if packet[0] == 0xFF:
            return packet[:9]
        if packet[0] == 0xFE:
            return packet[:3] + bytes([packet[3] & ~INDEX_FLAGS]) + packet[4:]
        if packet[:4] == b"\x03def":
            *_, name, _ = names(packet)
            return name + packet[-12:-5] + packet[-3:]
        return packet
    return [kept(packet) for packet in packets]


@pytest.mark.parametrize("capabilities", [0, DEPRECATE_EOF])
@pytest.mark.parametrize("text", [
    b"SELECT id, body FROM items ORDER BY id",
    b"SELECT body, id FROM items WHERE id = 7",
    b"SELECT COUNT(*), MAX(id) FROM items",
    b"SELECT id FROM items WHERE id < 0",
    b"SELECT a.id, b.body FROM items a JOIN items b ON a.id + 1 = b.id WHERE a.id < 30 ORDER BY a.id",
    b"SELECT 1 AS one UNION SELECT 2",
])
@pytest.mark.parametrize("steps", [[1, 1, 10_000, 1], [100] * 9, [0, 5, 5], [ROWS, 1, 1]])
def test_rows_are_fetched_as_from_one_server(servers, text, steps, capabilities):
    seen = []
    for ends in servers:
        session = Raw(ends, capabilities)
        number, columns = open_cursor(session, text)
        assert status(columns[-1]) & CURSOR_EXISTS
        answers = [fetch(session, number, count) for count in steps]
        seen.append([told(answer) for answer in [columns, *answers]])
    plain, ddm = seen
    assert ddm == plain


def test_a_cursor_lives_beside_other_statements(servers):
    _, ends = servers
    session = Raw(ends)
    one, _ = open_cursor(session, b"SELECT id FROM items ORDER BY id")
    two, _ = open_cursor(session, b"SELECT id + 1000 FROM items ORDER BY id")
    ids = []
    for _ in range(ROWS // 100):
        ids += [struct.unpack_from("<i", row, 2)[0] for row in fetch(session, one, 100)[:-1]]
        ids += [struct.unpack_from("<q", row, 2)[0] for row in fetch(session, two, 100)[:-1]]
        session.query(b"UPDATE items SET body = 'changed' WHERE id = 1")
        assert session.packet()[0] == 0
    assert sorted(ids) == [*range(ROWS), *range(1000, 1000 + ROWS)]
    assert status(fetch(session, one, 1)[-1]) & LAST_ROW_SENT


@pytest.mark.parametrize("closing", ["reset", "again", "none", "unknown"])
def test_a_cursor_that_is_not_there(servers, closing):
    answers = []
    for ends in servers:
        session = Raw(ends)
        number, _ = open_cursor(session, b"SELECT id FROM items", NONE if closing == "none" else READ_ONLY)
        if closing == "none":
            until_end(session)
        elif closing == "reset":
            session.send(b"\x1a" + number)
            assert session.packet()[0] == 0
        elif closing == "again":
            session.send(b"\x17" + number + bytes([NONE]) + struct.pack("<I", 1))
            until_end(session), until_end(session)
        elif closing == "unknown":
            number = struct.pack("<I", 4711)
        answers.append(told(fetch(session, number, 1)))
    assert answers[0] == answers[1] and answers[0][0][0] == 0xFF


@pytest.mark.parametrize("text", [b"UPDATE items SET body = 'x' WHERE id = 3", b"DO 1"])
def test_what_has_no_rows_has_no_cursor(servers, text):
    for ends in servers:
        session = Raw(ends)
        number = prepare(session, text)
        session.send(b"\x17" + number + bytes([READ_ONLY]) + struct.pack("<I", 1))
        assert session.packet()[0] == 0
        assert fetch(session, number, 1)[0][1:3] == struct.pack("<H", 1421)


def test_an_error_is_told_in_place_of_a_cursor(servers):
    for ends in servers:
        session = Raw(ends)
        number = prepare(session, b"SELECT id FROM items WHERE id > (SELECT id FROM items WHERE id < 5)")
        session.send(b"\x17" + number + bytes([READ_ONLY]) + struct.pack("<I", 1))
        assert session.packet()[1:3] == struct.pack("<H", 1242)
        session.query(b"SELECT 1")
        assert session.packet() == b"\x01"


def test_no_more_cursors_than_a_session_may_have(servers):
    _, ends = servers
    session = Raw(ends)
    for _ in range(2048):
        open_cursor(session, b"SELECT id FROM items WHERE id < 10")
    number = prepare(session, b"SELECT 1")
    session.send(b"\x17" + number + bytes([READ_ONLY]) + struct.pack("<I", 1))
    assert session.packet()[1:3] == struct.pack("<H", 3116)
    session.send(b"\x17" + number + bytes([NONE]) + struct.pack("<I", 1))
    assert session.packet() == b"\x01"
