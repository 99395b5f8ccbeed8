"""Sessions that append to lists and read them in transactions, and what each was told, for `cycles.find`."""

import random
import threading
import time

import pymysql
from cycles import FAILED, OK, UNKNOWN, Transaction
from system import rows

# Keys in use at once, and how many appends a key gets before another takes its place.
ACTIVE, APPENDS = 6, 40
# Sessions that wait for each other over two data nodes end so.
LOCK_WAIT_SECONDS = 1
STEPS_MAX = 4

# What InnoDB's levels leave possible: a write changes the newest row whatever was read before, so read and write skews are there
# until all reads lock. Nothing that was rolled back or replaced is ever read, and writes do not cross.
ALLOWED = {
    "READ COMMITTED": {"G-single", "G2"},
    "REPEATABLE READ": {"G-single", "G2"},
    "SERIALIZABLE": set(),
}
# Snapshots of several data nodes beside transactions that only append: two readers may see two commits, each on one data node
# alone, in different orders (a cycle with both of them). Half of a commit would be a cycle with one reader.
ALLOWED_IN_SNAPSHOTS = {"G2"}


class Lists:
    """Lists in a table with the keys `keys`. `log_in(number)` opens a session."""

    def __init__(self, log_in, keys, seed, table="lists"):
        self.log_in, self.keys, self.seed, self.table = log_in, keys, seed, table
        self.lock = threading.Lock()
        self.counts = dict.fromkeys(keys, 0)
        self.first, self.next = 0, 0
        self.history, self.broken = [], []

    def make(self, session, clause):
        rows(session, f"DROP TABLE IF EXISTS {self.table}")
        rows(session, f"CREATE TABLE {self.table} (k INT NOT NULL PRIMARY KEY, v VARCHAR(8000) NOT NULL) {clause}")
        for at in range(0, len(self.keys), 100):
            rows(session, f"INSERT INTO {self.table} VALUES " + ", ".join(f"({key}, '')" for key in self.keys[at:at + 100]))

    def key(self, rng):
        with self.lock:
            while self.counts[self.keys[self.first]] >= APPENDS and self.first + ACTIVE < len(self.keys):
                self.first += 1
            return self.keys[self.first + rng.randrange(ACTIVE)]

    def used_up(self):
        """Whether all keys had their turn."""
        return self.first + ACTIVE >= len(self.keys) and self.counts[self.keys[self.first]] >= APPENDS

    def value(self, key):
        with self.lock:
            self.next += 1
            self.counts[key] += 1
            return self.next

    def step(self, session, kind, key):
        if kind == "append":
            value = self.value(key)
            # Noted before it is tried.
            yield ("append", key, value)
            rows(session, f"UPDATE {self.table} SET v = CONCAT(v, '{value},') WHERE k = {key}")
        else:
            yield ("read", key, values(rows(session, f"SELECT v FROM {self.table} WHERE k = {key}")[0][0]))

    def attempt(self, session, begin, kinds, rng, refused):
        """One transaction, noted with its outcome, which is unknown when its COMMIT fails and was not `refused`."""
        steps, outcome = [], FAILED
        try:
            rows(session, begin)
            for kind in kinds:
                if kind == "all":
                    chosen = {self.key(rng) for _ in range(ACTIVE)}
                    shown = rows(session, f"SELECT k, v FROM {self.table} WHERE k IN ({', '.join(map(str, chosen))})")
                    steps += [("read", key, values(text)) for key, text in shown]
                else:
                    for step in self.step(session, kind, self.key(rng)):
                        steps.append(step)
            outcome = UNKNOWN
            rows(session, "COMMIT")
            outcome = OK
        except pymysql.MySQLError as error:
            outcome = FAILED if refused(error) else outcome
            raise
        finally:
            with self.lock:
                self.history.append(Transaction(outcome, *steps))

    def run_one(self, session, begin, kinds, rng):
        try:
            self.attempt(session, begin, kinds, rng, rolled_back)
        except pymysql.MySQLError as error:
            if not rolled_back(error):
                self.broken.append(repr(error))
                return False
            rows(session, "ROLLBACK")
        return True

    def run(self, threads, seconds, setup, choose):
        """`choose(rng, number)` gives a transaction's beginning and the kinds of its steps."""
        until = time.monotonic() + seconds

        def work(number):
            rng = random.Random(self.seed * 1000 + number)
            try:
                session = self.log_in(number)
                rows(session, f"SET innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}")
                for statement in setup:
                    rows(session, statement)
                while time.monotonic() < until and self.run_one(session, *choose(rng, number), rng):
                    pass
                session.close()
            except Exception as error:  # noqa: BLE001 - shown at the end
                self.broken.append(repr(error))

        workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(seconds + 90)
            assert not worker.is_alive(), "a session hangs"
        assert not self.broken, self.broken[:3]

    def final(self, session):
        return {key: values(text) for key, text in rows(session, f"SELECT k, v FROM {self.table}") if text}


def rolled_back(error):
    """Whether a transaction is over by this error."""
    return error.args[:1] in ((1205,), (1213,))


def values(text):
    return [int(value) for value in text.split(",") if value]


def mixed(rng, _):
    """Appends and reads in any order."""
    return "BEGIN", [rng.choice(["append", "read"]) for _ in range(rng.randint(1, STEPS_MAX))]


def apart(rng, number):
    """Who appends does not read; who reads does it in a snapshot, in one statement and key by key."""
    if number % 2:
        kinds = rng.choice([["all"], ["all", "all"], ["read"] * STEPS_MAX])
        return "START TRANSACTION WITH CONSISTENT SNAPSHOT", kinds
    return "BEGIN", ["append"] * rng.randint(2, STEPS_MAX)
