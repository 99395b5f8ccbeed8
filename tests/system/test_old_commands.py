"""Commands and bounds of the protocol that drivers' own suites look at and few programs use, beside a plain server."""

import struct

import pytest
from raw import CACHE_METADATA, LONG_PASSWORD, Raw
from sides import answer, ask, execute, prepare, told

REFRESH, DEBUG, FIELD_LIST, CHANGE_USER = b"\x07", b"\x0d", b"\x04", b"\x11"
READ_ONLY_CURSOR = 1
UCS2 = 35


def both(sides, what, **options):
    """What a function of a session gives on each side: the same."""
    wanted, seen = (what(Raw(ends, **options)) for ends in sides)
    assert seen == wanted
    return wanted


def command(session, payload):
    session.send(payload)
    return told(answer(session))


def text_of(session, sql):
    """The one value of a query."""
    packets = ask(session, sql)
    assert packets[0][0] == 1, packets
    return packets[-2][1:]


@pytest.mark.parametrize("bits", [1 | 4, 8, 16, 32])
def test_refresh_commits(sides, bits):
    def refreshed(session):
        ask(session, "CREATE OR REPLACE TABLE kept (id INT PRIMARY KEY)")
        ask(session, "BEGIN")
        ask(session, "INSERT INTO kept VALUES (1)")
        seen = [command(session, REFRESH + bytes([bits]))]
        ask(session, "ROLLBACK")
        return [*seen, text_of(session, "SELECT COUNT(*) FROM kept")]
    assert both(sides, refreshed)[1] == b"1"


def test_refresh_of_a_servers_logs_is_refused(sides):
    session = Raw(sides[1])
    session.send(REFRESH + b"\x02")
    assert struct.unpack_from("<H", session.packet(), 1) == (1227,)


def test_debug_is_for_administrators(demo, sides):
    ends = demo.endpoints["demo"]
    admin = {**ends, "user": ends["admin_user"], "password": ends["admin_password"]}

    def asked(session):
        session.send(DEBUG)
        return session.packet(), text_of(session, "SELECT 1")
    both((sides[0], admin), asked)
    session = Raw(sides[1])
    session.send(DEBUG)
    assert struct.unpack_from("<H", session.packet(), 1) == (1227,)


def test_a_cursor_has_rows(sides):
    both(sides, lambda session: told(execute(session, prepare(session, b"SELECT 1 INTO @one")[0], flags=READ_ONLY_CURSOR)))


def test_many_cursors_are_open(sides):
    session = Raw(sides[1])
    number = [prepare(session, b"SELECT 1")[0] for _ in range(1025)]
    assert all(execute_with_cursor(session, one)[0][0] == 1 for one in number)


def execute_with_cursor(session, number):
    """The columns alone."""
    session.send(b"\x17" + number + bytes([READ_ONLY_CURSOR]) + struct.pack("<I", 1))
    return [session.packet() for _ in range(3)]


def test_parameters_are_counted_in_16_bits(sides):
    def prepared(session):
        session.send(b"\x16SELECT 1 IN (" + b"?," * 65535 + b"?)")
        return session.packet()
    assert struct.unpack_from("<H", both(sides, prepared), 1) == (1390,)


def test_fields_of_information_schema_are_listed(sides):
    def listed(session):
        ask(session, "USE information_schema")
        session.send(FIELD_LIST + b"ALL_PLUGINS\0")
        names = []
        while (packet := session.packet())[0] != 0xFE:
            assert packet[:4] == b"\x03def", packet
            names.append(packet.split(b"PLUGIN_")[-1][:8])
        return len(names)
    assert both(sides, listed) > 10


def test_a_change_of_user_to_a_character_set_of_no_client(sides):
    def changed(session):
        session.send(CHANGE_USER + b"nobody\0\0\0" + struct.pack("<H", UCS2) + b"mysql_native_password\0")
        return session.packet()[0]
    both(sides, changed)
    for ends in sides:
        session = Raw(ends)
        proof = session.proof(ends["password"], session.nonce)
        session.send(CHANGE_USER + ends["user"].encode() + b"\0" + bytes([len(proof)]) + proof + b"\0"
                     + struct.pack("<H", UCS2) + b"mysql_native_password\0")
        assert struct.unpack_from("<H", session.packet(), 1) == (1231,)


def test_preparing_forgets_warnings_of_the_statement_before(sides):
    def counted(session):
        ask(session, "DROP TABLE IF EXISTS nowhere")
        counts = [text_of(session, "SELECT @@warning_count")]
        for text in (b"SELECT 1", b"SHOW WARNINGS", b"DROP TABLE IF EXISTS nowhere"):
            prepare(session, text)
            counts.append(text_of(session, "SELECT @@warning_count"))
        return counts
    assert both(sides, counted) == [b"1", b"1", b"1", b"0"]


def test_columns_that_a_client_knows_are_counted(sides):
    def counted(session):
        number, _ = prepare(session, b"SELECT 1 AS one")
        ask(session, "FLUSH STATUS")
        for _ in range(3):
            session.send(b"\x17" + number + struct.pack("<BI", 0, 1))
            assert session.packet() == b"\x01\x00", "without columns"
            while session.packet()[0] != 0xFE:
                pass
            assert session.packet()[0] == 0, "the row"
            session.packet()
        return text_of(session, "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS "
                                "WHERE VARIABLE_NAME = 'Resultset_metadata_skipped'")
    session = Raw(sides[1])
    assert not session.offered & LONG_PASSWORD
    assert both(sides, counted, extended=CACHE_METADATA) == b"3"


def test_a_query_of_information_schema_takes_too_long(sides):
    def run(session):
        tables = ", ".join(f"information_schema.COLUMNS AS c{number}" for number in range(4))
        packets = ask(session, f"SET STATEMENT max_statement_time = 1 FOR SELECT COUNT(*) FROM {tables}")
        return struct.unpack_from("<H", packets[-1], 1)
    assert both(sides, run) == (1969,)


@pytest.mark.parametrize("text", [b"SELECT 1; SELECT 2", b"SELECT 1;\nINSERT INTO nowhere\nVALUES (3)"])
def test_several_statements_want_the_option(sides, text):
    both(sides, lambda session: ask(session, text)[0])
