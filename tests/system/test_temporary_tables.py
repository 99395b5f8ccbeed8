"""Temporary tables over two nodes and two data nodes: a session's alone, beside every kind of table, in and outside
of transactions, gone with the session, and a clear end when their data node's connection is lost."""

import os
import signal

import pymysql
import pytest
from shop import Shop
from system import rows as listed


@pytest.fixture(scope="module")
def shop():
    """A system with tables of every kind."""
    with Shop() as one:
        with one.log_in() as client, client.cursor() as cursor:
            cursor.execute("CREATE TABLE tt_sharded (id INT PRIMARY KEY, v VARCHAR(20)) DBPARTITION BY mod_hash(id)")
            cursor.execute("CREATE TABLE tt_copies (id INT PRIMARY KEY, label VARCHAR(20)) BROADCAST")
            cursor.execute("CREATE TABLE tt_single (id INT PRIMARY KEY, note VARCHAR(20))")
            for number in range(1, 21):
                cursor.execute("INSERT INTO tt_sharded VALUES (%s, %s)", (number, f"v{number}"))
            cursor.execute("INSERT INTO tt_copies VALUES (1, 'one'), (2, 'two'), (3, 'three')")
            cursor.execute("INSERT INTO tt_single VALUES (1, 'first'), (2, 'second')")
        yield one


def rows(client, sql):
    return tuple(listed(client, sql))


def run(client, sql, *arguments):
    with client.cursor() as cursor:
        return cursor.execute(sql, arguments or None)


def fails(client, sql, number):
    with pytest.raises(pymysql.err.MySQLError) as failed:
        run(client, sql)
    assert failed.value.args[0] == number, failed.value


def test_beside_every_kind_of_table(client):
    run(client, "CREATE TEMPORARY TABLE t (id INT PRIMARY KEY, w VARCHAR(20))")
    assert run(client, "INSERT INTO t SELECT id, v FROM tt_sharded WHERE id <= 5") == 5
    assert rows(client, "SELECT t.id, s.v FROM t JOIN tt_sharded s ON s.id = t.id ORDER BY t.id") == tuple(
        (number, f"v{number}") for number in range(1, 6))
    assert rows(client, "SELECT t.id, c.label FROM t JOIN tt_copies c USING (id) ORDER BY 1") == (
        (1, "one"), (2, "two"), (3, "three"))
    assert rows(client, "SELECT t.id, o.note FROM t JOIN tt_single o USING (id) ORDER BY 1") == (
        (1, "first"), (2, "second"))
    assert run(client, "INSERT INTO tt_sharded SELECT id + 100, w FROM t") == 5
    assert rows(client, "SELECT COUNT(*) FROM tt_sharded WHERE id > 100") == ((5,),)
    assert run(client, "DELETE FROM tt_sharded WHERE id > 100") == 5
    assert run(client, "UPDATE t SET w = UPPER(w) WHERE id IN (SELECT id FROM tt_copies)") == 3
    assert rows(client, "SELECT w FROM t ORDER BY id") == (("V1",), ("V2",), ("V3",), ("v4",), ("v5",))


def test_is_its_sessions_alone(shop, client):
    run(client, "CREATE TEMPORARY TABLE mine (a INT)")
    run(client, "INSERT INTO mine VALUES (1)")
    for host in shop.hosts:
        with shop.log_in(host) as other:
            fails(other, "SELECT * FROM mine", 1146)
            run(other, "CREATE TEMPORARY TABLE mine (b VARCHAR(5))")
            run(other, "INSERT INTO mine VALUES ('x'), ('y')")
            assert rows(other, "SELECT b FROM mine ORDER BY b") == (("x",), ("y",))
    assert rows(client, "SELECT a FROM mine") == ((1,),)
    assert ("mine",) not in rows(client, "SHOW TABLES")


def test_hides_a_table_until_it_is_dropped(shop, client):
    run(client, "CREATE TEMPORARY TABLE tt_sharded (only_mine INT)")
    run(client, "INSERT INTO tt_sharded VALUES (7)")
    assert rows(client, "SELECT * FROM tt_sharded") == ((7,),)
    with shop.log_in() as other:
        assert rows(other, "SELECT COUNT(*) FROM tt_sharded") == ((20,),)
    assert ("tt_sharded",) in rows(client, "SHOW TABLES")
    run(client, "DROP TABLE tt_sharded")
    assert rows(client, "SELECT COUNT(*) FROM tt_sharded") == ((20,),)


def test_plans_of_others_are_not_taken(shop, client):
    query = "SELECT COUNT(*) FROM tt_single"
    assert rows(client, query) == ((2,),)
    run(client, "CREATE TEMPORARY TABLE tt_single (x INT)")
    assert rows(client, query) == ((0,),)
    with shop.log_in() as other:
        assert rows(other, query) == ((2,),)
    run(client, "DROP TEMPORARY TABLE tt_single")
    assert rows(client, query) == ((2,),)


def test_in_a_transaction(client):
    run(client, "BEGIN")
    run(client, "INSERT INTO tt_sharded VALUES (201, 'new'), (202, 'new'), (203, 'new'), (204, 'new')")
    run(client, "CREATE TEMPORARY TABLE seen (id INT)")
    assert run(client, "INSERT INTO seen SELECT id FROM tt_sharded WHERE id > 200") == 4
    assert rows(client, "SELECT COUNT(*) FROM seen JOIN tt_sharded USING (id)") == ((4,),)
    run(client, "ROLLBACK")
    assert rows(client, "SELECT COUNT(*) FROM tt_sharded WHERE id > 200") == ((0,),)
    # The rows of a transactional temporary table go with the transaction, the table does not.
    assert rows(client, "SELECT COUNT(*) FROM seen") == ((0,),)
    run(client, "BEGIN")
    run(client, "INSERT INTO seen VALUES (301), (302), (303)")
    run(client, "INSERT INTO tt_sharded SELECT id, 'kept' FROM seen")
    run(client, "COMMIT")
    assert rows(client, "SELECT COUNT(*) FROM tt_sharded WHERE v = 'kept'") == ((3,),)
    assert rows(client, "SELECT COUNT(*) FROM seen") == ((3,),)
    assert run(client, "DELETE FROM tt_sharded WHERE id > 200") == 3


def test_as_a_query_over_shards(client):
    assert run(client, "CREATE TEMPORARY TABLE sums AS SELECT id % 2 AS odd, COUNT(*) AS n, SUM(id) AS total "
                       "FROM tt_sharded GROUP BY id % 2") == 2
    assert rows(client, "SELECT odd, n, total FROM sums ORDER BY odd") == ((0, 10, 110), (1, 10, 100))
    run(client, "CREATE TEMPORARY TABLE again LIKE tt_sharded")
    assert run(client, "INSERT INTO again SELECT * FROM tt_sharded") == 20
    fails(client, "INSERT INTO again VALUES (1, 'twice')", 1062)
    created = rows(client, "SHOW CREATE TABLE again")[0][1]
    assert "CREATE TEMPORARY TABLE `again`" in created and "DBPARTITION" not in created


def test_prepared_statements_follow(client):
    run(client, "PREPARE p FROM 'SELECT COUNT(*) FROM tt_copies'")
    assert rows(client, "EXECUTE p") == ((3,),)
    run(client, "CREATE TEMPORARY TABLE tt_copies (a INT)")
    assert rows(client, "EXECUTE p") == ((0,),)
    run(client, "DROP TEMPORARY TABLE tt_copies")
    assert rows(client, "EXECUTE p") == ((3,),)


def test_handler_on_a_single_table(client):
    run(client, "HANDLER tt_single OPEN AS h")
    assert rows(client, "HANDLER h READ `PRIMARY` FIRST") == ((1, "first"),)
    assert rows(client, "HANDLER h READ `PRIMARY` NEXT") == ((2, "second"),)
    assert rows(client, "HANDLER h READ `PRIMARY` = (2)") == ((2, "second"),)
    run(client, "HANDLER h CLOSE")
    fails(client, "HANDLER h READ FIRST", 1109)
    fails(client, "HANDLER tt_sharded OPEN", 1235)


def test_a_reset_takes_them_away(client):
    run(client, "CREATE TEMPORARY TABLE gone (a INT)")
    client._execute_command(31, b"")  # COM_RESET_CONNECTION
    client._read_ok_packet()
    fails(client, "SELECT * FROM gone", 1146)
    assert rows(client, "SELECT COUNT(*) FROM tt_sharded") == ((20,),)


def test_a_lost_connection_ends_the_session(shop):
    """Last, for it ends data nodes: a session is told, and ends; it never meets the hidden table instead."""
    client = shop.log_in()
    run(client, "CREATE TEMPORARY TABLE tt_sharded (a INT)")
    run(client, "INSERT INTO tt_sharded VALUES (1)")
    for pid in shop.system.children("mariadbd"):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(pymysql.err.MySQLError) as failed:
        run(client, "DELETE FROM tt_sharded")
    assert failed.value.args[0] in (2013, 2006, 3106, 3107, 3108), failed.value
    with pytest.raises(pymysql.err.MySQLError):
        run(client, "SELECT COUNT(*) FROM tt_sharded")
