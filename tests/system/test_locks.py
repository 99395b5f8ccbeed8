"""LOCK TABLES and GET_LOCK with several sessions on two nodes of one instance: others wait, deadlocks do not come,
and everything is free when a session ends."""

import threading
import time

import pymysql
import pytest
from shop import Shop
from system import eventually
from system import rows as listed

WAITS = 1.0


@pytest.fixture(scope="module")
def shop():
    """A system with tables of every kind."""
    with Shop() as one:
        with one.log_in() as client:
            run(client, "CREATE TABLE lk_one (id INT PRIMARY KEY, v INT) DBPARTITION BY mod_hash(id)")
            run(client, "CREATE TABLE lk_two (id INT PRIMARY KEY, v INT) DBPARTITION BY mod_hash(id) "
                        "TBPARTITION BY mod_hash(id) TBPARTITIONS 2")
            run(client, "CREATE TABLE lk_copies (id INT PRIMARY KEY, v INT) BROADCAST")
        yield one


@pytest.fixture
def pair(shop):
    """Two sessions, each on its own node."""
    first, second = shop.log_in(shop.hosts[0]), shop.log_in(shop.hosts[1])
    yield first, second
    for session in (first, second):
        if session.open:
            session.close()


def rows(client, sql):
    return tuple(listed(client, sql))


def run(client, sql):
    with client.cursor() as cursor:
        return cursor.execute(sql)


def fails(client, sql, number):
    with pytest.raises(pymysql.err.MySQLError) as failed:
        run(client, sql)
    assert failed.value.args[0] == number, failed.value


class Later(threading.Thread):
    """A statement that another session is expected to wait with."""

    def __init__(self, client, sql):
        super().__init__()
        self.client, self.sql, self.result = client, sql, None
        self.start()

    def run(self):
        try:
            self.result = run(self.client, self.sql)
        except pymysql.err.MySQLError as error:
            self.result = error

    def waits(self):
        self.join(WAITS)
        return self.is_alive()


def test_a_write_lock_keeps_others_out(pair):
    first, second = pair
    run(first, "LOCK TABLES lk_one WRITE")
    assert run(first, "INSERT INTO lk_one VALUES (1, 1), (2, 2), (3, 3), (4, 4)") == 4
    reads = Later(second, "SELECT * FROM lk_one")
    assert reads.waits()
    assert rows(first, "SELECT COUNT(*), SUM(v) FROM lk_one") == ((4, 10),)
    run(first, "UNLOCK TABLES")
    reads.join(10)
    assert reads.result == 4
    assert run(second, "DELETE FROM lk_one") == 4


def test_a_read_lock_lets_others_read(pair):
    first, second = pair
    run(first, "LOCK TABLES lk_two READ")
    assert rows(second, "SELECT COUNT(*) FROM lk_two") == ((0,),)
    assert rows(first, "SELECT COUNT(*) FROM lk_two WHERE lk_two.v >= 0") == ((0,),)
    fails(first, "INSERT INTO lk_two VALUES (1, 1)", 1099)
    fails(first, "SELECT * FROM lk_one", 1100)
    writes = Later(second, "INSERT INTO lk_two VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)")
    assert writes.waits()
    run(first, "UNLOCK TABLES")
    writes.join(10)
    assert writes.result == 5
    assert run(second, "DELETE FROM lk_two") == 5


def test_the_end_of_a_session_frees(pair):
    first, second = pair
    run(first, "LOCK TABLES lk_one WRITE, lk_two WRITE, lk_copies WRITE")
    waiting = Later(second, "INSERT INTO lk_copies VALUES (9, 9)")
    assert waiting.waits()
    first.close()
    waiting.join(10)
    assert waiting.result == 1
    run(second, "DELETE FROM lk_copies")


def test_begin_frees_and_lock_commits(pair):
    first, second = pair
    run(first, "BEGIN")
    run(first, "INSERT INTO lk_one VALUES (50, 1), (51, 1)")
    run(first, "LOCK TABLES lk_two WRITE")
    assert rows(second, "SELECT COUNT(*) FROM lk_one") == ((2,),)
    run(first, "BEGIN")
    assert run(second, "INSERT INTO lk_two VALUES (1, 1)") == 1
    run(first, "ROLLBACK")
    run(second, "DELETE FROM lk_one")
    run(second, "DELETE FROM lk_two")


def test_no_deadlock_between_many(shop):
    tables = ["lk_one", "lk_two", "lk_copies"]
    failed = []

    def work(number):
        try:
            with shop.log_in(shop.hosts[number % 2]) as client:
                for turn in range(8):
                    order = tables if (number + turn) % 2 else tables[::-1]
                    run(client, "LOCK TABLES " + ", ".join(f"{table} WRITE" for table in order))
                    run(client, f"INSERT INTO lk_one VALUES ({1000 + number * 100 + turn}, 1)")
                    run(client, "UNLOCK TABLES")
        except Exception as error:  # told below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    assert not failed, failed
    with shop.log_in() as client:
        assert rows(client, "SELECT COUNT(*) FROM lk_one") == ((48,),)
        run(client, "DELETE FROM lk_one")


def test_a_dump_restores(shop):
    """What mysqldump writes around its rows."""
    with shop.log_in() as client:
        run(client, "LOCK TABLES lk_two WRITE")
        run(client, "/*!40000 ALTER TABLE lk_two DISABLE KEYS */")
        assert run(client, "INSERT INTO lk_two VALUES " + ",".join(f"({n},{n})" for n in range(1, 101))) == 100
        run(client, "/*!40000 ALTER TABLE lk_two ENABLE KEYS */")
        run(client, "UNLOCK TABLES")
        assert rows(client, "SELECT COUNT(*), SUM(v) FROM lk_two") == ((100, 5050),)
        run(client, "LOCK TABLES lk_two READ LOCAL")
        assert len(rows(client, "SELECT /*!40001 SQL_NO_CACHE */ * FROM lk_two")) == 100
        run(client, "UNLOCK TABLES")
        run(client, "DELETE FROM lk_two")


def test_named_locks_are_the_instances(pair):
    first, second = pair
    assert rows(first, "SELECT GET_LOCK('system', 0)") == ((1,),)
    assert rows(second, "SELECT GET_LOCK('system', 0), IS_FREE_LOCK('system')") == ((0, 0),)
    waiting = Later(second, "SELECT GET_LOCK('system', 20)")
    assert waiting.waits()
    assert rows(first, "SELECT RELEASE_LOCK('system')") == ((1,),)
    waiting.join(10)
    assert not waiting.is_alive()
    assert rows(first, "SELECT GET_LOCK('system', 0)") == ((0,),)
    assert rows(second, "SELECT RELEASE_ALL_LOCKS()") == ((1,),)
    assert rows(first, "SELECT GET_LOCK('system', 0)") == ((1,),)
    first.close()
    eventually("the end of a session frees its lock",
               lambda: rows(second, "SELECT GET_LOCK('system', 0)") == ((1,),), 10)


def test_named_locks_outlive_transactions(pair):
    first, second = pair
    run(first, "BEGIN")
    run(first, "INSERT INTO lk_one VALUES (1, 1), (2, 2), (3, 3)")
    assert rows(first, "SELECT GET_LOCK('inside', 0)") == ((1,),)
    run(first, "ROLLBACK")
    assert rows(second, "SELECT IS_FREE_LOCK('inside')") == ((0,),)
    assert rows(first, "SELECT COUNT(*) FROM lk_one") == ((0,),)
    run(first, "DO RELEASE_LOCK('inside')")
    assert rows(second, "SELECT IS_FREE_LOCK('inside')") == ((1,),)


def test_kill_reaches_who_waits(shop, pair):
    first, second = pair
    run(first, "LOCK TABLES lk_one WRITE")
    number = second.thread_id()
    waiting = Later(second, "LOCK TABLES lk_one WRITE")
    assert waiting.waits()
    with shop.log_in(shop.hosts[1]) as killer:
        run(killer, f"KILL QUERY {number}")
    waiting.join(10)
    assert isinstance(waiting.result, pymysql.err.MySQLError) and waiting.result.args[0] == 1317
    run(first, "UNLOCK TABLES")
    started = time.monotonic()
    assert rows(second, "SELECT COUNT(*) FROM lk_one") == ((0,),)
    assert time.monotonic() - started < 5
