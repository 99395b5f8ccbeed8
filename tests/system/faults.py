"""Faults of real processes, by kind, under any load; what they did to it in figures. A load is an object with
`sessions`, `work(session, number)` for one operation, and `verdict()` for the figures at the end; `Transfers` is one."""

import os
import random
import signal
import threading
import time

import pymysql
from instances import Api
from nodes import hosts, process_of
from relay import Relay
from system import connect, eventually, rows

# A node or data node that is stopped hangs so long at most, and a relay delays so long.
STOPPED_SECONDS = (1.0, 8.0)
DELAYED_SECONDS = 3.0
DELAY = 0.15
# Between two faults the system serves for so long.
PAUSE_SECONDS = (0.5, 2.0)
# All nodes serve writes to all data nodes again within this after a fault is over.
RECOVERY_SECONDS = 60
# A MariaDB server that found its disk full looks again after 60 s.
RECOVERY_FROM_FULL_SECONDS = 150


class Session:
    """A client that logs in again, to any node, when its connection is lost."""

    def __init__(self, faults, number):
        self.faults = faults
        self.number = number
        self.random = random.Random(number)
        self.connection = None

    def open(self):
        while self.connection is None and not self.faults.over.is_set():
            try:
                self.connection = self.faults.log_in(self.random.choice(self.faults.hosts))
            except pymysql.MySQLError:
                time.sleep(0.1)
        return self.connection

    def lose(self):
        if self.connection is not None:
            self.connection._force_close()  # noqa: SLF001 - a goodbye may hang
            self.connection = None


class Faults:
    """The faults of one system with a demo: its nodes, its data nodes, a relay before each data node, and the disk of all
    of it, if it has one of its own."""

    def __init__(self, system, schema, seed=1, disk=None):
        self.system = system
        self.disk = disk
        self.schema = schema
        self.random = random.Random(seed)
        self.hosts = hosts(system)
        self.over = threading.Event()
        self.counts = {kind: 0 for kind in self.kinds()}
        self.longest, self.longest_after = 0.0, None
        self.relays = [Relay(node["host"], node["port"]) for node in system.endpoints["data_nodes"]]
        self._register([relay.port for relay in self.relays])

    def _register(self, ports):
        """Nodes reach their data nodes at these ports from now on."""
        api = Api(self.system)
        for node, port in zip(self.system.endpoints["data_nodes"], ports):
            status, body = api.call("PUT", f"v3/data-nodes/{node['id']}", {"host": node["host"], "port": port})
            assert status < 300, body
        instance = self.system.endpoints["demo"]["instance_id"]
        status, body = api.call("POST", f"v3/instances/{instance}/data-nodes/sync")
        assert status < 300, body

    def close(self):
        self.over.set()
        for relay in self.relays:
            relay.close()

    def log_in(self, host, **more):
        ends = self.system.endpoints["demo"]
        return pymysql.connect(
            host=host, port=ends["port"], user=ends["admin_user"], password=ends["admin_password"],
            database=self.schema, autocommit=True, connect_timeout=5, read_timeout=30, write_timeout=30, **more)

    # The kinds. Each begins a fault and gives what ends it.

    def kinds(self):
        kinds = ["kill_node", "stop_node", "kill_data_node", "stop_data_node", "cut", "delay", "partition"]
        return kinds + ["full_disk"] * (self.disk is not None)

    def kill_node(self):
        host = self.random.choice(self.hosts)
        self._signal(self._node(host), signal.SIGKILL)
        # Whoever watches over processes waits longer from time to time; that is no recovery of ours.
        return lambda: self._node(host)

    def stop_node(self):
        return self._stop(self._node(self.random.choice(self.hosts)))

    def kill_data_node(self):
        node = self.random.choice(self.system.endpoints["data_nodes"])
        self._signal(self._data_node(node), signal.SIGKILL)
        return lambda: eventually("the data node answers", lambda: self._direct(node, "SELECT 1"), RECOVERY_SECONDS)

    def stop_data_node(self):
        return self._stop(self._data_node(self.random.choice(self.system.endpoints["data_nodes"])))

    def cut(self):
        """Connections to one data node end in the middle of a packet."""
        self.random.choice(self.relays).cut()
        return lambda: None

    def delay(self):
        relay = self.random.choice(self.relays)
        relay.delay(DELAY)

        def end():
            time.sleep(DELAYED_SECONDS)
            relay.delay(0)

        return end

    def partition(self):
        """Nothing passes between the nodes and one data node, and nothing is closed."""
        relay = self.random.choice(self.relays)
        relay.hold()

        def end():
            time.sleep(self.random.uniform(*STOPPED_SECONDS))
            relay.let_go()

        return end

    def full_disk(self):
        """Nobody can write: no node, no data node, not the control plane."""
        self.disk.fill()

        def end():
            time.sleep(self.random.uniform(*STOPPED_SECONDS))
            self.disk.free()

        return end

    def _stop(self, pid):
        self._signal(pid, signal.SIGSTOP)

        def end():
            time.sleep(self.random.uniform(*STOPPED_SECONDS))
            self._signal(pid, signal.SIGCONT)

        return end

    @staticmethod
    def _signal(pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # whoever watches over it was quicker

    def _node(self, host):
        return eventually("the node runs", lambda: process_of(self.system, host), RECOVERY_SECONDS)

    def _data_node(self, node):
        return eventually("the data node runs", lambda: self._process_at(node["port"]), RECOVERY_SECONDS)

    @staticmethod
    def _direct(node, sql):
        with connect(node["host"], node["port"], node["admin_user"], node["admin_password"]) as direct:
            return rows(direct, sql)

    def _process_at(self, port):
        """The server at a port, by its configuration."""
        for pid in self.system.children("data-nodes"):
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as line:
                words = line.read().split("\0")
            files = [word.split("=", 1)[1] for word in words if word.startswith("--defaults-file=")]
            for file in files:
                with open(file, encoding="utf-8") as settings:
                    if any(one.replace(" ", "") == f"port={port}\n" for one in settings):
                        return pid
        return None

    # The run.

    def run(self, load, seconds, kinds=None):
        """Injects faults of all kinds in turn for so long while the load runs; the figures."""
        figures = {"operations": 0}
        counted = threading.Lock()

        def work(number):
            session = Session(self, number)
            while not self.over.is_set():
                if session.open() is None:
                    break
                load.work(session)
                with counted:
                    figures["operations"] += 1
            session.lose()

        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(load.sessions)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + seconds
        kinds = kinds or self.kinds()
        try:
            while time.monotonic() < until:
                for kind in self.random.sample(kinds, len(kinds)):
                    time.sleep(self.random.uniform(*PAUSE_SECONDS))
                    self.inject(kind)
                    if time.monotonic() >= until:
                        break
        finally:
            self.over.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a session is stuck"
        eventually("no branch stays prepared", lambda: not self.prepared(), RECOVERY_SECONDS)
        figures.update(faults=dict(self.counts), longest_recovery=round(self.longest, 1),
                       longest_after=self.longest_after, **load.verdict(self))
        return figures

    def inject(self, kind):
        """One fault, to the end of what it does."""
        end = getattr(self, kind)()
        end()
        began = time.monotonic()
        limit = RECOVERY_FROM_FULL_SECONDS if kind == "full_disk" else RECOVERY_SECONDS
        eventually(f"all serve after {kind}", self.all_serve, limit)
        took = time.monotonic() - began
        # How long a server waits with a full disk is not ours.
        if kind != "full_disk" and took > self.longest:
            self.longest, self.longest_after = took, kind
        self.counts[kind] += 1

    def all_serve(self):
        """Every node reads every data node, writes to it and commits over both."""
        for host in self.hosts:
            session = self.log_in(host)
            try:
                session.begin()
                rows(session, "UPDATE served SET n = n + 1")
                session.commit()
            finally:
                session.close()
        return True

    def prepared(self):
        found = []
        for node in self.system.endpoints["data_nodes"]:
            found += self._direct(node, "XA RECOVER")
        return found


UNREACHABLE = 1429
SERVED = "CREATE TABLE served (id INT PRIMARY KEY, n INT NOT NULL) DBPARTITION BY MOD_HASH(id)"
FILL_SERVED = "INSERT INTO served VALUES " + ", ".join(f"({id}, 0)" for id in range(16))
SHARDED = "DBPARTITION BY MOD_HASH(id)"
ACCOUNTS = 64
BALANCE = 1000


class Transfers:
    """Money is moved between accounts on different shards, and rows with ids of their own are inserted. No table has a
    unique key on those ids, so that what was done twice is there twice."""

    sessions = 32

    def __init__(self, session):
        for sql in [
            f"CREATE TABLE accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL) {SHARDED}",
            f"CREATE TABLE moved (id BIGINT NOT NULL, source INT NOT NULL, target INT NOT NULL, amount INT NOT NULL, KEY (id)) {SHARDED}",
            f"CREATE TABLE single (id BIGINT NOT NULL, KEY (id)) {SHARDED}",
            SERVED,
            "INSERT INTO accounts VALUES " + ", ".join(f"({id}, {BALANCE})" for id in range(ACCOUNTS)),
            FILL_SERVED,
        ]:
            rows(session, sql)
        self.lock = threading.Lock()
        self.next = 0
        # Ids by what their clients were told.
        self.told = {"moved": {}, "single": {}}

    def new_id(self):
        with self.lock:
            self.next += 1
            return self.next

    def work(self, session):
        number = self.new_id()
        table = "single" if number % 4 == 0 else "moved"
        told = self.told[table]
        told[number] = "in doubt"
        sent = table == "single"
        try:
            if table == "single":
                rows(session.connection, f"INSERT INTO single VALUES ({number})")
            else:
                source, target = session.random.sample(range(ACCOUNTS), 2)
                amount = session.random.randint(1, 20)
                session.connection.begin()
                rows(session.connection, f"INSERT INTO moved VALUES ({number}, {source}, {target}, {amount})")
                # In one order, so that transfers do not wait for each other in a ring.
                for one, change in sorted([(source, -amount), (target, amount)]):
                    rows(session.connection, f"UPDATE accounts SET balance = balance + {change} WHERE id = {one}")
                sent = True
                session.connection.commit()
            told[number] = "acknowledged"
        except pymysql.MySQLError as error:
            # A data node that cannot be reached has not got the statement.
            if not sent or (table == "single" and error.args[0] == UNREACHABLE):
                told[number] = "failed"
            self.roll_back(session)
        except Exception:
            # A packet that broke off is no error of its own to the client library.
            if not sent:
                told[number] = "failed"
            session.lose()

    @staticmethod
    def roll_back(session):
        try:
            session.connection.rollback()
        except Exception:  # noqa: BLE001 - the connection is gone, and its transaction with it
            session.lose()

    def verdict(self, faults):
        """What is there, against what clients were told."""
        session = faults.log_in(faults.hosts[0])
        figures = {"acknowledged": 0, "lost": 0, "duplicated": 0, "in_doubt": 0, "done_though_failed": 0}
        balances = {id: BALANCE for id in range(ACCOUNTS)}
        for source, target, amount in rows(session, "SELECT source, target, amount FROM moved"):
            balances[source] -= amount
            balances[target] += amount
        for table, told in self.told.items():
            counts = dict(rows(session, f"SELECT id, COUNT(*) FROM {table} GROUP BY id"))
            assert counts.keys() <= told.keys(), "a row that nobody has written"
            figures["duplicated"] += sum(count > 1 for count in counts.values())
            for number, what in told.items():
                figures["acknowledged"] += what == "acknowledged"
                figures["lost"] += what == "acknowledged" and number not in counts
                figures["in_doubt"] += what == "in doubt"
                figures["done_though_failed"] += what == "failed" and number in counts
        found = dict(rows(session, "SELECT id, balance FROM accounts"))
        figures["wrong_balances"] = sum(found[id] != balance for id, balance in balances.items())
        return figures


class Definitions:
    """Some sessions change the tables that others write to. Whatever breaks, a table is wholly what it was or wholly what
    it was to become, in all its parts, and its rows are there once."""

    sessions = 12
    changing = 4

    def __init__(self, session):
        for sql in [SERVED, FILL_SERVED, *(self.definition(number) for number in range(self.changing))]:
            rows(session, sql)
        self.lock = threading.Lock()
        self.next = 0
        self.told = [{} for _ in range(self.changing)]
        self.changes = {"acknowledged": 0, "failed": 0}

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
        except Exception:
            session.lose()

    def change(self, session):
        table = f"changed{session.number}"
        name = f"c{session.random.randrange(3)}"
        sql = session.random.choice([
            f"ALTER TABLE {table} ADD COLUMN {name} INT NOT NULL DEFAULT 7", f"ALTER TABLE {table} DROP COLUMN {name}",
            f"CREATE INDEX i_{name} ON {table} ({name})", f"CREATE TABLE extra{session.number} (id INT PRIMARY KEY) {SHARDED}",
            f"DROP TABLE extra{session.number}"])
        what = "failed"
        try:
            rows(session.connection, sql)
            what = "acknowledged"
        except pymysql.MySQLError as error:
            if not error.args or error.args[0] in (0, 2006, 2013):
                raise
        finally:
            with self.lock:
                self.changes[what] += 1

    def insert(self, session):
        with self.lock:
            self.next += 1
            number = self.next
        table = number % self.changing
        self.told[table][number] = "in doubt"
        try:
            rows(session.connection, f"INSERT INTO changed{table} (id) VALUES ({number})")
            self.told[table][number] = "acknowledged"
        except pymysql.MySQLError as error:
            if not error.args or error.args[0] in (0, 2006, 2013):
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
        figures = {"acknowledged": 0, "lost": 0, "duplicated": 0, "in_doubt": 0, "changes": self.changes}
        for table, told in enumerate(self.told):
            counts = dict(rows(session, f"SELECT id, COUNT(*) FROM changed{table} GROUP BY id"))
            figures["duplicated"] += sum(count > 1 for count in counts.values())
            for number, what in told.items():
                figures["acknowledged"] += what == "acknowledged"
                figures["lost"] += what == "acknowledged" and number not in counts
                figures["in_doubt"] += what == "in doubt"
        # What was interrupted is finished or undone by itself.
        eventually("all parts of each table are alike", lambda: self.whole(faults), RECOVERY_SECONDS)
        for number in range(self.changing):
            alter = f"ALTER TABLE changed{number} ADD COLUMN last INT"
            eventually("the next change", lambda alter=alter: rows(session, alter) == [], RECOVERY_SECONDS)
            rows(session, f"INSERT INTO changed{number} (id, last) VALUES (-1, 1)")
        return figures
