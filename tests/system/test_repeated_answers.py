"""A statement's answer is the same each time it runs, whatever other session, definition or state asked before: beside a plain
server, packet by packet. The columns of an answer that comes again are put again as they were put before."""

import pytest
from raw import CACHE_METADATA, DEPRECATE_EOF, EXTENDED_METADATA, Raw
from sides import ask, execute, prepare, told

TIMES = 4
# The upper byte of the flags.
METADATA_CHANGED = 0x0400 >> 8
KINDS = ["DBPARTITION BY MOD_HASH(id)", "DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(id) TBPARTITIONS 2", "BROADCAST", ""]
CLIENTS = [dict(), dict(capabilities=DEPRECATE_EOF), dict(extended=EXTENDED_METADATA),
           dict(extended=CACHE_METADATA), dict(capabilities=DEPRECATE_EOF, extended=CACHE_METADATA | EXTENDED_METADATA)]
QUERIES = [
    "SELECT * FROM a WHERE id = 1",
    "SELECT * FROM a WHERE id = 2",
    "SELECT x.v AS n, x.n AS v FROM a x WHERE x.id = 1",
    "SELECT n, v FROM b WHERE id = 1",
    "SELECT * FROM a WHERE id = 99",
    "SELECT 1",
    "SELECT 'one', 2, NULL",
    "SELECT id FROM a WHERE id = 1 UNION SELECT n FROM a WHERE id = 1",
]
CHANGES = [
    "BEGIN",
    "COMMIT",
    "SET autocommit = 0",
    "SET autocommit = 1",
    "SET NAMES latin1",
    "SET sql_mode = 'ANSI_QUOTES'",
    "SET sql_mode = DEFAULT",
    "SET NAMES utf8mb4",
    "ALTER TABLE a MODIFY n BIGINT",
    "ALTER TABLE a ADD COLUMN more INT NOT NULL DEFAULT 7",
    "RENAME TABLE a TO old, b TO a, old TO b",
    "DROP TABLE b",
    "CREATE TABLE b (id INT NOT NULL PRIMARY KEY, n VARCHAR(3), v INT) {kind}",
    "INSERT INTO b VALUES (1, 'n', 1)",
]


def unchanged(packets):
    """An answer without the flag that its statement was made anew on the server after a change of definitions: a data node may
    have had the statement from another session, before the change."""
    is_end = [packet[0] == 0xFE and len(packet) < 9 for packet in packets]
    return [packet[:4] + bytes([packet[4] & ~METADATA_CHANGED]) + packet[5:] if end else packet for packet, end in zip(packets, is_end)]


def everything(sessions, kind):
    """Each query several times by each client, again after each change, with the answers."""
    for table in ("a", "b"):
        ask(sessions[0], f"DROP TABLE IF EXISTS {table}")
        made = ask(sessions[0], f"CREATE TABLE {table} (id INT NOT NULL PRIMARY KEY, n INT, v VARCHAR(10)) {kind}")
        assert made[0][0] == 0, made
        ask(sessions[0], f"INSERT INTO {table} VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z')")
    for change in [None, *CHANGES]:
        for session in sessions:
            # Definitions change once; what is a session's own changes in each.
            if change and (session is sessions[0] or change.split()[0] in ("BEGIN", "COMMIT", "SET")):
                yield change, told(ask(session, change.format(kind=kind)))
        for session in sessions:
            for query in QUERIES:
                for _ in range(TIMES):
                    answer = told(ask(session, query))
                    yield (change, query), answer
                if answer[0][0] == 0xFF:
                    continue
                number, columns = prepare(session, query.encode())
                yield (change, query, "columns"), told(columns)
                for _ in range(TIMES):
                    yield (change, query, "executed"), told(unchanged(execute(session, number)))


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_comes_again_is_the_same(sides, kind):
    plain, ddm = (everything([Raw(ends, **client) for client in CLIENTS], own) for ends, own in zip(sides, ["", kind]))
    wrong = [(asked, on_plain, here) for (asked, on_plain), (_, here) in zip(plain, ddm, strict=True) if on_plain != here]
    assert not wrong, (len(wrong), wrong[:3])


@pytest.mark.parametrize("mode, text", [("PIPES_AS_CONCAT", b"SELECT 'a' || 'b', id FROM a WHERE id = 1"),
                                        ("ANSI_QUOTES", b'SELECT "id" FROM a WHERE id = 1'),
                                        ("NO_BACKSLASH_ESCAPES", b"SELECT '\\\\', id FROM a WHERE id = 1")])
def test_a_text_means_what_its_session_reads_in_it(sides, mode, text):
    """Sessions with other settings take turns on the same data node's connections, with statements of one text."""
    seen = []
    for ends, kind in zip(sides, ["", KINDS[0]]):
        usual = [Raw(ends) for _ in range(3)]
        others = [Raw(ends) for _ in range(3)]
        ask(usual[0], "DROP TABLE IF EXISTS a")
        assert ask(usual[0], f"CREATE TABLE a (id INT NOT NULL PRIMARY KEY) {kind}")[0][0] == 0
        ask(usual[0], "INSERT INTO a VALUES (1)")
        for session in others:
            assert ask(session, f"SET sql_mode = '{mode}'")[0][0] == 0
        got = []
        for _ in range(TIMES):
            for session in [*usual, *others]:
                number, columns = prepare(session, text)
                got.append((told(columns), [told(execute(session, number)) for _ in range(2)]))
        seen.append(got)
    assert seen[0] == seen[1]
