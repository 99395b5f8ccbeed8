"""What a client with CLIENT_SESSION_TRACK is told of its session in OK packets: as by a plain server."""

import pytest
from raw import DEPRECATE_EOF, SESSION_TRACK, Raw
from sides import INDEX_FLAGS, two_sides

STATEMENTS = [
    "SET autocommit = 0", "SET autocommit = 0", "SET autocommit = 1", "SET NAMES latin1", "SET NAMES utf8mb4 COLLATE utf8mb4_bin", "USE {schema}",
    "SET time_zone = '+02:00'", "SET @a = 1", "SET character_set_results = NULL", "SET character_set_results = latin1", "SET CHARACTER SET latin1",
    "SET sql_mode = ''", "SET autocommit = 0, time_zone = '+03:00'", "SET autocommit = 1", "SET @@session.autocommit = 1", "DO 1", "BEGIN", "COMMIT",
    "SET session_track_schema = 0", "USE {schema}", "SET session_track_schema = 1", "USE {schema}",
    "SET session_track_system_variables = '*'", "SET sql_mode = 'ANSI_QUOTES'", "SET sql_mode = ''", "SET foreign_key_checks = 0", "SET wait_timeout = 100",
    "SET session_track_system_variables = 'sql_mode,time_zone'", "SET autocommit = 0", "SET autocommit = 1", "SET sql_mode = 'NO_ZERO_DATE'",
    "SET session_track_system_variables = ''", "SET NAMES utf8mb4", "SET session_track_system_variables = DEFAULT", "SET NAMES utf8mb4",
    "SET session_track_state_change = 1", "SET @b = 1", "USE {schema}", "SET sql_mode = ''", "SET NAMES latin1", "SELECT 1", "SET nosuch = 1",
    "SET session_track_state_change = 0", "SET @b = 2", "UPDATE tracked SET a = 2", "INSERT INTO tracked VALUES (1, 1)", "TRUNCATE tracked",
]


@pytest.fixture(scope="module")
def sides():
    with two_sides() as both:
        for ends, kind in zip(both, ["", "DBPARTITION BY MOD_HASH(id)"]):
            session = Raw(ends)
            session.query(f"CREATE TABLE tracked (id INT NOT NULL PRIMARY KEY, a INT) {kind}".encode())
            assert session.packet()[0] == 0
        yield both


def in_order(packet):
    """Several variables of one packet come in no order that means anything."""
    at = 8 + packet[7] if len(packet) > 8 and packet[4] & 0x40 else len(packet)
    head, block, changes = packet[:at], packet[at + 1:], []
    while block:
        changes.append(block[:2 + block[1]])
        block = block[2 + block[1]:]
    return head, sorted(changes)


def last(session):
    """An answer's last packet."""
    ends = 1 if session.flags & DEPRECATE_EOF else 2
    packet = session.packet()
    if packet[0] == 0xFF:
        return packet[:9]
    if packet[0] == 0:
        return packet[:3] + bytes([packet[3] & ~INDEX_FLAGS]) + packet[4:]
    while ends:
        packet = session.packet()
        ends -= packet[0] == 0xFE
    return packet


@pytest.mark.parametrize("capabilities", [SESSION_TRACK, SESSION_TRACK | DEPRECATE_EOF, 0])
def test_changes_are_told_as_by_one_server(sides, capabilities):
    seen = []
    for ends in sides:
        session = Raw(ends, capabilities)
        got = [("login", session.welcome)]
        for text in STATEMENTS:
            text = text.format(schema=ends["schema"])
            session.query(text.encode())
            got.append((text, last(session)))
        for command in (b"\x02" + ends["schema"].encode(), b"\x0e", b"\x1f", b"\x0e"):
            session.send(command)
            got.append((command, last(session)))
        seen.append(got)
    for plain, ddm in zip(*seen):
        assert (ddm[0], in_order(ddm[1])) == (plain[0], in_order(plain[1]))
    assert not session.flags & SESSION_TRACK or any(packet[4] & 0x40 for _, packet in seen[1])


TRANSACTIONS = [
    "SET session_track_transaction_info = 'CHARACTERISTICS'", "SELECT 1", "BEGIN", "SELECT 1", "SELECT * FROM tracked WHERE id = 1",
    "SELECT * FROM tracked WHERE id = 1 FOR UPDATE", "INSERT INTO tracked VALUES (5, 1)", "UPDATE tracked SET a = 3 WHERE id = 5",
    "SELECT * FROM tracked WHERE id = 5", "COMMIT", "SELECT 1", "BEGIN", "SELECT * FROM tracked WHERE id = 1 FOR UPDATE", "ROLLBACK",
    "BEGIN", "INSERT INTO tracked VALUES (11, 1), (12, 1), (13, 1), (14, 1)", "SELECT COUNT(*) FROM tracked", "COMMIT",
    "BEGIN", "DELETE FROM tracked WHERE id > 10", "SELECT id FROM tracked ORDER BY id LIMIT 1", "ROLLBACK",
    "BEGIN", "UPDATE tracked SET a = a + 1", "ROLLBACK",
    "START TRANSACTION READ ONLY", "SELECT COUNT(*) FROM tracked", "COMMIT", "START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", "COMMIT", "START TRANSACTION READ WRITE", "ROLLBACK",
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SELECT 1", "SELECT * FROM tracked WHERE id = 1",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN", "COMMIT", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN",
    "COMMIT AND CHAIN", "COMMIT", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "BEGIN", "COMMIT", "SET TRANSACTION READ ONLY", "BEGIN", "COMMIT", "SET TRANSACTION READ ONLY", "SET TRANSACTION READ WRITE", "BEGIN",
    "COMMIT", "SET TRANSACTION READ ONLY, ISOLATION LEVEL READ UNCOMMITTED", "START TRANSACTION READ WRITE", "COMMIT",
    "SET SESSION TRANSACTION READ ONLY", "BEGIN", "COMMIT", "SET SESSION TRANSACTION READ WRITE",
    "INSERT INTO tracked VALUES (6, 1)", "SELECT * FROM tracked WHERE id = 6", "SET autocommit = 0", "SELECT 1",
    "SELECT * FROM tracked WHERE id = 6", "INSERT INTO tracked VALUES (7, 1)", "COMMIT", "SELECT * FROM tracked WHERE id = 6", "ROLLBACK",
    "INSERT INTO tracked VALUES (8, 1)", "SET autocommit = 1", "BEGIN", "SAVEPOINT a", "INSERT INTO tracked VALUES (9, 1)", "ROLLBACK TO a",
    "RELEASE SAVEPOINT a", "COMMIT AND CHAIN", "SELECT * FROM tracked WHERE id = 6", "ROLLBACK AND CHAIN", "COMMIT",
    "START TRANSACTION READ ONLY", "COMMIT AND CHAIN", "COMMIT", "BEGIN", "INSERT INTO tracked VALUES (10, 1)", "BEGIN", "COMMIT",
    "BEGIN", "INSERT INTO nosuch VALUES (1)", "INSERT INTO tracked VALUES (10, 1)", "DO 1", "SET @a = 1", "SELECT 1", "COMMIT",
    "BEGIN", "INSERT INTO tracked VALUES (20, 1)", "CREATE TABLE trackedtoo (id INT NOT NULL PRIMARY KEY)", "SELECT 1", "BEGIN",
    "INSERT INTO trackedtoo VALUES (1)", "INSERT INTO trackedtoo SELECT id FROM tracked WHERE id = 20", "COMMIT", "BEGIN",
    "DROP TABLE trackedtoo", "LOCK TABLES tracked WRITE", "SELECT * FROM tracked WHERE id = 6", "INSERT INTO tracked VALUES (21, 1)",
    "UNLOCK TABLES", "LOCK TABLES tracked READ", "UNLOCK TABLES", "BEGIN", "SHOW TABLES", "COMMIT",
    "BEGIN", "SELECT UUID() IS NULL", "SELECT a INTO @x FROM tracked WHERE id = 6", "COMMIT",
    "SET session_track_transaction_info = OFF", "BEGIN", "COMMIT", "SET session_track_transaction_info = 1", "BEGIN",
    "INSERT INTO tracked VALUES (22, 1)", "COMMIT", "SET session_track_transaction_info = 2", "BEGIN", "COMMIT",
    "SET session_track_transaction_info = 7", "SET session_track_transaction_info = DEFAULT", "BEGIN", "COMMIT", "DELETE FROM tracked",
]


def end(session):
    """The status and the changes of an answer's last packet, an error's number."""
    packet = session.packet()
    rows = packet[0] not in (0, 0xFF)
    ends = rows and 1 + (not session.flags & DEPRECATE_EOF)
    while ends:
        packet = session.packet()
        ends = ends - 1 if packet[0] == 0xFE else ends
    if packet[0] == 0xFF:
        return packet[:9]
    if rows and not session.flags & DEPRECATE_EOF:
        # That something changed is not told by the end of rows.
        return bytes([packet[3] & ~INDEX_FLAGS, packet[4] & ~0x40])
    return in_order(bytes([packet[0], 0, 0, packet[3] & ~INDEX_FLAGS]) + packet[4:])


@pytest.mark.parametrize("capabilities", [SESSION_TRACK, SESSION_TRACK | DEPRECATE_EOF])
def test_transactions_are_told_as_by_one_server(sides, capabilities):
    seen = []
    for ends in sides:
        session = Raw(ends, capabilities)
        got = []
        for text in TRANSACTIONS:
            session.query(text.encode())
            got.append((text, end(session)))
        seen.append(got)
    differ = [(at, plain, ddm) for at, (plain, ddm) in enumerate(zip(*seen)) if ddm != plain]
    assert not differ
