"""Rows that move between shards because their sharding key changes: by several clients at once, in transactions that
are taken back, and while nodes are killed. No row may be lost or come twice. Also what a client is told of writes on
several shards beside the counts: texts, warnings, generated values."""

import os
import random
import signal
import threading
import time

import pymysql
import pytest
from shop import Shop
from system import eventually, rows

MOVERS = 8
READERS = 3
ROWS = 400
SECONDS = 10
KILLS = 4

# Deadlock, lock wait timeout, and what the death of a node looks like.
AGAIN = {1205, 1213, 2006, 2013, 2003, 3108, 1429, 1053, 3110, 1062}


class Movers(Shop):
    """Sessions by number, spread over the nodes, that do not wait long for a lock."""

    def log_in(self, number=0, **more):
        session = super().log_in(self.hosts[number % len(self.hosts)], **more)
        rows(session, "SET innodb_lock_wait_timeout = 2")
        return session


@pytest.fixture(scope="module")
def shop():
    with Movers() as one:
        yield one


def fill(client, table):
    rows(client, f"CREATE TABLE {table} (id INT NOT NULL, k INT NOT NULL, v INT NOT NULL, note VARCHAR(20), "
                 f"PRIMARY KEY (id, k)) DBPARTITION BY MOD_HASH(k)")
    listed = ", ".join(f"({number}, {number}, {number * 3})" for number in range(ROWS))
    rows(client, f"INSERT INTO {table} (id, k, v) VALUES {listed}")


def whole(client, table):
    """Rows, different rows and the sum over all shards."""
    return rows(client, f"SELECT COUNT(*), COUNT(DISTINCT id), SUM(v) FROM {table}")[0]


EXPECTED = (ROWS, ROWS, sum(number * 3 for number in range(ROWS)))


def misplaced(client, table):
    """Rows that are not found by their own keys: they lie on a shard where nobody looks for them."""
    lost = []
    for number, k in rows(client, f"SELECT id, k FROM {table}"):
        if rows(client, f"SELECT COUNT(*) FROM {table} WHERE id = {number} AND k = {k}") != [(1,)]:
            lost.append((number, k))
    return lost


class Load:
    """Clients that move rows, and clients that read them meanwhile."""

    def __init__(self, shop, table):
        self.shop, self.table = shop, table
        self.over, self.wrong, self.moves, self.reads = threading.Event(), [], 0, 0
        self.threads = [threading.Thread(target=self.move, args=(number,)) for number in range(MOVERS)]
        self.threads += [threading.Thread(target=self.read, args=(number,)) for number in range(READERS)]

    def run(self, work):
        for thread in self.threads:
            thread.start()
        try:
            work()
        finally:
            self.over.set()
            for thread in self.threads:
                thread.join()

    def repeat(self, number, work):
        session = None
        while not self.over.is_set():
            try:
                session = session or self.shop.log_in(number)
                work(session)
            except pymysql.MySQLError as error:
                if error.args[0] not in AGAIN:
                    self.wrong.append(error)
                try:
                    session and session.close()
                except pymysql.MySQLError:
                    pass
                session = None
                time.sleep(0.02)

    def move(self, number):
        chance = random.Random(number)

        def work(session):
            which, to = chance.randrange(ROWS), chance.randrange(1_000_000)
            kind = chance.randrange(4)
            if kind == 0:
                rows(session, f"UPDATE {self.table} SET k = {to} WHERE id = {which}")
            elif kind == 1:
                rows(session, f"UPDATE {self.table} SET k = k + {1 + to % 9} WHERE id IN ({which}, {ROWS - 1 - which})")
            else:
                rows(session, "BEGIN")
                found = rows(session, f"SELECT k FROM {self.table} WHERE id = {which} FOR UPDATE")
                assert len(found) == 1, (which, found)
                rows(session, f"UPDATE {self.table} SET k = {to} WHERE id = {which} AND k = {found[0][0]}")
                again = rows(session, f"SELECT k, v FROM {self.table} WHERE id = {which}")
                if again != [(to, which * 3)]:
                    self.wrong.append((which, to, again))
                rows(session, "COMMIT" if kind == 2 else "ROLLBACK")
            self.moves += 1

        self.repeat(number, work)

    def read(self, number):
        def work(session):
            rows(session, "BEGIN")
            one = whole(session, self.table)
            other = whole(session, self.table)
            if one != other:
                self.wrong.append((one, other))
            rows(session, "COMMIT")
            self.reads += 1

        self.repeat(number, work)


def test_many_clients_move_rows(shop, client):
    fill(client, "moved")
    load = Load(shop, "moved")
    load.run(lambda: time.sleep(SECONDS))
    assert not load.wrong, load.wrong[:5]
    assert load.moves > 50 and load.reads > 5
    assert whole(client, "moved") == EXPECTED
    assert misplaced(client, "moved") == []


def test_a_killed_node_leaves_no_half_move(shop, client):
    fill(client, "killed")
    load = Load(shop, "killed")

    def kill():
        for number in range(KILLS):
            time.sleep(1.5)
            pids = eventually("nodes", lambda: len(shop.pids()) >= 2 and shop.pids())
            os.kill(pids[number % len(pids)], signal.SIGKILL)
        time.sleep(2)

    load.run(kill)
    eventually("nodes", lambda: len(shop.pids()) >= 2)
    assert not load.wrong, load.wrong[:5]
    assert load.moves > 20
    # Branches that were prepared are ended by the nodes' recovery.
    last = eventually("every row once", lambda: shop.log_in() and whole(shop.log_in(), "killed") == EXPECTED, 60)
    assert last
    with shop.log_in() as session:
        assert misplaced(session, "killed") == []


def info(client, sql):
    """Affected rows and the text of an answer."""
    with client.cursor() as cursor:
        affected = cursor.execute(sql)
        message = client._result.message
        text = message.decode() if isinstance(message, bytes) else message
        # The driver leaves the text's length before it.
        return affected, text[text.find("R"):] if "R" in text else ""


def test_texts_of_answers(shop, client):
    rows(client, "CREATE TABLE told (id INT NOT NULL PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)")
    assert info(client, "INSERT INTO told VALUES (1, 1)") == (1, "")
    assert info(client, "INSERT INTO told VALUES (2, 2), (3, 3), (4, 4)") == (3, "Records: 3  Duplicates: 0  Warnings: 0")
    assert info(client, "INSERT IGNORE INTO told VALUES (4, 0), (5, 5)") == (1, "Records: 2  Duplicates: 1  Warnings: 1")
    assert info(client, "REPLACE INTO told VALUES (4, 40), (5, 50), (6, 6)") == (5, "Records: 3  Duplicates: 2  Warnings: 0")
    assert info(client, "INSERT INTO told VALUES (5, 1), (6, 6), (7, 7) ON DUPLICATE KEY UPDATE v = VALUES(v)") == (
        3, "Records: 3  Duplicates: 1  Warnings: 0")
    assert info(client, "INSERT INTO told VALUES (7, 1), (8, 8) ON DUPLICATE KEY UPDATE id = id + 100") == (
        3, "Records: 2  Duplicates: 1  Warnings: 0")
    assert info(client, "INSERT INTO told SELECT id + 1000, v FROM told") == (8, "Records: 8  Duplicates: 0  Warnings: 0")
    assert info(client, "INSERT IGNORE INTO told SELECT id, v FROM told WHERE id < 3") == (
        0, "Records: 2  Duplicates: 2  Warnings: 2")
    assert info(client, "INSERT INTO told SELECT 8, 9 ON DUPLICATE KEY UPDATE v = VALUES(v)") == (
        2, "Records: 1  Duplicates: 1  Warnings: 0")
    assert info(client, "UPDATE told SET v = 1 ORDER BY id LIMIT 3") == (2, "Rows matched: 3  Changed: 2  Warnings: 0")
    assert info(client, "UPDATE told SET id = id + 2000 WHERE id < 3") == (2, "Rows matched: 2  Changed: 2  Warnings: 0")
    with shop.log_in(client_flag=pymysql.constants.CLIENT.FOUND_ROWS) as found:
        assert info(found, "UPDATE told SET v = v WHERE id > 1000 ORDER BY id LIMIT 4")[0] == 4
    rows(client, "DROP TABLE told")


def test_warnings_are_told_of_the_statements_rows(client):
    rows(client, "CREATE TABLE warned (id INT NOT NULL PRIMARY KEY, v INT UNSIGNED, w INT NOT NULL) DBPARTITION BY MOD_HASH(id)")
    listed = ", ".join(f"({number}, {-1 if number % 3 == 0 else 1}, 1)" for number in range(1, 13))
    rows(client, f"INSERT IGNORE INTO warned VALUES {listed}")
    seen = rows(client, "SHOW WARNINGS")
    assert sorted(row[2] for row in seen) == sorted(
        f"Out of range value for column 'v' at row {number}" for number in (3, 6, 9, 12))
    rows(client, "INSERT IGNORE INTO warned VALUES (3, 1, 1), (20, 1, 1), (7, 1, 1)")
    assert sorted(row[2] for row in rows(client, "SHOW WARNINGS")) == [
        "Duplicate entry '3' for key 'PRIMARY'", "Duplicate entry '7' for key 'PRIMARY'"]
    rows(client, "INSERT IGNORE INTO warned (id, v) VALUES (31, 1), (32, 1), (33, -1)")
    assert [row[2] for row in rows(client, "SHOW WARNINGS")].count("Field 'w' doesn't have a default value") == 1
    rows(client, "INSERT IGNORE INTO warned SELECT id + 100, -1, 1 FROM warned WHERE id < 5 ORDER BY id")
    assert sorted(row[2] for row in rows(client, "SHOW WARNINGS")) == [
        f"Out of range value for column 'v' at row {number}" for number in (1, 2, 3, 4)]
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(client, "INSERT INTO warned VALUES (201, 1, 1), (202, 1, 1), (203, 1, 1), (204, 1, 'x')")
    assert "at row 4" in caught.value.args[1]
    many = ", ".join(f"({number}, -1, 1)" for number in range(1000, 1200))
    rows(client, f"INSERT IGNORE INTO warned VALUES {many}")
    assert len(rows(client, "SHOW WARNINGS")) == 64
    rows(client, "DROP TABLE warned")


def test_a_value_given_by_hand_inside_of_another_nodes_block(shop):
    with shop.log_in(0) as first, shop.log_in(1) as second:
        rows(first, "CREATE TABLE counted (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)")
        rows(first, "INSERT INTO counted (v) VALUES (1)")
        made = rows(first, "SELECT MAX(id) FROM counted")[0][0]
        rows(second, "INSERT INTO counted (id, v) VALUES " + ", ".join(f"({made + more}, 0)" for more in range(1, 6)))
        for _ in range(3):
            rows(first, "INSERT INTO counted (v) VALUES (2), (3)")
        rows(first, "INSERT INTO counted (v) SELECT v FROM counted WHERE v = 2")
        assert rows(first, "SELECT COUNT(*), COUNT(DISTINCT id) FROM counted") == [(15, 15)]
        rows(first, "UPDATE counted SET id = id + 5000")
        rows(second, "INSERT INTO counted (v) VALUES (4)")
        last = rows(second, "SELECT LAST_INSERT_ID()")[0][0]
        assert rows(second, f"SELECT v FROM counted WHERE id = {last}") == [(4,)]
        rows(first, "DROP TABLE counted")


def test_copies_stay_equal(shop, client):
    rows(client, "CREATE TABLE copied (id INT NOT NULL PRIMARY KEY, v VARCHAR(40)) BROADCAST")
    rows(client, "INSERT INTO copied VALUES (1, UUID()), (2, 'b'), (3, 'c'), (4, 'd')")
    rows(client, "UPDATE copied SET v = UUID() WHERE id > 1")
    rows(client, "UPDATE copied SET v = RAND() ORDER BY id DESC LIMIT 2")
    rows(client, "DELETE FROM copied LIMIT 1")
    rows(client, "INSERT INTO copied VALUES (2, 'x') ON DUPLICATE KEY UPDATE v = UUID()")
    rows(client, "REPLACE INTO copied SELECT id + 10, UUID() FROM copied")
    # Reads take one shard after the other.
    seen = {tuple(rows(client, "SELECT * FROM copied ORDER BY id")) for _ in range(40)}
    assert len(seen) == 1 and len(seen.pop()) == 6
    rows(client, "DROP TABLE copied")


def test_a_failed_move_changes_nothing(client):
    rows(client, "CREATE TABLE failed (id INT NOT NULL PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)")
    rows(client, "INSERT INTO failed VALUES (1, 1), (2, 2), (3, 3), (50, 50)")
    before = rows(client, "SELECT * FROM failed ORDER BY id")
    for wrap in (False, True):
        if wrap:
            rows(client, "BEGIN")
            rows(client, "UPDATE failed SET v = v + 1 WHERE id = 1")
        with pytest.raises(pymysql.MySQLError) as caught:
            rows(client, "UPDATE failed SET id = id + 47 WHERE id < 4")
        assert caught.value.args == (1062, "Duplicate entry '50' for key 'PRIMARY'")
        if wrap:
            assert rows(client, "SELECT v FROM failed WHERE id = 1") == [(2,)]
            rows(client, "ROLLBACK")
        assert rows(client, "SELECT * FROM failed ORDER BY id") == before
    rows(client, "DROP TABLE failed")


def test_rows_without_a_key_and_awkward_values(client):
    rows(client, "CREATE TABLE bare (k INT, f FLOAT, b BIT(7), t VARCHAR(20), x VARBINARY(10), d DATETIME(3), j JSON) "
                 "DBPARTITION BY MOD_HASH(k)")
    rows(client, "INSERT INTO bare VALUES (1, 0.1, b'101', 'a', x'00ff', '2020-01-01 00:00:00.123', '{\"a\": 1}'), "
                 "(1, 0.1, b'101', 'A', x'00ff', '2020-01-01 00:00:00.123', NULL), (2, 1e20, NULL, 'a ', '', NULL, NULL), "
                 "(2, 1e20, NULL, 'a ', '', NULL, NULL), (3, NULL, b'0', 'é\\\\''x', NULL, NULL, NULL)")
    columns = "k, f + 0e0, b + 0, HEX(t), HEX(x), d, j"
    before = rows(client, f"SELECT {columns} FROM bare ORDER BY k, HEX(t)")
    rows(client, "UPDATE bare SET k = k + 10")
    after = rows(client, f"SELECT {columns} FROM bare ORDER BY k, HEX(t)")
    assert [(row[0] - 10, *row[1:]) for row in after] == before
    rows(client, "DELETE FROM bare ORDER BY k LIMIT 1")
    assert rows(client, "SELECT COUNT(*) FROM bare WHERE k = 11") == [(1,)]
    rows(client, "UPDATE bare SET t = 'z' WHERE k = 12 LIMIT 1")
    rows(client, "UPDATE bare SET t = CONCAT(t, k) ORDER BY k DESC LIMIT 1")
    assert sorted(row[0] for row in rows(client, "SELECT t FROM bare WHERE k > 11")) == ["a ", "z", "é\\'x13"]
    rows(client, "DROP TABLE bare")


def test_rows_that_others_refer_to(client):
    rows(client, "CREATE TABLE parent (id INT NOT NULL PRIMARY KEY, u INT, UNIQUE KEY (id, u)) DBPARTITION BY MOD_HASH(id)")
    rows(client, "CREATE TABLE child (id INT NOT NULL, n INT NOT NULL, PRIMARY KEY (id, n), "
                 "FOREIGN KEY (id) REFERENCES parent (id) ON DELETE CASCADE) DBPARTITION BY MOD_HASH(id)")
    rows(client, "INSERT INTO parent VALUES (1, 1), (2, 2), (3, 3)")
    rows(client, "INSERT INTO child VALUES (1, 1), (1, 2), (2, 1)")
    # A unique value changes where the row is: its children stay.
    rows(client, "UPDATE parent SET u = u + 10 ORDER BY id LIMIT 3")
    assert rows(client, "SELECT COUNT(*) FROM child") == [(3,)]
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(client, "UPDATE parent SET id = id + 101 WHERE id = 1")
    assert caught.value.args[0] == 1235 and "foreign key" in caught.value.args[1]
    assert rows(client, "SELECT COUNT(*) FROM child") == [(3,)]
    rows(client, "UPDATE child SET id = 3 WHERE id = 2")
    assert rows(client, "SELECT id, n FROM child ORDER BY id, n") == [(1, 1), (1, 2), (3, 1)]
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(client, "UPDATE child SET id = 77 WHERE id = 3")
    assert caught.value.args[0] == 1452
    rows(client, "DELETE FROM parent ORDER BY id LIMIT 1")
    assert rows(client, "SELECT id, n FROM child ORDER BY id, n") == [(3, 1)]
    rows(client, "DROP TABLE child")
    rows(client, "DROP TABLE parent")
