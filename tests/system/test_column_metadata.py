"""What MariaDB's clients are told of columns: extended types, and nothing at all where they know the columns already."""

import struct

import pytest
from raw import CACHE_METADATA, DEPRECATE_EOF, EXTENDED_METADATA, Raw
from sides import ask, execute, prepare, told

KINDS = ["DBPARTITION BY MOD_HASH(id)", "BROADCAST", ""]
COLUMNS = "id INT NOT NULL PRIMARY KEY, j JSON, u UUID, six INET6, four INET4, g POINT, m MULTIPOINT, t TEXT"
INTEGER, TEXT = b"\0\1\3\0" + struct.pack("<i", 5), b"\0\1\xfd\0\2hi"


def make(sides, kind):
    for ends, suffix in zip(sides, ["", kind]):
        session = Raw(ends)
        ask(session, "DROP TABLE IF EXISTS m")
        made = ask(session, f"CREATE TABLE m ({COLUMNS}) {suffix}")
        assert made[0][0] == 0, made
        for number in (1, 2, 3):
            row = f"{number}, '{{}}', '{number}0000000-0000-0000-0000-000000000000', '::{number}', '1.2.3.{number}', POINT(1, {number}), NULL, 'x'"
            assert ask(session, f"INSERT INTO m VALUES ({row})")[0][0] == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eof", [0, DEPRECATE_EOF])
@pytest.mark.parametrize("extended", [0, EXTENDED_METADATA, EXTENDED_METADATA | CACHE_METADATA])
def test_types_are_told_as_by_one_server(sides, kind, eof, extended):
    make(sides, kind)
    # JSON that goes through a temporary table is no more than text there, so none is ordered by a type that no shard merges.
    texts = [b"SELECT * FROM m WHERE id = 1", b"SELECT * FROM m ORDER BY id", b"SELECT MIN(u), MAX(six), COUNT(*) FROM m",
             b"SELECT j, u FROM m WHERE id IN (1, 2) ORDER BY id", b"SELECT 1 AS one", b"SELECT u FROM m WHERE id > 9"]
    seen = []
    for ends in sides:
        session = Raw(ends, eof, extended)
        got = [told(ask(session, text)) for text in texts]
        for text in texts:
            number, columns = prepare(session, text)
            got += [told(columns), told(execute(session, number))]
        seen.append(got)
    for text, plain, ddm in zip([*texts, *[text for text in texts for _ in range(2)]], *seen):
        assert ddm == plain, text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eof", [0, DEPRECATE_EOF])
def test_columns_that_are_known_are_left_out(sides, kind, eof):
    make(sides, kind)
    seen = []
    for ends in sides:
        session = Raw(ends, eof, CACHE_METADATA)
        got = []
        first, _ = prepare(session, b"SELECT id, t FROM m WHERE id = ?")
        for number in (1, 2, 3, 1):
            got.append(execute(session, first, b"\0\1\3\0" + struct.pack("<i", number)))
        every, _ = prepare(session, b"SELECT t, id FROM m ORDER BY id")
        got += [execute(session, every), execute(session, every)]
        value, _ = prepare(session, b"SELECT id, ? AS given FROM m WHERE id = 2")
        got += [execute(session, value, one) for one in (INTEGER, INTEGER, TEXT, TEXT)]
        assert ask(session, "ALTER TABLE m MODIFY t VARCHAR(100)")[0][0] == 0
        got += [execute(session, first, b"\0\1\3\0" + struct.pack("<i", 1)), execute(session, every), execute(session, every)]
        got.append(ask(session, "SELECT id, t FROM m WHERE id = 1"))
        shown, _ = prepare(session, b"SHOW WARNINGS")
        got.append([execute(session, shown)[0], execute(session, shown)[0][:1]])
        seen.append([told(one) for one in got])
    for number, (plain, ddm) in enumerate(zip(*seen)):
        assert ddm == plain, number
    assert seen[1][1][0] == b"\x02\x00"


@pytest.mark.parametrize("kind", KINDS)
def test_columns_are_told_as_they_are_now(sides, kind):
    """Also where a connection to a data node has the same text prepared from before a change of the table."""
    make(sides, kind)
    seen = []
    for ends in sides:
        session, other = Raw(ends), Raw(ends)
        ask(session, "CREATE TABLE IF NOT EXISTS held (id INT PRIMARY KEY)" + " DBPARTITION BY MOD_HASH(id)" * (ends is sides[1]))
        got = []
        for change in ("MODIFY t VARCHAR(100)", "MODIFY t INT NULL", "MODIFY t TEXT"):
            # The connections that have prepared it are not those that change the table.
            for text in ("BEGIN", "SELECT COUNT(*) FROM held"):
                assert ask(session, text)[0][0] in (0, 1)
            got.append(told(prepare(session, b"SELECT t FROM m WHERE id > 0")[1]))
            assert ask(other, "UPDATE m SET t = NULL")[0][0] == 0
            assert ask(other, f"ALTER TABLE m {change}")[0][0] == 0
            assert ask(session, "COMMIT")[0][0] == 0
            got.append(told(prepare(session, b"SELECT t FROM m WHERE id > 0")[1]))
        seen.append(got)
    assert seen[1] == seen[0]


def test_a_cursor_knows_its_columns_too(sides):
    make(sides, KINDS[0])
    seen = []
    for ends in sides:
        session = Raw(ends, 0, CACHE_METADATA)
        every, _ = prepare(session, b"SELECT id FROM m ORDER BY id")
        got = []
        for _ in range(2):
            session.send(b"\x17" + every + b"\1" + struct.pack("<I", 1))
            head = [session.packet()]
            while head[-1][0] != 0xFE:
                head.append(session.packet())
            session.send(b"\x1c" + every + struct.pack("<I", 10))
            rows = [session.packet()]
            while rows[-1][0] != 0xFE:
                rows.append(session.packet())
            got.append([len(rows), rows[0]])
        seen.append(got)
    assert seen[1] == seen[0]


@pytest.mark.parametrize("eof", [0, DEPRECATE_EOF])
def test_the_nodes_own_answers_have_a_servers_columns(sides, eof):
    texts = ["SHOW PROCESSLIST", "SHOW FULL PROCESSLIST", f"SHOW CREATE DATABASE {sides[0]['schema']}", "SHOW WARNINGS",
             "SHOW DATABASES", "SHOW TABLES", "SHOW FULL TABLES"]
    seen = []
    for ends in sides:
        session = Raw(ends, eof)
        # The count of columns, and each of them.
        answers = [ask(session, text) for text in texts]
        seen.append([packets[:1 + packets[0][0]] for packets in answers])
    for text, plain, ddm in zip(texts, *seen):
        assert ddm == plain, text
