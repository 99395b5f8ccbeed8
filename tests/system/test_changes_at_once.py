"""Clients that change the definition of one table at once, as several processes of an application do when they start: none is
refused for another one, on whichever nodes they are."""

import threading

import pymysql
import pytest
from shop import Shop
from system import rows

CLIENTS = 6
ROUNDS = 3
# Long enough for a slow machine: the clients take turns.
END_SECONDS = 120
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
