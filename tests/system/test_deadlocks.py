"""A deadlock in the middle of a statement that writes several physical tables of one data node: the statement is undone as a
whole, although its parts were sent ahead of each other's answers. And deadlocks over two data nodes, through one node and through
two, which ask each other by way of the control plane: found long before innodb_lock_wait_timeout, which is 50 s."""

import threading
import time

import pymysql
import pytest
from shop import Shop
from system import rows

HEAVY = 60
START = {(k, n): 0 for k in range(4) for n in range(HEAVY if k == 1 else 1)}


@pytest.fixture(scope="module")
def shop():
    with Shop() as one:
        yield one


@pytest.fixture()
def table(shop):
    """All rows lie in one shard; its four physical tables are written in the order of k."""
    client = shop.log_in()
    rows(client, "CREATE TABLE parts (id INT NOT NULL, k INT NOT NULL, n INT NOT NULL, v INT NOT NULL, PRIMARY KEY (id, k, n)) "
                 "DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(k) TBPARTITIONS 4")
    rows(client, "INSERT INTO parts VALUES " + ", ".join(f"(1, {k}, {n}, 0)" for k, n in START))
    yield "parts"
    rows(client, "DROP TABLE parts")


def deadlock(shop, table, begin):
    """Runs a statement on all four tables into a deadlock that it loses, and gives its error."""
    heavy, light = shop.log_in(), shop.log_in()
    rows(heavy, "BEGIN")
    rows(heavy, f"UPDATE {table} SET v = v WHERE id = 1 AND k = 1")
    rows(heavy, f"UPDATE {table} SET v = 5 WHERE id = 1 AND k = 1")
    for statement in begin:
        rows(light, statement)
    errors = []

    def lose():
        try:
            rows(light, f"UPDATE {table} SET v = v + 1 WHERE id = 1")
        except pymysql.err.MySQLError as error:
            errors.append(error.args[0])

    loser = threading.Thread(target=lose)
    loser.start()
    time.sleep(1)
    rows(heavy, f"UPDATE {table} SET v = v WHERE id = 1 AND k = 0")
    rows(heavy, f"UPDATE {table} SET v = 7 WHERE id = 1 AND k = 0")
    loser.join(30)
    rows(heavy, "ROLLBACK")
    assert errors == [1213]
    return light


@pytest.mark.parametrize("begin", [[], ["BEGIN"], ["BEGIN", "SAVEPOINT mine"]])
def test_nothing_of_the_statement_is_left(shop, table, begin):
    loser = deadlock(shop, table, begin)
    shown = {(k, n): v for k, n, v in rows(loser, f"SELECT k, n, v FROM {table}")}
    assert shown == START
    # The session goes on, and commits by itself again.
    rows(loser, f"UPDATE {table} SET v = 9 WHERE id = 1 AND k = 2")
    assert rows(shop.log_in(), f"SELECT v FROM {table} WHERE id = 1 AND k = 2") == [(9,)]


# On two data nodes.
HERE, THERE = 1, 5
FOUND_WITHIN = 10


@pytest.fixture(scope="module")
def spread(shop):
    client = shop.log_in()
    rows(client, "CREATE TABLE spread (id INT NOT NULL PRIMARY KEY, v INT NOT NULL) DBPARTITION BY MOD_HASH(id)")
    rows(client, f"INSERT INTO spread VALUES ({HERE}, 0), ({THERE}, 0)")
    yield "spread"
    rows(client, "DROP TABLE spread")


@pytest.mark.parametrize("nodes", [(0, 0), (0, 1)])
def test_two_data_nodes(shop, spread, nodes):
    sessions = [shop.log_in(shop.hosts[node]) for node in nodes]
    rows(shop.log_in(), f"UPDATE {spread} SET v = 0")
    for session, own in zip(sessions, (HERE, THERE)):
        rows(session, "BEGIN")
        rows(session, f"UPDATE {spread} SET v = v + 1 WHERE id = {own}")
    told = [None, None]

    def want(number, other):
        try:
            told[number] = rows(sessions[number], f"UPDATE {spread} SET v = v + 1 WHERE id = {other}")
        except pymysql.err.MySQLError as error:
            told[number] = error.args

    threads = [threading.Thread(target=want, args=args) for args in ((0, THERE), (1, HERE))]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    took = time.monotonic() - begun
    print(f"through {nodes}: {took:.2f} s")
    assert sorted(told, key=len) == [[], (1213, "Deadlock found when trying to get lock; try restarting transaction")]
    assert took < FOUND_WITHIN
    for session in sessions:
        rows(session, "COMMIT")
        session.close()
    assert rows(shop.log_in(), f"SELECT v FROM {spread} ORDER BY id") == [(1,), (1,)]
