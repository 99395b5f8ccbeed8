"""What SHOW STATUS counts of clients: Com_…, Questions, prepared statements are the node's own, and grow by what a plain server's
grow by, of the session and of all of them."""

import os
import signal
import socket
import struct

import pymysql
import pytest
from plain import Plain
from raw import COMPRESS, Raw
from shop import Shop
from sides import ask, execute, prepare
from system import connect, rows

COUNTED = "SHOW {} STATUS WHERE variable_name LIKE 'Com\\_%' OR variable_name IN ('Questions', 'Prepared_stmt_count')"
# Each step's statements are counted together.
STEPS = [
    ["SELECT 1"], ["SELECT 1; SELECT 2"], ["VALUES (1)", "(SELECT 1) UNION SELECT 2", "WITH a AS (SELECT 1) SELECT * FROM a"],
    ["CREATE TABLE counted (id INT PRIMARY KEY, b INT)", "CREATE TABLE again LIKE counted"],
    ["INSERT INTO counted VALUES (1, 1)", "INSERT INTO counted VALUES (2, 2), (3, 3)", "REPLACE INTO counted VALUES (1, 2)"],
    ["SELECT * FROM counted WHERE id = 1", "SELECT * FROM counted WHERE id = 2", "SELECT b FROM counted ORDER BY b"],
    ["UPDATE counted SET b = 5", "DELETE FROM counted WHERE id = 1", "DELETE FROM counted WHERE id = 1"],
    ["INSERT INTO again SELECT id, b FROM counted", "REPLACE INTO again SELECT id, b FROM counted",
     "UPDATE counted x JOIN again y USING (id) SET x.b = 1", "DELETE x FROM counted x JOIN again y USING (id)"],
    ["BEGIN", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE SAVEPOINT s", "COMMIT", "START TRANSACTION", "ROLLBACK"],
    ["SELECT * FROM nowhere"], ["SELEC"], [""], ["/* nothing */"],
    ["SET @a = 1, @b = 2", "PREPARE p FROM 'SELECT ?'", "EXECUTE p USING @a", "EXECUTE p USING @b"], ["DEALLOCATE PREPARE p"],
    ["EXECUTE IMMEDIATE 'SHOW TABLES'"],
    ["SHOW TABLES", "SHOW DATABASES", "SHOW WARNINGS", "SHOW ERRORS", "SHOW COUNT(*) WARNINGS", "SHOW VARIABLES LIKE 'x'",
     "SHOW CREATE TABLE counted", "SHOW COLUMNS FROM counted", "SHOW INDEX FROM counted", "SHOW PROCESSLIST", "SHOW ENGINES",
     "SHOW COLLATION", "SHOW TABLE STATUS", "DESCRIBE counted", "EXPLAIN SELECT 1"],
    ["ANALYZE TABLE counted", "CHECK TABLE counted", "CHECKSUM TABLE counted", "TRUNCATE again", "FLUSH TABLES",
     "LOCK TABLES counted READ", "UNLOCK TABLES", "DO 1", "KILL QUERY 99999999", "SET NAMES utf8mb4"],
    ["CREATE VIEW seen AS SELECT * FROM counted", "SELECT * FROM seen", "DROP VIEW seen"],
    ["ALTER TABLE again ADD c INT", "CREATE INDEX x ON again (c)", "DROP INDEX x ON again", "RENAME TABLE again TO other",
     "DROP TABLE other"],
    ["CREATE TEMPORARY TABLE mine (a INT)", "INSERT INTO mine VALUES (1)", "SELECT * FROM mine JOIN counted",
     "DROP TEMPORARY TABLE mine"],
    ["SET STATEMENT max_statement_time = 1 FOR SELECT 1"], ["SHOW NOTHING"],
]


@pytest.fixture(scope="module")
def sides():
    plain = Plain()
    try:
        with Shop() as shop:
            rows(plain.log_in(), f"CREATE DATABASE {shop.ends['schema']} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
            ends = {"host": plain.host, "port": plain.port, "user": "tester", "password": "", "schema": shop.ends["schema"]}
            yield ends, {**shop.ends, "host": shop.hosts[0], "hosts": shop.hosts}
    finally:
        plain.stop()


def log_in(ends):
    return connect(ends["host"], ends["port"], ends["user"], ends["password"], ends["schema"], client_flag=1 << 16)


def counts(session, scope="SESSION"):
    return {name: int(value) for name, value in rows(session, COUNTED.format(scope))}


def run(session, text):
    """A text with all its results; errors are the same elsewhere."""
    with session.cursor() as cursor:
        try:
            cursor.execute(text)
            while cursor.nextset():
                pass
        except Exception:
            pass


def grown(before, after):
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


def test_statements_count_as_on_a_plain_server(sides):
    seen = []
    for ends in sides:
        mine = []
        with log_in(ends) as session, log_in(ends) as watcher:
            for step in STEPS:
                of_all, before = counts(watcher, "GLOBAL"), counts(session)
                for text in step:
                    run(session, text)
                own = grown(before, counts(session))
                all_grown = grown(of_all, counts(watcher, "GLOBAL"))
                # Nobody else is there; a plain server's threads tell theirs at the end of a statement.
                mine.append((step, own, {name: all_grown.get(name, 0) >= count for name, count in own.items()}))
        seen.append(mine)
    for wanted, found in zip(*seen):
        assert found == wanted
    assert all(all(enough.values()) for _, _, enough in seen[1])


def test_commands_count_as_on_a_plain_server(sides):
    def commands(session):
        made = {}

        def prepared(text):
            made[text] = prepare(session, text)[0]
        yield lambda: prepared(b"SELECT 1")
        yield lambda: prepared(b"INSERT INTO kept VALUES (1)")
        yield lambda: execute(session, made[b"SELECT 1"])
        yield lambda: execute(session, made[b"INSERT INTO kept VALUES (1)"])
        yield lambda: (session.send(b"\x1a" + made[b"SELECT 1"]), session.packet())
        # A cursor: count, column, end; then its row and the end.
        yield lambda: (session.send(b"\x17" + made[b"SELECT 1"] + b"\1" + struct.pack("<I", 1)), [session.packet() for _ in "123"])
        yield lambda: (session.send(b"\x1c" + made[b"SELECT 1"] + struct.pack("<I", 1)), [session.packet() for _ in "12"])
        yield lambda: session.send(b"\x18" + made[b"SELECT 1"] + b"\0\0x")
        yield lambda: session.send(b"\x19" + made[b"SELECT 1"])
        for command in (b"\x02" + session_schema, b"\x1b\0\0", b"\x09", b"\x0e"):
            yield lambda command=command: (session.send(command), session.packet())
        yield lambda: (session.send(b"\x04kept\0"), [session.packet() for _ in "12"])

    seen = []
    for ends in sides:
        with log_in(ends) as admin:
            run(admin, "CREATE TABLE kept (a INT)")
        session, session_schema = Raw(ends), ends["schema"].encode()
        mine = []
        for command in commands(session):
            before = numbers(session)
            command()
            mine.append(grown(before, numbers(session)))
        session.send(b"\x1f")
        session.packet()
        mine.append({name: count for name, count in numbers(session).items() if count})
        seen.append(mine)
    assert seen[0] == seen[1]
    assert seen[1][0] == {"Com_show_status": 1, "Com_stmt_prepare": 1, "Prepared_stmt_count": 1, "Questions": 1}


def numbers(session):
    """The counts by the byte-level client: packets of rows with two short texts."""
    found = {}
    for packet in ask(session, COUNTED.format("SESSION"))[4:]:
        if packet[0] == 0xFE:
            break
        name = packet[1:1 + packet[0]].decode()
        found[name] = int(packet[2 + packet[0]:])
    return found


def test_flush_status_begins_anew(sides):
    for ends in sides:
        with log_in(ends) as session, log_in(ends) as other:
            run(session, "DO 1")
            run(other, "DO 1")
            of_all = counts(session, "GLOBAL")["Com_do"]
            run(session, "FLUSH STATUS")
            after = counts(session)
            assert (after["Com_do"], after["Com_flush"], after["Questions"], after["Com_show_status"]) == (0, 0, 1, 1), ends
            assert counts(other)["Com_do"] == 1, ends
            assert counts(session, "GLOBAL")["Com_do"] >= of_all, ends
            (_, seconds), = rows(session, "SHOW GLOBAL STATUS LIKE 'Uptime_since_flush_status'")
            assert int(seconds) < 30, ends


def test_prepared_statements_of_all_are_counted(sides):
    def open_now(session):
        return int(rows(session, "SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")[0][1])
    for ends in sides:
        with log_in(ends) as watcher:
            before = open_now(watcher)
            with log_in(ends) as session:
                run(session, "PREPARE one FROM 'SELECT 1'")
                run(session, "PREPARE two FROM 'SELECT 2'")
                assert open_now(watcher) == before + 2, ends
                run(session, "DEALLOCATE PREPARE one")
                assert open_now(watcher) == before + 1, ends


def test_bytes_and_compression_are_the_clients_own(sides):
    for ends in sides:
        def shown(session, like):
            packets = ask(session, f"SHOW STATUS LIKE '{like}'")
            return packets[4][2 + packets[4][0]:].decode()
        session = Raw(ends)
        assert shown(session, "Compression") == "OFF", ends
        sent, received = int(shown(session, "Bytes_sent")), int(shown(session, "Bytes_received"))
        ask(session, "SELECT REPEAT('x', 100000)")
        ask(session, "SELECT '" + "y" * 50000 + "'")
        assert 150_000 < int(shown(session, "Bytes_sent")) - sent < 152_000, ends
        assert 50_000 < int(shown(session, "Bytes_received")) - received < 51_000, ends
        assert shown(Raw(ends, COMPRESS), "Compression") == "ON", ends


SUMS = ["Threads_connected", "Threads_running", "Connections", "Queries", "Questions", "Bytes_sent", "Com_do", "Com_insert"]


def test_global_values_are_of_all_nodes(sides):
    ends = sides[1]
    here, there = ({**ends, "host": host} for host in ends["hosts"])

    def shown(session, text):
        return {name.capitalize(): int(value) for name, value in rows(session, text) if name.capitalize() in SUMS}
    with log_in(here) as watcher, log_in(there) as other:
        for text in ("SHOW GLOBAL STATUS", "SELECT * FROM information_schema.GLOBAL_STATUS"):
            before = shown(watcher, text)
            assert set(before) == set(SUMS)
            with log_in(there) as more:
                for _ in range(3):
                    run(other, "DO 1")
                    run(more, "DO 2")
                after = shown(watcher, text)
                assert rows(watcher, "SHOW WARNINGS") == [], text
            assert after["Threads_connected"] == before["Threads_connected"] + 1, text
            assert after["Connections"] == before["Connections"] + 1, text
            assert after["Com_do"] == before["Com_do"] + 6, text
            # This session's own, besides: one or two more.
            for name in ("Queries", "Questions"):
                assert 6 <= after[name] - before[name] <= 10, (text, name)
            assert after["Bytes_sent"] > before["Bytes_sent"], text
            assert shown(other, text)["Com_do"] == after["Com_do"], text
        # Without GLOBAL, what a session has no count of is the instance's, too.
        assert shown(watcher, "SHOW STATUS")["Threads_connected"] == 2
        assert shown(watcher, "SHOW STATUS")["Com_do"] == 0


def test_variables_name_the_node(sides):
    ends = sides[1]
    seen = []
    for host in ends["hosts"]:
        with log_in({**ends, "host": host}) as session:
            (name, number), = rows(session, "SELECT @@hostname, @@server_id")
            assert name == socket.gethostname()
            assert rows(session, "SELECT @@global.hostname, @@global.server_id") == [(name, number)]
            rows(session, "PREPARE asked FROM 'SELECT @@hostname, @@server_id'")
            assert rows(session, "EXECUTE asked") == [(name, number)]
            wanted = [("hostname", name), ("server_id", str(number))]
            for text in ("SHOW VARIABLES WHERE variable_name IN ('hostname', 'server_id')",
                         "SHOW GLOBAL VARIABLES WHERE variable_name IN ('hostname', 'server_id')",
                         "SELECT LOWER(variable_name), variable_value FROM information_schema.GLOBAL_VARIABLES "
                         "WHERE variable_name IN ('hostname', 'server_id')"):
                assert sorted(rows(session, text)) == wanted, text
            with pytest.raises(pymysql.err.OperationalError) as refused:
                rows(session, "SELECT @@session.hostname")
            assert refused.value.args[0] == 1238
            seen.append(number)
    assert sorted(seen) == [1, 2]


def test_a_node_that_does_not_answer_is_told():
    with Shop() as shop, shop.log_in(shop.hosts[0]) as session:
        silent = shop.node_of(shop.hosts[1])
        os.kill(silent, signal.SIGSTOP)
        try:
            for text in ("SHOW GLOBAL STATUS LIKE 'Threads_connected'",
                         "SELECT * FROM information_schema.GLOBAL_STATUS WHERE variable_name = 'Threads_connected'"):
                (_, connected), = rows(session, text)
                assert int(connected) == 1, text
                (level, _, told), = rows(session, "SHOW WARNINGS")
                assert level == "Warning" and told.startswith("counts of other nodes are missing"), text
            # What is not a sum asks nobody.
            rows(session, "SHOW GLOBAL STATUS LIKE 'Uptime'")
            assert rows(session, "SHOW WARNINGS") == []
        finally:
            os.kill(silent, signal.SIGCONT)
