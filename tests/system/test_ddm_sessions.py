"""SHOW DDM SESSIONS: which sessions hold a data node's connection between their statements, why and for how long; and sessions
that end when they are idle for longer than they have said."""

import time

import pymysql
import pytest
from shop import Shop
from system import eventually, rows

COLUMNS = ["Id", "User", "Host", "db", "State", "Time", "Data_node", "Connection_id", "Held_for", "Held_seconds", "Attributes"]


@pytest.fixture(scope="module")
def tables(shop):
    with shop.log_in(shop.hosts[0]) as client:
        rows(client, "CREATE TABLE held (id INT NOT NULL PRIMARY KEY, v INT) DBPARTITION BY HASH(id)")
        rows(client, "CREATE TABLE whole (id INT NOT NULL PRIMARY KEY)")


def held(watcher, of):
    """What a session holds: {(data node, why)}; the ids are those of connections that are there."""
    found = set()
    for row in rows(watcher, "SHOW DDM SESSIONS"):
        if row[0] == of and row[6] is not None:
            assert row[7] > 0 and row[9] >= 0, row
            found.add((row[6], row[8]))
    return found


def names(system_rows):
    return sorted(reason for _, reason in system_rows)


def test_what_a_session_holds_and_why(shop: Shop, tables):
    with shop.log_in(shop.hosts[0]) as client, shop.log_in(shop.hosts[0]) as watcher:
        me = rows(client, "SELECT CONNECTION_ID()")[0][0]
        with watcher.cursor() as cursor:
            cursor.execute("SHOW DDM SESSIONS")
            assert [column[0] for column in cursor.description] == COLUMNS
            mine = [row for row in cursor.fetchall() if row[0] == me]
        assert len(mine) == 1 and mine[0][1] == shop.ends["user"] and mine[0][3] == shop.ends["schema"], mine
        assert mine[0][6:10] == (None, None, None, None) and "_client_name=pymysql" in mine[0][10], mine
        # Nothing is held for what can be replayed, nor by a transaction without a statement.
        rows(client, "SET @x = 1, sql_mode = 'ANSI_QUOTES', time_zone = '+01:00'")
        rows(client, "SELECT @x, id FROM held")
        rows(client, "BEGIN")
        assert held(watcher, me) == set()
        rows(client, "SELECT * FROM whole")
        assert names(held(watcher, me)) == ["transaction"]
        rows(client, "INSERT INTO held VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8)")
        assert names(held(watcher, me)) == ["distributed transaction", "transaction"]
        assert len({node for node, _ in held(watcher, me)}) == 2
        time.sleep(1.1)
        assert all(row[9] >= 1 for row in rows(watcher, "SHOW DDM SESSIONS") if row[0] == me)
        rows(client, "ROLLBACK")
        assert held(watcher, me) == set()
        rows(client, "CREATE TEMPORARY TABLE scrap (a INT)")
        assert names(held(watcher, me)) == ["temporary table"]
        rows(client, "BEGIN")
        rows(client, "INSERT INTO scrap VALUES (1)")
        rows(client, "INSERT INTO whole VALUES (1)")
        assert names(held(watcher, me)) == ["transaction, temporary table"]
        rows(client, "ROLLBACK")
        assert names(held(watcher, me)) == ["temporary table"]
        rows(client, "DROP TEMPORARY TABLE scrap")
        assert held(watcher, me) == set()


@pytest.mark.parametrize("begin, end, reason", [
    ("SELECT GET_LOCK('one', 1)", "SELECT RELEASE_LOCK('one')", "GET_LOCK"),
    ("LOCK TABLES whole WRITE", "UNLOCK TABLES", "LOCK TABLES"),
    ("HANDLER whole OPEN", "HANDLER whole CLOSE", "HANDLER"),
])
def test_locks_and_handlers(shop: Shop, tables, begin, end, reason):
    with shop.log_in(shop.hosts[0]) as client, shop.log_in(shop.hosts[0]) as watcher:
        me = rows(client, "SELECT CONNECTION_ID()")[0][0]
        rows(client, begin)
        assert set(names(held(watcher, me))) == {reason}
        rows(client, end)
        assert held(watcher, me) == set()


def test_the_sessions_of_all_nodes_are_seen(shop: Shop, tables):
    with shop.log_in(shop.hosts[1]) as watcher:
        client = shop.log_in(shop.hosts[0])
        me = rows(client, "SELECT CONNECTION_ID()")[0][0]
        client.begin()
        rows(client, "SELECT * FROM whole")
        assert names(held(watcher, me)) == ["transaction"]
        client.close()
        eventually("the session goes", lambda: me not in [row[0] for row in rows(watcher, "SHOW DDM SESSIONS")])


def test_limits_are_refused(shop: Shop):
    with shop.log_in() as client:
        with pytest.raises(pymysql.err.NotSupportedError, match="no LIMIT"):
            rows(client, "SHOW DDM SESSIONS LIMIT 1")


def test_a_session_ends_that_is_idle_for_longer_than_it_said(shop: Shop):
    with shop.log_in() as stays:
        idle = shop.log_in()
        rows(idle, "SET wait_timeout = 1")
        time.sleep(3)
        with pytest.raises(pymysql.err.OperationalError) as gone:
            rows(idle, "SELECT 1")
        assert gone.value.args[0] in (2006, 2013)
        assert rows(stays, "SELECT 1") == [(1,)]


def test_what_clients_say_of_themselves(shop: Shop, tables):
    with shop.log_in(shop.hosts[0], program_name="stock'\\taking") as client, shop.log_in(shop.hosts[0]) as watcher:
        me = rows(client, "SELECT CONNECTION_ID()")[0][0]
        ask = "SELECT ATTR_NAME, ATTR_VALUE FROM performance_schema.session_account_connect_attrs WHERE PROCESSLIST_ID = {} ORDER BY 1"
        mine = dict(rows(client, ask.format("CONNECTION_ID()")))
        assert mine["_client_name"] == "pymysql" and mine["program_name"] == "stock'\\taking", mine
        assert dict(rows(watcher, ask.format(me))) == mine
        other = rows(watcher, "SELECT a.ATTR_VALUE FROM performance_schema.session_connect_attrs a WHERE a.ATTR_NAME = 'program_name' "
                              f"AND a.PROCESSLIST_ID = {me}")
        assert other == [("stock'\\taking",)]
        shown = rows(watcher, f"SHOW DDM SESSIONS WHERE Id = {me} AND Attributes LIKE '%taking%'")
        assert len(shown) == 1 and shown[0][1] == shop.ends["user"]
        assert me in {row[0] for row in rows(watcher, f"SHOW DDM SESSIONS LIKE '{shop.ends['user'][:3]}%'")}
        assert rows(watcher, "SHOW DDM SESSIONS LIKE 'nosuch'") == []
        with pytest.raises(pymysql.MySQLError) as caught:
            rows(watcher, "SHOW DDM SESSIONS WHERE nosuch = 1")
        assert caught.value.args[0] == 1054
        with pytest.raises(pymysql.MySQLError):
            rows(watcher, "SELECT * FROM performance_schema.threads")
