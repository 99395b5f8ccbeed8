"""Values of a sequence and of AUTO_INCREMENT, taken by themselves and in rows: none comes twice, whoever dies, the client is
told the one that its row has, and no more are left out than nodes and lost answers can have taken with them."""

import pymysql
from loads import SHARDED, UNREACHABLE, Load, Told, counted, roll_back
from system import rows

CACHE = 10
# At once.
TAKEN_MAX = 17
DUPLICATE = 1062


class Numbers(Load):
    sessions = 16

    def __init__(self, session):
        super().__init__()
        for sql in [
            f"CREATE SEQUENCE never CACHE {CACHE}",
            f"CREATE TABLE got (id BIGINT NOT NULL, tag BIGINT NOT NULL, KEY (id)) {SHARDED}",
            f"CREATE TABLE counted (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, tag BIGINT NOT NULL) {SHARDED}",
        ]:
            rows(session, sql)
        self.told = {"got": Told(), "counted": Told()}
        self.taken, self.twice, self.failed = set(), 0, 0
        # The ids that clients were told, by the tags of their rows.
        self.ids = {}

    def work(self, session):
        try:
            [self.take, self.store, self.count][session.random.randrange(3)](session)
        except pymysql.MySQLError as error:
            self.fail(error)
            roll_back(session)
        except Exception as error:  # noqa: BLE001 - a packet that broke off is no error of its own to the client library
            self.fail(error)
            session.lose()

    def fail(self, error):
        with self.lock:
            self.failed += 1
            self.twice += error.args[:1] == (DUPLICATE,)
        if error.args[:1] == (DUPLICATE,):
            self.show(error)

    def take(self, session):
        values = [value for (value,) in rows(session.connection, f"SELECT never.nextval({session.random.randint(1, TAKEN_MAX)})")]
        with self.lock:
            again = self.taken & set(values)
            self.twice += len(again) + len(values) - len(set(values))
            self.taken.update(values)
        if again:
            self.show(f"taken twice: {again}")

    def write(self, session, table, sql):
        """An INSERT of one row, whose tag is given to `sql`."""
        tag = self.new_id()
        told = self.told[table]
        told[tag] = "in doubt"
        try:
            with session.connection.cursor() as cursor:
                cursor.execute(sql.format(tag=tag))
                told[tag] = "acknowledged"
                return tag, cursor.lastrowid
        except pymysql.MySQLError as error:
            if error.args[0] in (UNREACHABLE, DUPLICATE):
                told[tag] = "failed"
            raise

    def store(self, session):
        self.write(session, "got", "INSERT INTO got VALUES (never.nextval, {tag})")

    def count(self, session):
        tag, id = self.write(session, "counted", "INSERT INTO counted (tag) VALUES ({tag})")
        self.ids[tag] = id

    def verdict(self, faults):
        session = faults.log_in(faults.hosts[0])
        figures = {}
        for table, told in self.told.items():
            told.compare(figures, counted(session, table, "tag"))
        # Of values that were taken by themselves the client's copy is the only one.
        figures["acknowledged"] += len(self.taken)
        stored = [id for (id,) in rows(session, "SELECT id FROM got")]
        twice = len(stored) - len(set(stored)) + len(self.taken & set(stored))
        figures["duplicated"] += self.twice + twice
        shown = {tag: id for id, tag in rows(session, "SELECT id, tag FROM counted")}
        figures["other_ids"] = sum(shown.get(tag) != id for tag, id in self.ids.items())
        everything = self.taken | set(stored)
        figures["left_out"] = max(everything) - len(everything)
        # A statement that failed may have had its values, and the range that it asked for; a node that dies has one begun.
        bound = self.failed * (TAKEN_MAX + CACHE) + (sum(faults.counts.values()) + len(faults.hosts)) * CACHE
        figures["left_out_beyond_bound"] = max(0, figures["left_out"] - bound)
        return figures
