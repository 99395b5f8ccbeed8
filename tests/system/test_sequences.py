"""Sequences made by SQL: their statements and answers, their values in statements and prepared ones, and that no
value comes twice over two nodes, kill -9 of nodes and changes made meanwhile."""

import os
import signal
import threading
import time

import pymysql
import pytest
from system import connect, eventually, rows

CLIENTS = 6
KILLS = 4


def described(client, sql):
    """The column names of a statement."""
    with client.cursor() as cursor:
        cursor.execute(sql)
        return [column[0] for column in cursor.description]


def fails(client, sql, number):
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(client, sql)
    assert caught.value.args[0] == number, caught.value
    return caught.value.args[1]


def line(client, name):
    """What SHOW SEQUENCES says of one."""
    found = [row for row in rows(client, "SHOW SEQUENCES") if row[0] == name]
    assert len(found) == 1, found
    return found[0]


def test_settings_of_other_sessions_do_not_matter(shop, client):
    rows(client, "CREATE SEQUENCE untouched NOCACHE")
    rows(client, "CREATE TABLE marks (id INT NOT NULL PRIMARY KEY, n BIGINT) DBPARTITION BY MOD_HASH(id)")
    rows(client, "INSERT INTO marks VALUES (1, 0), (2, 0), (3, 0)")
    for setting in ("sql_select_limit = 0", "sql_mode = 'ANSI_QUOTES'", "max_statement_time = 0.000001", "autocommit = 0"):
        ends = shop.ends
        with connect(shop.hosts[0], ends["port"], ends["user"], ends["password"], ends["schema"]) as other:
            rows(other, f"SET SESSION {setting}")
            try:
                rows(other, "SELECT COUNT(*) FROM marks")
            except pymysql.MySQLError:
                pass
        with connect(shop.hosts[0], ends["port"], ends["user"], ends["password"], ends["schema"]) as session:
            for _ in range(3):
                rows(session, "UPDATE marks SET n = NEXTVAL(untouched)")
                rows(session, "SELECT NEXTVAL(untouched)")
    assert rows(client, "SELECT NEXTVAL(untouched)") == [(4 * 3 * 4 + 1,)]
    rows(client, "DROP TABLE marks")
    rows(client, "DROP SEQUENCE untouched")


def test_values_come_one_after_the_other(shop, client):
    schema = shop.ends["schema"]
    rows(client, "CREATE SEQUENCE seq_test")
    assert rows(client, "SELECT seq_test.currval") == [(0,)]
    assert [rows(client, "SELECT seq_test.nextval") for _ in range(3)] == [[(1,)], [(2,)], [(3,)]]
    assert rows(client, "SELECT seq_test.nextval(5)") == [(4,), (5,), (6,), (7,), (8,)]
    assert rows(client, "SELECT seq_test.currval") == [(8,)]
    assert rows(client, f"SELECT {schema}.seq_test.nextval, SEQ_TEST.currval, seq_test.nextval") == [(9, 9, 10)]
    assert rows(client, "SELECT seq_test.nextval + 1 AS n") == [(12,)]
    assert rows(client, "SELECT NEXT VALUE FOR seq_test, NEXTVAL(seq_test), LASTVAL(seq_test)") == [(12, 13, 13)]
    assert described(client, "SELECT seq_test.nextval") == ["seq_test.NEXTVAL"]
    assert described(client, "SELECT seq_test.currval") == ["seq_test.CURRVAL"]
    assert described(client, "SELECT seq_test.nextval(2)") == ["seq_test.NEXTVAL"]
    with shop.log_in() as other:
        assert rows(other, "SELECT seq_test.currval, PREVIOUS VALUE FOR seq_test") == [(0, None)]
    rows(client, "DROP SEQUENCE seq_test")
    fails(client, "SELECT seq_test.nextval", 4091)


def test_show_sequences(shop, client):
    schema = shop.ends["schema"].upper()
    assert described(client, "SHOW SEQUENCES") == ["NAME", "START_WITH", "INCREMENT", "MAX_VALUE", "USAGE_PERCENT(%)"]
    rows(client, "CREATE SEQUENCE counted")
    assert line(client, f"{schema}.COUNTED") == (f"{schema}.COUNTED", 1, 1000, 9223372036854775807, "0.00")
    rows(client, "SELECT counted.nextval")
    assert line(client, f"{schema}.COUNTED")[1] == 1001
    rows(client, "ALTER SEQUENCE counted CACHE 20")
    assert line(client, f"{schema}.COUNTED")[2] == 20
    rows(client, "ALTER SEQUENCE counted START WITH 617600")
    assert line(client, f"{schema}.COUNTED")[1] == 617600
    assert rows(client, "SELECT counted.nextval") == [(617600,)]
    assert line(client, f"{schema}.COUNTED")[1] == 617620
    rows(client, "CREATE TABLE numbered (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT) DBPARTITION BY HASH(id)")
    assert line(client, f"{schema}.NUMBERED") == (f"{schema}.NUMBERED", 1, 1000, 2147483647, "0.00")
    rows(client, "INSERT INTO numbered (v) VALUES (1)")
    assert line(client, f"{schema}.NUMBERED")[1] == 1001
    assert rows(client, f"SHOW SEQUENCES FROM {schema.lower()} LIKE '%NUMBERED'") == [line(client, f"{schema}.NUMBERED")]
    rows(client, "DROP SEQUENCE counted")
    rows(client, "DROP TABLE numbered")


def test_values_in_inserts(client):
    rows(client, "CREATE SEQUENCE s")
    rows(client, "CREATE SEQUENCE u")
    rows(client, "CREATE TABLE t (id BIGINT NOT NULL, v BIGINT, PRIMARY KEY (id)) DBPARTITION BY MOD_HASH(id)")
    with client.cursor() as cursor:
        assert cursor.execute("INSERT INTO t VALUES (s.nextval, s.currval), (s.nextval, u.nextval), (s.nextval, u.nextval)") == 3
    assert rows(client, "SELECT * FROM t ORDER BY id") == [(1, 1), (2, 1), (3, 2)]
    with client.cursor() as cursor:
        assert cursor.execute("REPLACE INTO t (id, v) VALUES (s.nextval, 9)") == 1
        assert cursor.execute("INSERT INTO t SET id = NEXTVAL(s), v = s.currval") == 1
    assert rows(client, "SELECT * FROM t WHERE id > 3 ORDER BY id") == [(4, 9), (5, 5)]
    # A statement that cannot be planned takes no value.
    fails(client, "INSERT INTO t (id, w) VALUES (s.nextval, 1)", 1054)
    fails(client, "INSERT INTO nowhere VALUES (s.nextval)", 1146)
    assert rows(client, "SELECT s.nextval") == [(6,)]
    # One for each row.
    rows(client, "UPDATE t SET v = s.nextval WHERE id < 4")
    assert rows(client, "SELECT v FROM t WHERE id < 4 ORDER BY v") == [(7,), (8,), (9,)]
    rows(client, "INSERT INTO t SELECT s.nextval, s.currval FROM t WHERE id < 4")
    assert rows(client, "SELECT id, v FROM t WHERE id > 5 ORDER BY id") == [(10, 10), (11, 11), (12, 12)]
    assert sorted(rows(client, "SELECT s.nextval FROM t WHERE id < 3")) == [(13,), (14,)]
    assert described(client, "SELECT s.nextval, s.nextval + 1 AS next FROM t") == ["s.NEXTVAL", "next"]
    fails(client, "SELECT t.nextval FROM t", 1054)
    assert "AUTO_INCREMENT" in fails(client, "CREATE TABLE x (id BIGINT DEFAULT NEXTVAL(s) PRIMARY KEY)", 1235)
    fails(client, "SELECT s.nextval(0)", 1210)
    fails(client, "SELECT s.currval(2)", 1064)
    fails(client, "SELECT s.nextval(2), 1", 1064)
    fails(client, "SELECT nosuch.nextval", 4091)
    fails(client, "SELECT nosuch.currval", 4091)
    fails(client, "SELECT nowhere.s.nextval", 1142)
    # A column may be called so.
    rows(client, "CREATE TABLE named (nextval INT NOT NULL PRIMARY KEY) DBPARTITION BY HASH(nextval)")
    rows(client, "INSERT INTO named (nextval) VALUES (3)")
    assert rows(client, "SELECT named.nextval FROM named") == [(3,)]
    for statement in ["DROP SEQUENCE s", "DROP SEQUENCE u", "DROP TABLE t", "DROP TABLE named"]:
        rows(client, statement)


def test_statements_and_their_errors(shop, client):
    schema = shop.ends["schema"]
    rows(client, "CREATE SEQUENCE one")
    fails(client, "CREATE SEQUENCE ONE", 1050)
    rows(client, "CREATE SEQUENCE IF NOT EXISTS one")
    assert rows(client, "SHOW WARNINGS")[0][:2] == ("Note", 1050)
    rows(client, "SELECT one.nextval(10)")
    rows(client, "CREATE OR REPLACE SEQUENCE one START WITH 100 INCREMENT BY 5 MINVALUE 100 MAXVALUE 110 CACHE 2")
    assert rows(client, "SELECT one.nextval(3)") == [(100,), (105,), (110,)]
    assert "run out" in fails(client, "SELECT one.nextval", 4084)
    rows(client, "ALTER SEQUENCE one CYCLE")
    assert rows(client, "SELECT one.nextval(4)") == [(100,), (105,), (110,), (100,)]
    rows(client, "ALTER SEQUENCE one RESTART")
    assert rows(client, "SELECT one.nextval") == [(100,)]
    fails(client, "ALTER SEQUENCE one CACHE -3", 4085)
    fails(client, "CREATE SEQUENCE bad START WITH 5 MAXVALUE 3", 4085)
    fails(client, "CREATE SEQUENCE bad INCREMENT BY 0", 4085)
    fails(client, "CREATE SEQUENCE `a-b`", 1064)
    rows(client, f"DROP SEQUENCE {schema}.one")
    fails(client, "DROP SEQUENCE one", 4091)
    rows(client, "DROP SEQUENCE IF EXISTS one")
    assert rows(client, "SHOW WARNINGS")[0][:2] == ("Note", 4091)
    fails(client, "ALTER SEQUENCE one START WITH 3", 4091)
    rows(client, "CREATE TABLE own (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)")
    fails(client, "CREATE SEQUENCE own", 1050)
    assert "AUTO_INCREMENT" in fails(client, "DROP SEQUENCE own", 1148)
    rows(client, "INSERT INTO own (v) VALUES (1)")
    rows(client, "ALTER SEQUENCE own START WITH 5000")
    rows(client, "INSERT INTO own (v) VALUES (2)")
    assert rows(client, "SELECT id FROM own ORDER BY id") == [(1,), (5000,)]
    assert rows(client, "SELECT own.nextval") == [(5001,)]
    rows(client, "ALTER SEQUENCE own CACHE 7")
    assert line(client, f"{schema.upper()}.OWN")[2] == 7
    fails(client, "ALTER SEQUENCE own INCREMENT BY 2", 1235)
    rows(client, "DROP TABLE own")


def test_fresh_all(shop, client):
    schema = shop.ends["schema"]
    rows(client, "CREATE TABLE f (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)")
    rows(client, "INSERT INTO f (v) VALUES (1)")
    # Rows that came past every node.
    shard = rows(client, "SHOW DATA NODE")[0]
    node = next(n for n in shop.system.endpoints["data_nodes"] if (n["host"], n["port"]) == (shard[2], shard[3]))
    with connect(node["host"], node["port"], node["admin_user"], node["admin_password"]) as direct:
        rows(direct, f"INSERT INTO {schema}_0000.f VALUES (80000, 5)")
    rows(client, "FRESH ALL SEQUENCE START VALUE")
    for host in shop.hosts:
        with shop.log_in(host) as other:
            rows(other, "INSERT INTO f (v) VALUES (3)")
    assert min(id for (id,) in rows(client, "SELECT id FROM f WHERE v = 3")) == 80001
    rows(client, "DROP TABLE f")


def test_prepared_statements(shop, client):
    from prepared import Prepared

    rows(client, "CREATE SEQUENCE p")
    rows(client, "CREATE TABLE pt (id BIGINT NOT NULL, v INT, PRIMARY KEY (id)) DBPARTITION BY MOD_HASH(id)")
    with shop.log_in() as session:
        insert = Prepared(session, "INSERT INTO pt VALUES (p.nextval, ?)")
        for value in (5, 6, 7):
            insert.execute(value)
        assert rows(session, "SELECT * FROM pt ORDER BY id") == [(1, 5), (2, 6), (3, 7)]
        select = Prepared(session, "SELECT p.nextval, p.currval")
        assert select.columns == 2
        assert [select.execute(), select.execute()] == [[(4, 4)], [(5, 5)]]
        many = Prepared(session, "SELECT p.nextval(3)")
        assert many.execute() == [(6,), (7,), (8,)]
    rows(client, "DROP SEQUENCE p")
    rows(client, "DROP TABLE pt")


def test_rights(shop, client):
    ends, password = shop.ends, "Reader-of_9Willows"
    shop.system.ctl("accounts", "create", ends["instance_id"], "reader", "--password", password,
                    "--schema", ends["schema"], "--permission", "SELECT")
    rows(client, "CREATE SEQUENCE guarded")
    with shop.log_in(user="reader", password=password) as reader:
        assert rows(reader, "SELECT guarded.currval") == [(0,)]
        fails(reader, "SELECT guarded.nextval", 1142)
        fails(reader, "CREATE SEQUENCE mine", 1142)
        fails(reader, "ALTER SEQUENCE guarded CACHE 5", 1142)
        fails(reader, "DROP SEQUENCE guarded", 1142)
        fails(reader, "FRESH ALL SEQUENCE START VALUE", 1227)
        assert rows(reader, "SHOW SEQUENCES LIKE '%GUARDED'")
    rows(client, "DROP SEQUENCE guarded")


def test_every_node_sees_a_change_at_once(shop):
    first, second = (shop.log_in(host) for host in shop.hosts[:2])
    with first, second:
        for _ in range(20):
            rows(first, "CREATE SEQUENCE seen")
            assert rows(second, "SELECT seen.nextval") in ([(1,)], [(1001,)])
            rows(first, "SELECT seen.nextval")
            rows(first, "ALTER SEQUENCE seen START WITH 70000")
            assert rows(second, "SELECT seen.nextval")[0][0] >= 70000
            rows(second, "DROP SEQUENCE seen")
            fails(first, "SELECT seen.nextval", 4091)


def test_no_value_comes_twice(shop, client):
    """Six clients on two nodes take values, some of them in rows, while nodes are killed."""
    rows(client, "CREATE SEQUENCE never CACHE 10")
    rows(client, "CREATE TABLE got (id BIGINT NOT NULL, PRIMARY KEY (id)) DBPARTITION BY MOD_HASH(id)")
    rows(client, "CREATE TABLE three (id INT NOT NULL PRIMARY KEY) DBPARTITION BY MOD_HASH(id)")
    rows(client, "INSERT INTO three VALUES (1), (2), (3)")
    over, taken, wrong = threading.Event(), [], []

    def take(number):
        mine = []
        taken.append(mine)
        session = None
        while not over.is_set():
            try:
                session = session or shop.log_in(shop.hosts[number % len(shop.hosts)])
                if number % 3 == 2:
                    rows(session, "INSERT INTO got SELECT NEXTVAL(never) FROM three")
                elif number % 3:
                    mine.extend(value for (value,) in rows(session, f"SELECT never.nextval({1 + len(mine) % 17})"))
                else:
                    rows(session, "INSERT INTO got VALUES (never.nextval), (never.nextval)")
            except pymysql.MySQLError as error:
                if error.args[0] == 1062:
                    wrong.append(error)
                session = None
                time.sleep(0.05)
        if session:
            session.close()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for number in range(KILLS):
        time.sleep(1)
        pids = eventually("nodes", lambda: len(shop.pids()) >= 2 and shop.pids())
        os.kill(pids[number % len(pids)], signal.SIGKILL)
    time.sleep(2)
    over.set()
    for thread in threads:
        thread.join()
    eventually("nodes", lambda: len(shop.pids()) >= 2)
    values = [value for mine in taken for value in mine]
    stored = eventually("a session", lambda: [id for (id,) in rows(shop.log_in(), "SELECT id FROM got")])
    assert not wrong
    assert len(values) > 100 and len(stored) > 20
    everything = values + stored
    assert len(set(everything)) == len(everything)


def test_information_schema_has_sequences(shop, client):
    schema = shop.ends["schema"]
    rows(client, "CREATE SEQUENCE listed_one")
    rows(client, "CREATE SEQUENCE `Listed_two`")
    ask = f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{schema}' AND "
    assert rows(client, ask + "TABLE_TYPE = 'SEQUENCE' AND TABLE_NAME LIKE 'listed%' ORDER BY 1") == [
        ("listed_one",), ("listed_two",)]
    assert rows(client, ask + "TABLE_NAME = 'listed_one' AND TABLE_TYPE = 'SEQUENCE'") == [("listed_one",)]
    assert rows(client, ask + "TABLE_NAME = 'listed_one' AND TABLE_TYPE = 'BASE TABLE'") == []
    assert rows(client, ask + "TABLE_NAME = 'nosuch' AND TABLE_TYPE = 'SEQUENCE'") == []
    assert rows(client, f"SELECT ENGINE, TABLE_ROWS, TEMPORARY FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{schema}' "
                        "AND TABLE_NAME = 'listed_two'") == [("InnoDB", 1, "N")]
    both = [("listed_one",), ("listed_two",)]
    assert rows(client, f"SHOW TABLES FROM {schema} LIKE 'listed%'") == both
    assert rows(client, f"SHOW TABLES FROM {schema} WHERE tables_in_{schema} LIKE 'listed%'") == both
    rows(client, "DROP SEQUENCE listed_one, listed_two")
    assert rows(client, ask + "TABLE_TYPE = 'SEQUENCE' AND TABLE_NAME LIKE 'listed%'") == []
