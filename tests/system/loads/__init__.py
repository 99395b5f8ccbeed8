"""What a system has to do while it is broken, and how one sees that it did it: a load each in its own module."""

import itertools
import threading
import time

import pymysql
from bank import NOT_KNOWN, REFUSED
from system import rows

# A data node that cannot be reached has not got the statement.
UNREACHABLE = 1429
SHARDED = "DBPARTITION BY MOD_HASH(id)"
# So many of what is wrong are shown.
EXAMPLES_MAX = 5
REFUSED_PAUSE_SECONDS = 0.02


class Load:
    """`sessions` sessions call `work` again and again; `verdict` says in figures what came of it."""

    sessions = 32
    # Whether a full disk is among its faults.
    full_disk = False

    def __init__(self):
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)
        self.examples = []

    def new_id(self):
        with self.lock:
            return next(self.numbers)

    def set_up(self, connection, number):
        """What a new connection of session `number` begins with."""

    def work(self, session):
        """One operation; only what is wrong with the test leaves it as an exception."""
        raise NotImplementedError

    def verdict(self, faults):
        """The figures of this load alone, when nothing is broken any more."""
        raise NotImplementedError

    def show(self, example):
        """Keeps what is wrong for whoever looks into it."""
        with self.lock:
            if len(self.examples) < EXAMPLES_MAX:
                self.examples.append(str(example))


def refused(error):
    """Whether a client that got this error at its COMMIT knows that nothing was done."""
    code = error.args[0] if error.args else 0
    return isinstance(error, pymysql.MySQLError) and code in REFUSED and NOT_KNOWN not in str(error)


def roll_back(session):
    """After an error; a session that was refused does not come again at once."""
    time.sleep(REFUSED_PAUSE_SECONDS)
    try:
        session.connection.rollback()
    except Exception:  # noqa: BLE001 - the connection is gone, and its transaction with it
        session.lose()


class Told:
    """Ids by what their clients were told of them."""

    def __init__(self):
        self.by_id = {}

    def __setitem__(self, id, what):
        self.by_id[id] = what

    def compare(self, figures, counts):
        """Adds to the figures what these counts of rows by id say."""
        nobodys = counts.keys() - self.by_id.keys()
        assert not nobodys, f"rows that nobody has written: {sorted(nobodys)[:EXAMPLES_MAX]}"
        add = {
            "acknowledged": sum(what == "acknowledged" for what in self.by_id.values()),
            "lost": sum(what == "acknowledged" and id not in counts for id, what in self.by_id.items()),
            "duplicated": sum(count > 1 for count in counts.values()),
            "in_doubt": sum(what == "in doubt" for what in self.by_id.values()),
            "done_though_failed": sum(what == "failed" and id in counts for id, what in self.by_id.items()),
        }
        for name, number in add.items():
            figures[name] = figures.get(name, 0) + number


def counted(connection, table, column="id"):
    return dict(rows(connection, f"SELECT {column}, COUNT(*) FROM {table} GROUP BY {column}"))
