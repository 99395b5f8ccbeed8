"""Clients that change the definition of one table at once, as several processes of an application do when they start: none is
refused for another one, on whichever nodes they are."""

import threading
import time

import pymysql
import pytest
from shop import Shop
from system import rows

CLIENTS = 6
ROUNDS = 3
# Long enough for a slow machine: the clients take turns.
END_SECONDS = 120
# Errors of a table that another statement changes, and of a lock that could not be had in time.
BEING_CHANGED, LOCK_WAIT_TIMEOUT = 3103, 1205
SHARDED = "DBPARTITION BY MOD_HASH(id)"


@pytest.fixture(scope="module")
def shop():
    with Shop() as shop:
        yield shop


def at_once(shop, statements, prepared=False):
    """Runs each statement in a session of its own, all at once; returns the number of each one's error, or None."""
    sessions = [shop.log_in(shop.hosts[at % len(shop.hosts)]) for at in range(len(statements))]
    if prepared:
        for session, statement in zip(sessions, statements):
            rows(session, f"PREPARE s FROM '{statement}'")
        statements = ["EXECUTE s"] * len(statements)
    errors = [None] * len(statements)
    start = threading.Barrier(len(statements))

    def run(at):
        start.wait()
        try:
            rows(sessions[at], statements[at])
        except pymysql.MySQLError as error:
            errors[at] = error.args

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(statements))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(END_SECONDS)
        assert not thread.is_alive()
    for session in sessions:
        session.close()
    return errors


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("placement", ["", SHARDED])
def test_a_table_that_may_be_there(shop, placement, prepared):
    for _ in range(ROUNDS):
        text = f"CREATE TABLE IF NOT EXISTS maybe (id INT NOT NULL PRIMARY KEY) {placement}"
        assert at_once(shop, [text] * CLIENTS, prepared) == [None] * CLIENTS
        assert at_once(shop, ["DROP TABLE IF EXISTS maybe"] * CLIENTS, prepared) == [None] * CLIENTS


def test_one_of_them_makes_and_drops_a_table(shop):
    for statement, number in [(f"CREATE TABLE once (id INT NOT NULL PRIMARY KEY) {SHARDED}", 1050), ("DROP TABLE once", 1051)]:
        errors = at_once(shop, [statement] * CLIENTS)
        assert errors.count(None) == 1, errors
        assert {error[0] for error in errors if error} == {number}, errors


def test_each_one_sees_what_the_others_have_changed(shop):
    session = shop.log_in()
    rows(session, f"CREATE TABLE grown (id INT NOT NULL PRIMARY KEY) {SHARDED}")
    added = [f"c{at}" for at in range(CLIENTS)]
    assert at_once(shop, [f"ALTER TABLE grown ADD COLUMN {name} INT" for name in added]) == [None] * CLIENTS
    assert {row[0] for row in rows(session, "SHOW COLUMNS FROM grown")} == {"id", *added}
    rows(session, "DROP TABLE grown")


def number_of(session, statement):
    try:
        rows(session, statement)
    except pymysql.MySQLError as error:
        return error.args[0]
    return None


def test_nobody_waits_longer_than_asked(shop):
    """One change waits for a reader, and others for it: as long as they say, and then they have changed nothing."""
    reader, changer, other = (shop.log_in() for _ in range(3))
    rows(reader, f"CREATE TABLE held (id INT NOT NULL PRIMARY KEY) {SHARDED}")
    rows(reader, "BEGIN")
    rows(reader, "SELECT id FROM held")
    ended = []
    waiting = threading.Thread(target=lambda: ended.append(number_of(changer, "ALTER TABLE held ADD COLUMN a INT")))
    waiting.start()
    try:
        # Until the change has begun it is the reader that is waited for, and that in vain.
        end = time.monotonic() + END_SECONDS
        while (number := number_of(other, "ALTER TABLE held NOWAIT ADD COLUMN b INT")) != BEING_CHANGED:
            assert number == LOCK_WAIT_TIMEOUT and time.monotonic() < end
        rows(other, "SET lock_wait_timeout = 1")
        began = time.monotonic()
        assert number_of(other, "ALTER TABLE held ADD COLUMN c INT") == BEING_CHANGED
        assert time.monotonic() - began >= 1
        assert ended == []
    finally:
        rows(reader, "COMMIT")
        waiting.join(END_SECONDS)
    assert ended == [None]
    assert [row[0] for row in rows(reader, "SHOW COLUMNS FROM held")] == ["id", "a"]
    rows(reader, "DROP TABLE held")
