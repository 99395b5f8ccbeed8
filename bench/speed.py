#!/usr/bin/env python3
"""The second part of `make bench`: work on many shards, measured against what it cannot be faster
than: the slowest shard's own time, the same pushed down by hand, a plain server that has all rows.
Each figure is a ratio of two times of the same round, and the median over the rounds is printed
beside what is wanted. Memory is the node's own high-water mark. The last part asks the example
`instructions` for the times of single steps.

Everything runs on loopback, in directories of its own, and is stopped by process id at the end."""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "system"))
import page  # noqa: E402
import pymysql  # noqa: E402
from bench import processes, start_ddm  # noqa: E402
from plain import Plain  # noqa: E402

SHARDS = 8
SCHEMA = "speed"
TABLES = {
    "t": ("id INT NOT NULL PRIMARY KEY, k INT NOT NULL, grp INT NOT NULL, n DECIMAL(10,2), c CHAR(60) NOT NULL",
          "DBPARTITION BY MOD_HASH(id)"),
    "orders": ("id INT NOT NULL PRIMARY KEY, customer INT NOT NULL, total INT NOT NULL", "DBPARTITION BY MOD_HASH(id)"),
    "items": ("id INT NOT NULL, line INT NOT NULL, price INT NOT NULL, PRIMARY KEY (id, line)",
              "DBPARTITION BY MOD_HASH(id)"),
    "few": ("id INT NOT NULL PRIMARY KEY, k INT NOT NULL, name CHAR(32)", "DBPARTITION BY MOD_HASH(id)"),
    "many": ("id INT NOT NULL PRIMARY KEY, v INT NOT NULL", "DBPARTITION BY MOD_HASH(id)"),
    "copies": ("n INT NOT NULL PRIMARY KEY", "BROADCAST"),
    "ins": ("id INT NOT NULL PRIMARY KEY, k INT NOT NULL, c CHAR(60) NOT NULL", "DBPARTITION BY MOD_HASH(id)"),
    "loaded": ("id INT NOT NULL PRIMARY KEY, k INT NOT NULL, c CHAR(60) NOT NULL", "DBPARTITION BY MOD_HASH(id)"),
}


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Side:
    """One server, with a connection."""

    def __init__(self, connection):
        self.connection = connection

    def run(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def time(self, sql):
        return seconds(lambda: self.run(sql))


class Bench:
    def __init__(self, options, ends, root, plain):
        self.options, self.root = options, root
        demo = ends["demo"]
        self.login = (demo["host"], demo["port"], demo["admin_user"], demo["admin_password"], SCHEMA)
        self.ddm = Side(connect(*self.login))
        self.shards = self.find_shards(ends["data_nodes"])
        rows = plain.log_in(local_infile=True)
        Side(rows).run(f"CREATE DATABASE {SCHEMA}")
        rows.select_db(SCHEMA)
        self.plain = Side(rows)
        self.lines = []

    def find_shards(self, nodes):
        """A connection to each shard's database, by its number."""
        shards = {}
        for node in nodes:
            login = (node["host"], node["port"], node["admin_user"], node["admin_password"])
            names = Side(connect(*login)).run(f"SHOW DATABASES LIKE '{SCHEMA}\\_%'")
            for name, in names:
                shards[int(name[-4:])] = Side(connect(*login, name))
        assert sorted(shards) == list(range(SHARDS)), sorted(shards)
        return [shards[number] for number in range(SHARDS)]

    def prepare(self):
        rows = self.options.rows
        for name, (columns, clause) in TABLES.items():
            self.ddm.run(f"CREATE TABLE {name} ({columns}) {clause}")
            self.plain.run(f"CREATE TABLE {name} ({columns})")
        self.fill("t", f"SELECT seq, seq * 7919 % 1000003, seq % 50, seq / 4, MD5(seq) FROM seq_1_to_{rows}")
        self.fill("orders", f"SELECT seq, seq % 1000, seq % 97 FROM seq_1_to_{rows // 2}")
        self.fill("items", f"SELECT seq DIV 2, seq % 2, seq % 89 FROM seq_2_to_{rows}")
        self.fill("few", "SELECT seq, seq * 31 % 100000, MD5(seq) FROM seq_1_to_1000")
        self.fill("many", f"SELECT seq, seq * 17 % 100000 FROM seq_1_to_{self.options.join_rows}")
        self.fill("copies", "SELECT seq FROM seq_1_to_1000", everywhere=True)
        # A file that is still small grows page by page, each with a sync of its own.
        self.fill("ins", f"SELECT seq, seq % 1000, MD5(seq) FROM seq_1_to_{rows}")

    def fill(self, table, query, everywhere=False):
        """Rows are made on each shard by itself: those that MOD_HASH puts there."""
        self.plain.run(f"INSERT INTO {table} {query}")
        with self.plain.connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table} LIMIT 0")
            names = ", ".join(column[0] for column in cursor.description)
        for number, shard in enumerate(self.shards):
            own = "" if everywhere else f" WHERE r.id % {SHARDS} = {number}"
            shard.run(f"INSERT INTO {table} WITH r ({names}) AS ({query}) SELECT * FROM r{own}")
            shard.run(f"ANALYZE TABLE {table}")
        if not everywhere:
            assert self.ddm.run(f"SELECT COUNT(*) FROM {table} WHERE id = 13") == self.plain.run(
                f"SELECT COUNT(*) FROM {table} WHERE id = 13")

    def rounds(self, ours, theirs):
        ratios = []
        for number in range(self.options.rounds + 1):
            ratio = ours() / theirs()
            if number:
                ratios.append(ratio)
        return statistics.median(ratios)

    def tell(self, what, value, wanted, unit="x", at_least=False):
        good = value >= wanted if at_least else value <= wanted
        sign = "≥" if at_least else "≤"
        missed = "" if good else "MISSED"
        self.lines.append(f"| {what} | {value:.2f} {unit} | {sign} {wanted} | {missed} |")
        print(f"{what:62} {value:10.2f} {unit:4} {sign} {wanted:<8} {missed}", flush=True)

    def scatter(self, what, sql, wanted):
        self.tell(what, self.rounds(lambda: self.ddm.time(sql), lambda: self.by_hand(sql)), wanted)

    def by_hand(self, sql):
        """The same statement on all shards at once, until the slowest has answered: all of them share
        this machine's cores."""
        def all_shards():
            threads = [threading.Thread(target=shard.run, args=(sql,)) for shard in self.shards]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return seconds(all_shards)

    def insert(self):
        turn = [0]

        def rows():
            turn[0] += 1
            base = self.options.rows + turn[0] * 1000
            values = ",".join(f"({base + n}, {n * 7}, 'some text that is as long as texts are {n}')" for n in range(1000))
            return "INSERT INTO ins (id, k, c) VALUES " + values

        def times(side):
            return sum(side.time(rows()) for _ in range(self.options.inserts))

        value = self.rounds(lambda: times(self.plain), lambda: times(self.ddm))
        self.tell("INSERT of 1,000 rows, 8 shards on 2 data nodes; rate / plain", value, 0.8, at_least=True)
        self.shards[0].run("CREATE TABLE direct LIKE ins")
        self.shards[0].run("INSERT INTO direct SELECT * FROM ins")
        direct = Side(self.shards[0].connection)

        def direct_times():
            return sum(direct.time(rows().replace("INTO ins", "INTO direct")) for _ in range(self.options.inserts))

        value = self.rounds(direct_times, lambda: times(self.ddm))
        self.tell("… rate / direct to one data node", value, 0.8, at_least=True)

    def load(self):
        path = self.root / "rows"
        with path.open("wb") as file:
            for n in range(self.options.rows):
                file.write(b"%d\t%d\tsome text that is as long as texts are %d\n" % (n, n * 7 % 1000, n))

        def load(side):
            side.run("TRUNCATE loaded")
            return side.time(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE loaded")

        value = self.rounds(lambda: load(self.plain), lambda: load(self.ddm))
        self.tell("LOAD DATA LOCAL on two data nodes; rate / plain", value, 0.9, at_least=True)

    def memory(self, nodes):
        """The node's memory while an ordered answer of many rows streams through it."""
        host, port, user, password, schema = self.login
        marks = []
        for power in range(4, self.options.memory_power + 1):
            copies = 10 ** (power - 4)
            for pid in nodes:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            sql = (f"SELECT t.id, copies.n FROM t, copies WHERE t.id <= 10000 AND copies.n <= {copies} "
                   "ORDER BY t.id")
            subprocess.run(["mariadb", "--quick", "-N", "-h", host, "-P", str(port), "-u", user, schema, "-e", sql],
                           check=True, stdout=subprocess.DEVNULL, env={**os.environ, "MYSQL_PWD": password})
            marks.append(max(high_water(pid) for pid in nodes))
            print(f"    10^{power} rows: {marks[-1]} MiB", flush=True)
        self.tell("memory of a merge, most rows / fewest", marks[-1] / marks[0], 1.2)

    def steps(self, program):
        def nanoseconds(name):
            return float(subprocess.run([program, "time", name], check=True, capture_output=True, text=True).stdout)

        self.tell("parse of a point select", nanoseconds("parse a point select"), 1000, "ns")
        self.tell("parse of a 20-column insert", nanoseconds("parse a 20-column insert"), 4000, "ns")
        self.tell("plan-cache hit", nanoseconds("plan-cache hit"), 300, "ns")
        few = nanoseconds("decide with 2 shards")
        self.tell("routing with 64 shards / with 2", nanoseconds("decide with 64 shards") / few, 1.2)
        self.tell("routing with 4,096 shards / with 2", nanoseconds("decide with 4096 shards") / few, 1.2)
        few = nanoseconds("plan with 10 tables")
        self.tell("planning with 10,000 tables / with 10", nanoseconds("plan with 10000 tables") / few, 1.5)


def high_water(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def connect(host, port, user, password, database=None):
    # Without TLS, which the plain server does not have.
    return pymysql.connect(host=host, port=port, user=user, password=password, database=database, autocommit=True,
                           local_infile=True, ssl_disabled=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ddm", required=True, help="the built program")
    parser.add_argument("--instructions", help="the built example, for the times of single steps")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=400_000, help="rows of the large tables")
    parser.add_argument("--join-rows", type=int, default=100_000)
    parser.add_argument("--inserts", type=int, default=20, help="INSERTs of one round")
    parser.add_argument("--memory-power", type=int, default=7, help="the largest merge has 10 to this power rows")
    parser.add_argument("--only", default="", help="scatter, join, insert, load, memory or steps")
    parser.add_argument("--write", type=Path, help="the page that gets the figures, docs/performance.md")
    options = parser.parse_args()
    before = page.machine()
    root = Path(tempfile.mkdtemp(prefix="ddm-speed-"))
    ddm, plain = None, None
    try:
        wants = lambda name: options.only in ("", name)  # noqa: E731
        ddm, ends = start_ddm(options.ddm, root, data_nodes=2)
        # As a data node of the demo is set: every commit is on the disk, with its binlog.
        plain = Plain("--innodb-buffer-pool-size=256M", "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1",
                      "--log-bin=binlog", "--server-id=1", "--binlog-format=ROW")
        subprocess.run([options.ddm, "ctl", "--data-dir", str(root / "data"), "schemas", "create",
                        ends["demo"]["instance_id"], SCHEMA, "--mode", "cluster", "--shards", str(SHARDS)],
                       check=True, stdout=subprocess.DEVNULL)
        bench = Bench(options, ends, root, plain)
        bench.prepare()
        if wants("scatter"):
            bench.scatter("ORDER BY … LIMIT over 8 shards / the slowest shard's time",
                          "SELECT id, k, c FROM t ORDER BY k LIMIT 100", 1.3)
            bench.scatter("aggregate over 8 shards / the slowest shard's time",
                          "SELECT grp, COUNT(*), SUM(n), MAX(k) FROM t GROUP BY grp ORDER BY grp", 1.2)
        if wants("join"):
            sql = ("SELECT o.customer, COUNT(*), SUM(i.price) FROM orders o JOIN items i ON i.id = o.id "
                   "WHERE o.customer < 50 GROUP BY o.customer")
            value = bench.rounds(lambda: bench.ddm.time(sql), lambda: bench.by_hand(sql))
            bench.tell("co-located join / pushed by hand to all shards at once", value, 1.1)
            sql = "SELECT COUNT(*), SUM(m.v), MAX(f.name) FROM few f JOIN many m ON m.v = f.k"
            value = bench.rounds(lambda: bench.ddm.time(sql), lambda: bench.plain.time(sql))
            bench.tell(f"join across shards, {options.join_rows} x 1000 / plain server", value, 3)
        if wants("insert"):
            bench.insert()
        if wants("load"):
            bench.load()
        if wants("memory"):
            bench.memory(processes([str(root), "node.toml"]))
        if wants("steps") and options.instructions:
            bench.steps(options.instructions)
        if options.write:
            lines = ["| figure | measured | wanted | |", "|---|---|---|---|", *bench.lines]
            page.write(options.write, "bench-speed", before, f"medians of {options.rounds} rounds", lines)
    finally:
        if ddm:
            ddm.send_signal(signal.SIGTERM)
            ddm.wait(60)
        if plain:
            plain.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
