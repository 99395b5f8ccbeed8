"""A bank over shards: transfers between accounts on any data nodes, each with a row of its own that says what it moved, and
readers who count the money. What each client was told is kept, so that in the end everything can be compared."""

import random
import threading
import time

import pymysql
from system import rows

ACCOUNTS = 48
START = 1000
TOTAL = ACCOUNTS * START
# A session that waits for a row so long gives its transfer up.
LOCK_WAIT_SECONDS = 3
# The server has rolled the transfer back, or refused it whole.
REFUSED = {1205, 1213, 3107, 3108, 3110, 3117, 1053}
# 3108 at COMMIT with these words leaves open what became of it.
NOT_KNOWN = "outcome of the commit is not known"


def make(session):
    rows(session, "CREATE TABLE accounts (id INT NOT NULL PRIMARY KEY, v INT NOT NULL) DBPARTITION BY MOD_HASH(id)")
    rows(session, "CREATE TABLE transfers (id BIGINT NOT NULL PRIMARY KEY, src INT NOT NULL, dst INT NOT NULL, amount INT NOT NULL) "
                  "DBPARTITION BY MOD_HASH(id)")
    rows(session, "INSERT INTO accounts VALUES " + ", ".join(f"({id}, {START})" for id in range(ACCOUNTS)))


class Bank:
    """`log_in(number)` opens a session; it may fail for a while."""

    def __init__(self, log_in, seed):
        self.log_in, self.seed = log_in, seed
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.acknowledged, self.refused, self.open = set(), set(), set()
        self.reads, self.unanswered, self.wrong, self.failed = 0, 0, [], []

    def session(self, number):
        """A session, as soon as there is one."""
        while not self.over.is_set():
            try:
                return self.log_in(number)
            except (pymysql.MySQLError, OSError):
                time.sleep(0.05)
        return None

    def note(self, to, id):
        with self.lock:
            to.add(id)

    def pay(self, number):
        """Makes transfers until all is over."""
        rng = random.Random(self.seed * 1000 + number)
        session, id = None, (self.seed * 100 + number) * 10_000_000
        while not self.over.is_set():
            if session is None:
                session = self.session(number)
                continue
            id += 1
            src, dst = rng.sample(range(ACCOUNTS), 2)
            amount = rng.randint(1, 20)
            # In order, so that transfers do not wait for each other crosswise.
            steps = sorted([(src, -amount), (dst, amount)])
            committing = False
            try:
                rows(session, "BEGIN")
                for account, change in steps:
                    rows(session, f"UPDATE accounts SET v = v + ({change}) WHERE id = {account}")
                rows(session, f"INSERT INTO transfers VALUES ({id}, {src}, {dst}, {amount})")
                committing = True
                rows(session, "COMMIT")
                self.note(self.acknowledged, id)
            except (pymysql.MySQLError, OSError) as error:
                code = error.args[0] if error.args else 0
                answered = isinstance(code, int) and code in REFUSED and NOT_KNOWN not in str(error)
                self.note(self.open if committing and not answered else self.refused, id)
                if answered:
                    try:
                        rows(session, "ROLLBACK")
                        continue
                    except (pymysql.MySQLError, OSError):
                        pass
                try:
                    session.close()
                except pymysql.MySQLError:
                    pass
                session = None

    def count(self, number):
        """Counts the money until all is over: in one statement, and in a snapshot account by account."""
        session, turn = None, number
        while not self.over.is_set():
            if session is None:
                session = self.session(number)
                continue
            turn += 1
            try:
                wrong = (self.total, self.books)[turn % 2](session)
                with self.lock:
                    self.reads += 1
                    if wrong:
                        self.wrong.append(wrong)
            except (pymysql.MySQLError, OSError) as error:
                with self.lock:
                    self.unanswered += 1
                    code = error.args[0] if error.args else 0
                    if isinstance(code, int) and 1000 <= code < 2000 and code not in REFUSED:
                        self.wrong.append(repr(error))
                session = None

    @staticmethod
    def total(session):
        shown = rows(session, "SELECT SUM(v), COUNT(*) FROM accounts")
        return None if shown == [(TOTAL, ACCOUNTS)] else shown

    @staticmethod
    def books(session):
        """Each account has what its transfers say, at the snapshot's moment."""
        rows(session, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        accounts = dict(rows(session, "SELECT id, v FROM accounts"))
        wanted = dict.fromkeys(range(ACCOUNTS), START)
        for src, dst, amount in rows(session, "SELECT src, dst, amount FROM transfers"):
            wanted[src] -= amount
            wanted[dst] += amount
        rows(session, "COMMIT")
        return None if accounts == wanted else {id: (accounts.get(id), v) for id, v in wanted.items() if accounts.get(id) != v}

    def run(self, payers, counters, seconds, disturb):
        """All of them for so long, while `disturb` runs again and again."""
        def guard(work, *arguments):
            try:
                work(*arguments)
            except Exception as error:  # noqa: BLE001 - shown at the end
                self.failed.append(repr(error))
                self.over.set()

        workers = [threading.Thread(target=guard, args=(self.pay, number), daemon=True) for number in range(payers)]
        workers += [threading.Thread(target=guard, args=(self.count, number), daemon=True) for number in range(counters)]
        for worker in workers:
            worker.start()
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until and not self.over.is_set():
                disturb()
        finally:
            self.over.set()
        for worker in workers:
            worker.join(90)
            assert not worker.is_alive(), "a session hangs"
        assert not self.failed, self.failed

    def compare(self, session):
        """What is there against what clients were told: lost, twice, unexpected, and in doubt with how many of them there."""
        there = [id for (id,) in rows(session, "SELECT id FROM transfers")]
        found = set(there)
        return {
            "acknowledged": len(self.acknowledged),
            "lost": sorted(self.acknowledged - found),
            "twice": len(there) - len(found),
            "refused and there": sorted(self.refused & found),
            "nobody's": sorted(found - self.acknowledged - self.refused - self.open),
            "in doubt": len(self.open),
            "in doubt and there": len(self.open & found),
        }
