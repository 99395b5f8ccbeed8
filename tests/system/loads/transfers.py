"""Money is moved between accounts on different shards while others count it, and rows with ids of their own are inserted.
No table has a unique key on those ids, so that what was done twice is there twice."""

import pymysql
from loads import SHARDED, UNREACHABLE, Load, Told, counted, refused, roll_back
from system import rows

ACCOUNTS = 64
BALANCE = 1000
TOTAL = ACCOUNTS * BALANCE


class Transfers(Load):
    # The first ones read.
    readers = 4
    full_disk = True

    def __init__(self, session):
        super().__init__()
        for sql in [
            f"CREATE TABLE accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL) {SHARDED}",
            f"CREATE TABLE moved (id BIGINT NOT NULL, source INT NOT NULL, target INT NOT NULL, amount INT NOT NULL, KEY (id)) {SHARDED}",
            f"CREATE TABLE single (id BIGINT NOT NULL, KEY (id)) {SHARDED}",
            "INSERT INTO accounts VALUES " + ", ".join(f"({id}, {BALANCE})" for id in range(ACCOUNTS)),
        ]:
            rows(session, sql)
        self.told = {"moved": Told(), "single": Told()}
        self.moved = 0
        self.reads = {"reads": 0, "wrong_reads": 0, "unanswered_reads": 0}

    def set_up(self, connection, number):
        if number < self.readers:
            rows(connection, "SET ddm_consistent_reads = ON")

    def work(self, session):
        if session.number < self.readers:
            return self.read(session)
        number = self.new_id()
        return (self.insert if number % 4 == 0 else self.move)(session, number)

    def insert(self, session, number):
        told = self.told["single"]
        told[number] = "in doubt"
        try:
            rows(session.connection, f"INSERT INTO single VALUES ({number})")
            told[number] = "acknowledged"
        except pymysql.MySQLError as error:
            if error.args[0] == UNREACHABLE:
                told[number] = "failed"
            roll_back(session)
        except Exception:  # noqa: BLE001 - a packet that broke off is no error of its own to the client library
            session.lose()

    def move(self, session, number):
        source, target = session.random.sample(range(ACCOUNTS), 2)
        amount = session.random.randint(1, 20)
        told = self.told["moved"]
        told[number] = "failed"
        try:
            session.connection.begin()
            rows(session.connection, f"INSERT INTO moved VALUES ({number}, {source}, {target}, {amount})")
            # In one order, so that transfers do not wait for each other in a ring.
            for one, change in sorted([(source, -amount), (target, amount)]):
                rows(session.connection, f"UPDATE accounts SET balance = balance + {change} WHERE id = {one}")
            told[number] = "in doubt"
            session.connection.commit()
            told[number] = "acknowledged"
            with self.lock:
                self.moved += 1
        except pymysql.MySQLError as error:
            if refused(error):
                told[number] = "failed"
            roll_back(session)
        except Exception:  # noqa: BLE001 - as above
            session.lose()

    def read(self, session):
        """All accounts, in one statement or in a snapshot beside what was moved; what was acknowledged before is there."""
        known = self.moved
        try:
            wrong = session.random.choice([self.total, self.books])(session.connection, known)
            what = "wrong_reads" if wrong else "reads"
            if wrong:
                self.show(wrong)
        except pymysql.MySQLError:
            what = "unanswered_reads"
            roll_back(session)
        except Exception:  # noqa: BLE001 - as above
            what = "unanswered_reads"
            session.lose()
        with self.lock:
            self.reads[what] += 1

    @staticmethod
    def total(connection, _):
        shown = rows(connection, "SELECT SUM(balance), COUNT(*) FROM accounts")
        return None if shown == [(TOTAL, ACCOUNTS)] else shown

    @staticmethod
    def books(connection, known):
        rows(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        balances = dict(rows(connection, "SELECT id, balance FROM accounts"))
        gone = rows(connection, "SELECT source, SUM(amount), COUNT(*) FROM moved GROUP BY source")
        come = rows(connection, "SELECT target, SUM(amount) FROM moved GROUP BY target")
        rows(connection, "COMMIT")
        if sum(count for _, _, count in gone) < known:
            return f"{gone} has fewer than {known} transfers"
        return wrong_balances(balances, gone, come)

    def verdict(self, faults):
        """What is there, against what clients were told."""
        session = faults.log_in(faults.hosts[0])
        figures = {**self.reads}
        for table, told in self.told.items():
            told.compare(figures, counted(session, table))
        gone = rows(session, "SELECT source, SUM(amount), COUNT(*) FROM moved GROUP BY source")
        come = rows(session, "SELECT target, SUM(amount) FROM moved GROUP BY target")
        figures["wrong_balances"] = len(wrong_balances(dict(rows(session, "SELECT id, balance FROM accounts")), gone, come))
        return figures


def wrong_balances(balances, gone, come):
    """Accounts that have something else than what was moved says."""
    wanted = dict.fromkeys(range(ACCOUNTS), BALANCE)
    for id, amount, *_ in gone:
        wanted[id] -= amount
    for id, amount in come:
        wanted[id] += amount
    return {id: (balances.get(id), amount) for id, amount in wanted.items() if balances.get(id) != amount}
