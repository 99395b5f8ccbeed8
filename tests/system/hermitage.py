"""Cases of isolation, after the public collection of that name: what two or three transactions do in turn. A case runs on a plain
server first, which tells where it waits and what it answers; elsewhere each step must do the same."""

import queue
import threading

import pymysql

LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]

ALL = "SELECT id, value FROM {t} ORDER BY id"

# `a` and `b` are the rows that are there, with 10 and 20; `c` and `d` those that come. Each step: the session, the statement.
CASES = {
    "G0, writes that cross": [
        (1, "UPDATE {t} SET value = 11 WHERE id = {a}"), (2, "UPDATE {t} SET value = 12 WHERE id = {a}"),
        (1, "UPDATE {t} SET value = 21 WHERE id = {b}"), (1, "COMMIT"), (1, ALL),
        (2, "UPDATE {t} SET value = 22 WHERE id = {b}"), (2, "COMMIT")],
    "G1a, reads of what is rolled back": [
        (1, "UPDATE {t} SET value = 101 WHERE id = {a}"), (2, ALL), (1, "ROLLBACK"), (2, ALL), (2, "COMMIT")],
    "G1b, reads of what is replaced": [
        (1, "UPDATE {t} SET value = 101 WHERE id = {a}"), (2, ALL), (1, "UPDATE {t} SET value = 11 WHERE id = {a}"),
        (1, "COMMIT"), (2, ALL), (2, "COMMIT")],
    "G1c, a circle of reads": [
        (1, "UPDATE {t} SET value = 11 WHERE id = {a}"), (2, "UPDATE {t} SET value = 22 WHERE id = {b}"),
        (1, "SELECT value FROM {t} WHERE id = {b}"), (2, "SELECT value FROM {t} WHERE id = {a}"),
        (1, "COMMIT"), (2, "COMMIT")],
    "OTV, a transaction vanishes": [
        (1, "UPDATE {t} SET value = 11 WHERE id = {a}"), (1, "UPDATE {t} SET value = 19 WHERE id = {b}"),
        (2, "UPDATE {t} SET value = 12 WHERE id = {a}"), (1, "COMMIT"), (3, "SELECT value FROM {t} WHERE id = {a}"),
        (2, "UPDATE {t} SET value = 18 WHERE id = {b}"), (3, "SELECT value FROM {t} WHERE id = {b}"), (2, "COMMIT"),
        (3, "SELECT value FROM {t} WHERE id = {b}"), (3, "SELECT value FROM {t} WHERE id = {a}"), (3, "COMMIT")],
    "PMP, a predicate's rows come": [
        (1, "SELECT id, value FROM {t} WHERE value = 30"), (2, "INSERT INTO {t} VALUES ({c}, 30)"), (2, "COMMIT"),
        (1, "SELECT id, value FROM {t} WHERE value % 3 = 0"), (1, "COMMIT")],
    "PMP, of a write": [
        (1, "UPDATE {t} SET value = value + 10"), (2, "SELECT id, value FROM {t} WHERE value = 20"),
        (2, "DELETE FROM {t} WHERE value = 20"), (1, "COMMIT"), (2, ALL), (2, "COMMIT")],
    "P4, a lost update": [
        (1, "SELECT value FROM {t} WHERE id = {a}"), (2, "SELECT value FROM {t} WHERE id = {a}"),
        (1, "UPDATE {t} SET value = 11 WHERE id = {a}"), (2, "UPDATE {t} SET value = 12 WHERE id = {a}"),
        (1, "COMMIT"), (2, "COMMIT")],
    "G-single, a read skew": [
        (1, "SELECT value FROM {t} WHERE id = {a}"), (2, ALL), (2, "UPDATE {t} SET value = 12 WHERE id = {a}"),
        (2, "UPDATE {t} SET value = 18 WHERE id = {b}"), (2, "COMMIT"), (1, "SELECT value FROM {t} WHERE id = {b}"),
        (1, "COMMIT")],
    "G-single, by predicates": [
        (1, "SELECT id, value FROM {t} WHERE value % 5 = 0 ORDER BY id"), (2, "UPDATE {t} SET value = 12 WHERE value = 10"),
        (2, "COMMIT"), (1, "SELECT id, value FROM {t} WHERE value % 3 = 0 ORDER BY id"), (1, "COMMIT")],
    "G-single, with a write": [
        (1, "SELECT value FROM {t} WHERE id = {a}"), (2, ALL), (2, "UPDATE {t} SET value = 12 WHERE id = {a}"),
        (2, "UPDATE {t} SET value = 18 WHERE id = {b}"), (2, "COMMIT"), (1, "DELETE FROM {t} WHERE value = 20"),
        (1, "SELECT value FROM {t} WHERE id = {b}"), (1, "COMMIT")],
    "G-single, with a write between": [
        (1, "SELECT value FROM {t} WHERE id = {a}"), (2, ALL), (2, "UPDATE {t} SET value = 12 WHERE id = {a}"),
        (1, "DELETE FROM {t} WHERE id = {b}"), (2, "UPDATE {t} SET value = 18 WHERE id = {b}"), (1, "ROLLBACK"),
        (2, "COMMIT")],
    "G2, a write skew": [
        (1, ALL), (2, ALL), (1, "UPDATE {t} SET value = 11 WHERE id = {a}"),
        (2, "UPDATE {t} SET value = 21 WHERE id = {b}"), (1, "COMMIT"), (2, "COMMIT")],
    "G2, by predicates": [
        (1, "SELECT id, value FROM {t} WHERE value % 3 = 0"), (2, "SELECT id, value FROM {t} WHERE value % 3 = 0"),
        (1, "INSERT INTO {t} VALUES ({c}, 30)"), (2, "INSERT INTO {t} VALUES ({d}, 42)"), (1, "COMMIT"), (2, "COMMIT")],
    "G2, two edges": [
        (1, ALL), (2, "UPDATE {t} SET value = value + 5 WHERE id = {b}"), (2, "COMMIT"), (3, ALL), (3, "COMMIT"),
        (1, "UPDATE {t} SET value = 0 WHERE id = {a}"), (1, "COMMIT")],
}

# The server answers within the first or it waits; elsewhere what should wait is given the second.
ANSWERS_SECONDS, WAITS_SECONDS = 0.6, 0.3
# What does not wait on the server has so long elsewhere.
PATIENCE_SECONDS = 40
LOCK_WAIT_SECONDS = 2
WAITS = "waits"


class Session:
    """A connection with a thread of its own, so that a step may wait."""

    def __init__(self, connection):
        self.connection, self.steps, self.answers = connection, queue.Queue(), queue.Queue()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while (statement := self.steps.get()) is not None:
            try:
                with self.connection.cursor() as cursor:
                    affected = cursor.execute(statement)
                    shown = cursor.fetchall() if cursor.description else affected
                    self.answers.put(tuple(shown) if cursor.description else f"OK {shown}")
            except pymysql.MySQLError as error:
                self.answers.put(f"error {error.args[0]}")

    def close(self):
        self.steps.put(None)
        self.thread.join(PATIENCE_SECONDS)
        self.connection.close()


def answer(session, seconds):
    try:
        return session.answers.get(timeout=seconds)
    except queue.Empty:
        return WAITS


def play(case, log_in, table, begin, level, ids, known=None):
    """The answers of each step: at once, or `waits` and then with the step after which it came. `known` is what the server did."""
    with log_in(1) as session, session.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}")
        cursor.execute("INSERT INTO {t} VALUES ({a}, 10), ({b}, 20)".format(t=table, **ids))
    sessions, trace, waiting = {}, [], {}
    for number in sorted({number for number, _ in CASES[case]}):
        connection = log_in(number)
        with connection.cursor() as cursor:
            cursor.execute(f"SET innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}")
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
            cursor.execute(begin)
        sessions[number] = Session(connection)
    try:
        for at, (number, statement) in enumerate(CASES[case]):
            session = sessions[number]
            if number in waiting:
                # It goes on only when its step before is answered.
                trace.append((waiting.pop(number), "at last", answer(session, PATIENCE_SECONDS)))
            session.steps.put(statement.format(t=table, **ids))
            wanted = None if known is None else next(one for one in known if one[0] == at and one[1] == "")
            seconds = ANSWERS_SECONDS if wanted is None else WAITS_SECONDS if wanted[2] == WAITS else PATIENCE_SECONDS
            told = answer(session, seconds)
            trace.append((at, "", told))
            if told == WAITS:
                waiting[number] = at
            for other, since in list(waiting.items()):
                if other != number:
                    later = (since, f"after {at}")
                    wanted = known is not None and any(one[:2] == later for one in known)
                    told = answer(sessions[other], PATIENCE_SECONDS if wanted else 0.05 if known else ANSWERS_SECONDS)
                    if told != WAITS:
                        trace.append((*later, told))
                        del waiting[other]
        for number, since in waiting.items():
            trace.append((since, "at last", answer(sessions[number], PATIENCE_SECONDS)))
    finally:
        for session in sessions.values():
            session.close()
    with log_in(1) as session, session.cursor() as cursor:
        cursor.execute(ALL.format(t=table))
        trace.append((len(CASES[case]), "", tuple(cursor.fetchall())))
    return order(shown(trace, ids))


def shown(trace, ids):
    """The trace with the rows' letters in place of their ids."""
    names = {id: name for name, id in ids.items()}

    def row(values):
        return tuple(names.get(values[0], values[0]) if at == 0 and len(values) == 2 else value
                     for at, value in enumerate(values))

    return [(at, when, tuple(map(row, told)) if isinstance(told, tuple) else told) for at, when, told in trace]


def order(trace):
    """Steps in order, with the time at which they were answered."""
    return sorted(trace, key=lambda one: (one[0], one[1]))
