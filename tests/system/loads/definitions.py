"""Some sessions change the tables that others write to. Whatever breaks, a table is wholly what it was or wholly what it was
to become, in all its parts, and its rows are there once."""

import pymysql
from loads import SHARDED, Load, Told, counted
from system import eventually, rows

# Errors of a connection that is gone.
LOST = (0, 2006, 2013)
# What was interrupted is finished or undone by itself within this.
SETTLED_SECONDS = 60


def lost(error):
    return not error.args or error.args[0] in LOST


class Definitions(Load):
    sessions = 12
    changing = 4
    full_disk = True

    def __init__(self, session):
        super().__init__()
        for number in range(self.changing):
            rows(session, self.definition(number))
        self.told = [Told() for _ in range(self.changing)]
        self.changes = {"changes": 0, "failed_changes": 0}

    @staticmethod
    def definition(number):
        kind = [SHARDED, "BROADCAST", "", f"{SHARDED} TBPARTITION BY MOD_HASH(id) TBPARTITIONS 2"][number % 4]
        return f"CREATE TABLE changed{number} (id BIGINT NOT NULL, KEY (id)) {kind}"

    def work(self, session):
        try:
            if session.number < self.changing:
                self.change(session)
            else:
                self.insert(session)
        except Exception:  # noqa: BLE001 - the connection is gone, with an error or in the middle of a packet
            session.lose()

    def change(self, session):
        table = f"changed{session.number}"
        name = f"c{session.random.randrange(3)}"
        sql = session.random.choice([
            f"ALTER TABLE {table} ADD COLUMN {name} INT NOT NULL DEFAULT 7", f"ALTER TABLE {table} DROP COLUMN {name}",
            f"CREATE INDEX i_{name} ON {table} ({name})", f"CREATE TABLE extra{session.number} (id INT PRIMARY KEY) {SHARDED}",
            f"DROP TABLE extra{session.number}"])
        what = "failed_changes"
        try:
            rows(session.connection, sql)
            what = "changes"
        except pymysql.MySQLError as error:
            if lost(error):
                raise
        finally:
            with self.lock:
                self.changes[what] += 1

    def insert(self, session):
        number = self.new_id()
        table = number % self.changing
        self.told[table][number] = "in doubt"
        try:
            rows(session.connection, f"INSERT INTO changed{table} (id) VALUES ({number})")
            self.told[table][number] = "acknowledged"
        except pymysql.MySQLError as error:
            if lost(error):
                raise

    @staticmethod
    def whole(faults):
        for host in faults.hosts:
            with faults.log_in(host) as session:
                wrong = [row for row in rows(session, "CHECK TABLE") if row[4] != "Y"]
                assert not wrong, wrong
        return True

    def verdict(self, faults):
        session = faults.log_in(faults.hosts[0])
        figures = {**self.changes}
        for table, told in enumerate(self.told):
            told.compare(figures, counted(session, f"changed{table}"))
        eventually("all parts of each table are alike", lambda: self.whole(faults), SETTLED_SECONDS)
        for number in range(self.changing):
            alter = f"ALTER TABLE changed{number} ADD COLUMN last INT"
            eventually("the next change", lambda alter=alter: rows(session, alter) == [], SETTLED_SECONDS)
            rows(session, f"INSERT INTO changed{number} (id, last) VALUES (-1, 1)")
        return figures
