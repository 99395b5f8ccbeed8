"""Transactions append to lists over shards and read them, at each isolation level and in snapshots of all data nodes. What a
plain server's level excludes is nowhere to be found (`test_list_append.py` has the plain server beside it)."""

import time

import pymysql
from cycles import FAILED, OK, UNKNOWN, find
from list_append import ALLOWED, ALLOWED_IN_SNAPSHOTS, LOCK_WAIT_SECONDS, Lists, apart, mixed, values
from loads import Load, refused, roll_back
from system import rows

SNAPSHOTS = "snapshots"
LEVELS = [*ALLOWED, SNAPSHOTS]
# Keys of all, and of one history: cycles are looked for in each by itself.
KEYS, HISTORY_KEYS = 12_000, 60
KEYS_AT_ONCE = 500


class Histories:
    """One level's table, and its histories one after the other."""

    def __init__(self, level, session):
        self.level, self.table = level, f"lists_{level.lower().replace(' ', '_')}"
        rows(session, f"CREATE TABLE {self.table} (k INT NOT NULL PRIMARY KEY, v VARCHAR(8000) NOT NULL) DBPARTITION BY MOD_HASH(k)")
        for at in range(0, KEYS, KEYS_AT_ONCE):
            rows(session, f"INSERT INTO {self.table} VALUES " + ", ".join(f"({key}, '')" for key in range(at, at + KEYS_AT_ONCE)))
        self.all = []

    def now(self):
        """The history that goes on; none when all keys are used up."""
        if not self.all or self.all[-1].used_up():
            first = len(self.all) * HISTORY_KEYS
            if first >= KEYS:
                return None
            self.all.append(Lists(None, range(first, first + HISTORY_KEYS), 0, self.table))
        return self.all[-1]

    def verdict(self, session, figures, show):
        final = {key: values(text) for key, text in rows(session, f"SELECT k, v FROM {self.table} WHERE v <> ''")}
        allowed = ALLOWED.get(self.level, ALLOWED_IN_SNAPSHOTS)
        for lists in self.all:
            there = {key: final[key] for key in lists.keys if key in final}
            for kind, example in find(lists.history, there).items():
                if kind not in allowed:
                    figures["anomalies"] += 1
                    show(f"{self.level}: {kind}: {example}")
            figures["duplicated"] += sum(len(set(one)) < len(one) for one in there.values())
            for transaction in lists.history:
                shown = [value in there.get(key, []) for kind, key, value in transaction.steps if kind == "append"]
                figures["acknowledged"] += transaction.outcome == OK
                figures["in_doubt"] += transaction.outcome == UNKNOWN
                figures["lost"] += transaction.outcome == OK and not all(shown)
                figures["done_though_failed"] += transaction.outcome == FAILED and any(shown)
                figures["halves"] += len(set(shown)) > 1


class Appends(Load):
    sessions = 24

    def __init__(self, session):
        super().__init__()
        self.histories = [Histories(level, session) for level in LEVELS]
        self.broken = 0

    def set_up(self, connection, number):
        rows(connection, f"SET innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}")
        level = LEVELS[number % len(LEVELS)]
        rows(connection, "SET ddm_consistent_reads = ON" if level == SNAPSHOTS
             else f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")

    def work(self, session):
        with self.lock:
            lists = self.histories[session.number % len(LEVELS)].now()
        if lists is None:
            time.sleep(0.1)
            return
        choose = apart if session.number % len(LEVELS) == LEVELS.index(SNAPSHOTS) else mixed
        try:
            lists.attempt(session.connection, *choose(session.random, session.number // len(LEVELS)), session.random, refused)
        except pymysql.MySQLError:
            roll_back(session)
        except Exception:  # noqa: BLE001 - a packet that broke off is no error of its own to the client library
            session.lose()

    def verdict(self, faults):
        session = faults.log_in(faults.hosts[0])
        figures = dict.fromkeys(["acknowledged", "lost", "duplicated", "in_doubt", "done_though_failed", "halves", "anomalies"], 0)
        for histories in self.histories:
            histories.verdict(session, figures, self.show)
        return figures
