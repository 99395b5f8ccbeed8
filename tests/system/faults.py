"""Faults of real processes, by kind, one by one and two at once, under any of the `loads`; what they did to it in figures."""

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pymysql
from instances import Api
from namespace import Namespace
from nodes import hosts, process_of
from relay import Relay
from system import connect, eventually, rows

# A node or data node that is stopped hangs so long, mostly, and sometimes; it is taken as dead after 5 s. So long does a relay
# hold, and a cable is out.
STOPPED_SECONDS = (0.3, 2.0)
STOPPED_LONG_SECONDS = (4.0, 8.0)
STOPPED_LONG_SHARE = 0.2
DELAYED_SECONDS = 1.5
DELAY = 0.15
# Between two faults the system serves for so long.
PAUSE_SECONDS = (0.2, 1.0)
# All nodes serve writes to all data nodes again within this after a fault is over.
RECOVERY_SECONDS = 60
# A MariaDB server that found its disk full looks again after 60 s: this takes its time, so it is done in one round of so many.
RECOVERY_FROM_FULL_SECONDS = 150
FULL_DISK_ROUNDS = 5
# After the last fault a session ends its operation within this.
LAST_OPERATION_SECONDS = 90

SERVED = "CREATE TABLE served (id INT PRIMARY KEY, n INT NOT NULL) DBPARTITION BY MOD_HASH(id)"
FILL_SERVED = "INSERT INTO served VALUES " + ", ".join(f"({id}, 0)" for id in range(16))


class Session:
    """A client that logs in again, to any node, when its connection is lost."""

    def __init__(self, faults, load, number):
        self.faults, self.load, self.number = faults, load, number
        self.random = random.Random(number)
        self.connection = None

    def open(self):
        while self.connection is None and not self.faults.over.is_set():
            connection = None
            try:
                connection = self.faults.log_in(self.random.choice(self.faults.hosts))
                self.load.set_up(connection, self.number)
                self.connection = connection
            except Exception:  # noqa: BLE001 - a packet that broke off is no error of its own to the client library
                self.drop(connection)
                time.sleep(0.1)
        return self.connection

    def lose(self):
        self.drop(self.connection)
        self.connection = None

    @staticmethod
    def drop(connection):
        if connection is not None:
            connection._force_close()  # noqa: SLF001 - a goodbye may hang


class Faults:
    """The faults of one system with a demo: its nodes, its data nodes, a relay before each data node, behind a cable where
    the user may lay one, and the disk of all of it, if it has one of its own."""

    def __init__(self, system, schema, seed=1, disk=None):
        self.system = system
        self.disk = disk
        self.schema = schema
        self.random = random.Random(seed)
        self.hosts = hosts(system)
        self.over = threading.Event()
        self.longest, self.longest_after = 0.0, None
        ends = system.endpoints["data_nodes"]
        self.cables = [Namespace() for _ in ends] if Namespace.possible() else []
        if self.cables:
            self.relays = [Relay(node["host"], node["port"], cable.listener()) for node, cable in zip(ends, self.cables)]
        else:
            self.relays = [Relay(node["host"], node["port"]) for node in ends]
        self.counts = {kind: 0 for kind in self.kinds()}
        self._register([cable.address for cable in self.cables] or [node["host"] for node in ends])
        self._allow_consistent_reads()
        with self.log_in(self.hosts[0]) as session:
            rows(session, SERVED)
            rows(session, FILL_SERVED)

    def _register(self, addresses):
        """Nodes reach their data nodes through the relays from now on."""
        api = Api(self.system)
        for node, address, relay in zip(self.system.endpoints["data_nodes"], addresses, self.relays):
            status, body = api.call("PUT", f"v3/data-nodes/{node['id']}", {"host": address, "port": relay.port})
            assert status < 300, body
        instance = self.system.endpoints["demo"]["instance_id"]
        status, body = api.call("POST", f"v3/instances/{instance}/data-nodes/sync")
        assert status < 300, body

    def _allow_consistent_reads(self):
        self.system.ctl("parameters", "set", self.system.endpoints["demo"]["instance_id"], "consistent_reads=SESSION")

        def allowed():
            for host in self.hosts:
                with self.log_in(host) as session:
                    rows(session, "SET ddm_consistent_reads = ON")
            return True

        eventually("the parameter is in force", allowed)

    def close(self):
        self.over.set()
        for one in [*self.relays, *self.cables]:
            one.close()

    def log_in(self, host, **more):
        ends = self.system.endpoints["demo"]
        return pymysql.connect(
            host=host, port=ends["port"], user=ends["admin_user"], password=ends["admin_password"],
            database=self.schema, autocommit=True, connect_timeout=5, read_timeout=30, write_timeout=30, **more)

    # The kinds. Each begins a fault and gives what ends it.

    def kinds(self):
        kinds = ["kill_node", "stop_node", "kill_data_node", "stop_data_node", "cut", "delay", "hold"]
        return kinds + ["partition"] * bool(self.cables) + ["full_disk"] * (self.disk is not None)

    def _for_a_while(self, end):
        """What ends a fault that lasts."""
        long = self.random.random() < STOPPED_LONG_SHARE
        seconds = self.random.uniform(*(STOPPED_LONG_SECONDS if long else STOPPED_SECONDS))

        def later():
            time.sleep(seconds)
            end()

        return later

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

    def hold(self):
        """A data node is reached, and nothing comes back from it."""
        relay = self.random.choice(self.relays)
        relay.hold()
        return self._for_a_while(relay.let_go)

    def partition(self):
        """Nothing passes between the nodes and one data node, not even that a packet has come."""
        cable = self.random.choice(self.cables)
        cable.pull()
        return self._for_a_while(cable.plug)

    def full_disk(self):
        """Nobody can write: no node, no data node, not the control plane."""
        self.disk.fill()
        return self._for_a_while(self.disk.free)

    def _stop(self, pid):
        self._signal(pid, signal.SIGSTOP)
        return self._for_a_while(lambda: self._signal(pid, signal.SIGCONT))

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
    def directly(node):
        """A session on a data node, past nodes and relays."""
        return connect(node["host"], node["port"], node["admin_user"], node["admin_password"])

    def _direct(self, node, sql):
        with self.directly(node) as direct:
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

    def run(self, load, seconds=0, each=0):
        """Injects faults of all kinds while the load runs, for so long and until there were so many of each; the figures."""
        figures = {"operations": 0}
        broken = []

        def work(number):
            session = Session(self, load, number)
            try:
                while not self.over.is_set() and session.open() is not None:
                    load.work(session)
                    with load.lock:
                        figures["operations"] += 1
            except Exception as error:  # noqa: BLE001 - shown at the end
                broken.append(repr(error))
                self.over.set()
            session.lose()

        began = time.monotonic()
        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(load.sessions)]
        for thread in threads:
            thread.start()
        try:
            self._inject_all(began + seconds, each, load.full_disk)
        finally:
            self.over.set()
        for thread in threads:
            thread.join(LAST_OPERATION_SECONDS)
            assert not thread.is_alive(), "a session is stuck"
        assert not broken, broken
        eventually("no branch stays prepared", lambda: not self.prepared(), RECOVERY_SECONDS)
        figures.update(faults=dict(self.counts), minutes=round((time.monotonic() - began) / 60, 1),
                       longest_recovery=round(self.longest, 1), longest_after=self.longest_after, **load.verdict(self))
        return figures

    def _inject_all(self, until, each, full_disk):
        """Rounds of all kinds, by turns one after the other and two at once."""
        kinds = [kind for kind in self.kinds() if kind != "full_disk"]
        turn = 0
        while time.monotonic() < until or min(self.counts[kind] for kind in kinds) < each:
            chosen = self.random.sample(kinds, len(kinds))
            together = 1 + turn % 2
            if full_disk and self.disk and turn % FULL_DISK_ROUNDS == 1:
                self.inject("full_disk")
            for at in range(0, len(chosen), together):
                time.sleep(self.random.uniform(*PAUSE_SECONDS))
                self.inject(*chosen[at:at + together])
                if self.over.is_set() or (time.monotonic() >= until and not each):
                    return
            turn += 1

    def inject(self, *kinds):
        """Faults at once, to the end of what they do."""
        with ThreadPoolExecutor(len(kinds)) as pool:
            # What one breaks the other may wait for, so they end beside each other.
            for done in [pool.submit(end) for end in [getattr(self, kind)() for kind in kinds]]:
                done.result()
        began = time.monotonic()
        what = " and ".join(kinds).replace("_", " ")
        eventually(f"all serve after {what}", self.all_serve, RECOVERY_FROM_FULL_SECONDS if "full_disk" in kinds else RECOVERY_SECONDS)
        took = time.monotonic() - began
        # How long a server waits with a full disk is not ours.
        if "full_disk" not in kinds and took > self.longest:
            self.longest, self.longest_after = took, what
        for kind in kinds:
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
