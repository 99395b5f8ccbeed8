"""MariaDB's COM_STMT_BULK_EXECUTE: what it answers and what it leaves is what a plain server answers and leaves, for tables
of each kind."""

import struct

import pytest
from raw import BULK, Raw
from sides import answer, ask, lenenc, prepare, told

DEFAULT, IGNORE = object(), object()
SEND_TYPES = 128
LONG, STRING = 3, 253
KINDS = ["DBPARTITION BY MOD_HASH(id)", "DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(id) TBPARTITIONS 2", "BROADCAST", ""]


def packed(value, kind):
    if value is None:
        return b"\1"
    if value is DEFAULT:
        return b"\2"
    if value is IGNORE:
        return b"\3"
    return b"\0" + (struct.pack("<i", value) if kind == LONG else lenenc(value.encode()))


def bulk(session, number, types, lines, flags=SEND_TYPES):
    head = b"".join(struct.pack("<H", kind) for kind in types) if flags & SEND_TYPES else b""
    body = b"".join(packed(value, kind) for line in lines for value, kind in zip(line, types))
    session.send(b"\xfa" + number + struct.pack("<H", flags) + head + body)
    return answer(session)


STATEMENTS = [
    (b"INSERT INTO b VALUES (?, ?, ?)", [LONG, STRING, LONG], [(20, "x", 1), (21, DEFAULT, DEFAULT), (22, IGNORE, IGNORE), (23, None, 5)]),
    (b"INSERT INTO b VALUES (?, ?, ?)", [LONG, STRING, LONG], [(20, "it's \\ 'q'", 1)]),
    (b"INSERT INTO b (id, a) VALUES (?, ?), (?, UPPER(?))", [LONG, STRING] * 2, [(20, "a", 21, "b"), (22, "c", 23, "d")]),
    (b"INSERT INTO b SET id = ?, a = CONCAT(?, 'z'), n = ?", [LONG, STRING, LONG], [(20, "a", 1), (21, "b", DEFAULT)]),
    (b"INSERT INTO b VALUES (?, ?, ?)", [LONG, STRING, LONG], [(20, "q", 1), (1, "dup", 1), (22, "q", 1)]),
    (b"INSERT IGNORE INTO b VALUES (?, ?, ?)", [LONG, STRING, LONG], [(20, "q", 1), (1, "dup", 1), (22, "q", 1)]),
    (b"REPLACE INTO b VALUES (?, ?, ?)", [LONG, STRING, LONG], [(20, "q", 1), (1, "other", 1), (2, "other", 1)]),
    (b"INSERT INTO b VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE a = VALUES(a)", [LONG, STRING, LONG], [(20, "q", 1), (1, "dup", 1), (22, "q", 1)]),
    (b"INSERT INTO b VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE a = ?", [LONG, STRING, LONG, STRING], [(20, "q", 1, "u"), (1, "dup", 1, "v"), (2, "n", 1, "bb")]),
    (b"INSERT INTO b (id, a) VALUES (?, ?) RETURNING a, id + 1", [LONG, STRING], [(20, "q"), (21, "r")]),
    (b"INSERT INTO b (id, a) VALUES (?, UPPER(?))", [LONG, STRING], [(20, "q"), (21, DEFAULT)]),
    (b"UPDATE b SET a = ? WHERE id = ?", [STRING, LONG], [("u", 1), ("b", 2), ("w", 999), (DEFAULT, 3), (None, 4)]),
    (b"UPDATE b SET n = n + ? WHERE id > ?", [LONG, LONG], [(1, 2), (5, 3), (7, 100)]),
    (b"UPDATE b SET a = ?, n = ? WHERE id = ?", [STRING, LONG, LONG], [("u", 5, 1), ("t" * 50, 6, 2), ("w", 7, 3)]),
    (b"DELETE FROM b WHERE id = ?", [LONG], [(1,), (3,), (999,)]),
    (b"DELETE FROM b WHERE id = ? RETURNING id, a", [LONG], [(1,), (3,), (999,)]),
    (b"SELECT ?", [LONG], [(1,), (2,)]),
    (b"INSERT INTO b SELECT ?, ?, ?", [LONG, STRING, LONG], [(20, "q", 1), (21, "q", 1)]),
    (b"DELETE x FROM b x, b y WHERE x.id = y.id AND x.id = ?", [LONG], [(1,), (2,)]),
    (b"SET @a = ?", [LONG], [(1,), (2,)]),
    (b"INSERT INTO b VALUES (?, ?, ?)", [LONG, STRING, LONG], []),
]


def make(sides, kind):
    for ends, suffix in zip(sides, ["", kind]):
        session = Raw(ends, 0, BULK)
        ask(session, "DROP TABLE IF EXISTS b")
        text = "CREATE TABLE b (id INT NOT NULL PRIMARY KEY, a VARCHAR(20) DEFAULT 'dd', n INT NOT NULL DEFAULT 7) "
        assert ask(session, text + suffix)[0][0] == 0
        assert ask(session, "INSERT INTO b VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 4)")[0][0] == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("capabilities", [0, 2])
def test_a_bulk_is_answered_as_by_one_server(sides, kind, capabilities):
    for text, types, lines in STATEMENTS:
        make(sides, kind)
        seen = []
        for ends in sides:
            session = Raw(ends, capabilities, BULK)
            number, _ = prepare(session, text)
            got = [told(bulk(session, number, types, lines))]
            if got[0][0][0] == 0 and b"IGNORE" not in text:
                got.append(ask(session, "SELECT ROW_COUNT()")[-2])
            got.append(ask(session, "SHOW WARNINGS")[5:-1])
            got.append([row for row in ask(session, "SELECT * FROM b ORDER BY id")[5:-1]])
            seen.append(got)
        assert seen[1] == seen[0], text


def test_types_are_remembered_and_packets_are_checked(sides):
    make(sides, KINDS[0])
    seen = []
    for ends in sides:
        session = Raw(ends, 0, BULK)
        number, _ = prepare(session, b"INSERT INTO b (id, a) VALUES (?, ?)")
        types = [LONG, STRING]
        got = [bulk(session, number, types, [(30, "x")], 0), bulk(session, number, types, [(31, "x"), (32, "y")])]
        got += [bulk(session, number, types, [(33, "x"), (34, "z")], 0), bulk(session, number, types, [(40, "x")], 64 | SEND_TYPES)]
        for body in (b"\x80\0\x03\0\xfd\0\0\1", b"\x80\0\x03\0\xfd\0\x07\1", b"\x80\0\x03\0\xfd"):
            session.send(b"\xfa" + number + body)
            got.append(answer(session))
        plain = Raw(ends)
        number, _ = prepare(plain, b"INSERT INTO b (id, a) VALUES (?, ?)")
        got.append(bulk(plain, number, types, [(50, "x")]))
        got.append(bulk(session, struct.pack("<I", 777), types, [(50, "x")]))
        got.append(ask(session, "SELECT * FROM b ORDER BY id")[5:-1])
        seen.append([told(one) for one in got])
    assert seen[1] == seen[0]


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[3]])
def test_a_bulk_of_many_texts_is_whole(sides, kind):
    lines, types = [(number, "x" * 3000, number) for number in range(100, 3100)], [LONG, STRING, LONG]
    seen = []
    for ends, suffix in zip(sides, ["", kind]):
        session = Raw(ends, 0, BULK)
        ask(session, "DROP TABLE IF EXISTS w")
        assert ask(session, f"CREATE TABLE w (id INT NOT NULL PRIMARY KEY, a TEXT, n INT) {suffix}")[0][0] == 0
        assert ask(session, "INSERT INTO w VALUES (1, 'a', 1)")[0][0] == 0
        number, _ = prepare(session, b"INSERT INTO w VALUES (?, ?, ?)")
        got = [bulk(session, number, types, [*lines, (1, "dup", 1)])[0][:9], ask(session, "SELECT COUNT(*) FROM w")[-2]]
        assert ask(session, "BEGIN")[0][0] == 0
        assert ask(session, "INSERT INTO w VALUES (50, 'own', 1)")[0][0] == 0
        got += [bulk(session, number, types, [*lines, (1, "dup", 1)])[0][:9], ask(session, "SELECT COUNT(*) FROM w")[-2]]
        assert ask(session, "COMMIT")[0][0] == 0
        got += [bulk(session, number, types, lines), ask(session, "SELECT ROW_COUNT()")[-2]]
        got.append(ask(session, "SELECT COUNT(*), SUM(n), SUM(LENGTH(a)) FROM w")[-2])
        seen.append(got)
    assert seen[1] == seen[0]


def test_generated_ids_are_told_as_for_rows_of_one_text(sides):
    _, ends = sides
    session = Raw(ends, 0, BULK)
    ask(session, "DROP TABLE IF EXISTS g")
    assert ask(session, "CREATE TABLE g (id BIGINT NOT NULL PRIMARY KEY AUTO_INCREMENT, a VARCHAR(9)) DBPARTITION BY MOD_HASH(id)")[0][0] == 0
    number, _ = prepare(session, b"INSERT INTO g (a) VALUES (?)")
    assert bulk(session, number, [STRING], [("one",), ("two",), ("three",)])[0][:3] == b"\x00\x03\x01"
    assert ask(session, "SELECT LAST_INSERT_ID()")[-2] == b"\x011"
    assert [row[-3:] for row in ask(session, "SELECT id, a FROM g ORDER BY id")[4:-1]] == [b"one", b"two", b"ree"]
