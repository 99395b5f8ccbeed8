"""Money is moved over two data nodes with a replica each, and read on replicas, while replicas are killed and stopped, primaries
killed, their replicas promoted, and the old primaries come back. Nothing that was acknowledged is lost, nothing is there twice,
nothing is written to an old primary, and reads go on. `make test-faults` runs it for minutes and prints the figures; with a
file's name in DDM_TEST_REPORT they are written there."""

import os
import random
import signal
import threading
import time

import pymysql
import pytest
from faults import FILL_SERVED, RECOVERY_SECONDS, SERVED, Faults
from figures import write
from instances import ADMIN, ADMIN_PASSWORD, Api, buy, make_schema
from loads.transfers import ACCOUNTS, Transfers
from replicated import PASSWORD, USER, Pairs
from system import UNTHROTTLED, System, eventually, rows

MINUTES = float(os.environ.get("DDM_TEST_FAULT_MINUTES", "0"))
# A fault takes ten times as long as one without replicas.
EACH = max(1, int(os.environ.get("DDM_TEST_FAULTS_EACH", "0")) // 10)
# A third of what the loads without replicas get; in the short form each kind comes once.
SECONDS = MINUTES * 20 or (240 if os.environ.get("DDM_TEST_FORM") == "long" else 0)
SEED = int(os.environ.get("DDM_TEST_SEED", "1"))
SHARDS = 8
# What is promised: a replica that hangs takes no reads, and writes follow a promoted one, after so long.
PROMISED_SECONDS = 5
# Tests share their machine, and a session of theirs may come late to its turn.
LATE_SECONDS = 5
# Reads that show that replicas are read, before anything is broken.
SPREAD_READS = 200
# A replica hangs so long, and an old primary that is back is watched so long.
STOPPED_SECONDS = 8
# What a node says of a primary that has missed three of its looks, which happens to one that runs on a busy machine.
PRIMARY_IS_LATE = "it does not answer"
WATCHED_SECONDS = 3

FIGURES = {
    "operations": "operations",
    "acknowledged": "acknowledged",
    "lost": "lost",
    "duplicated": "duplicated",
    "done_though_failed": "done though told failed",
    "in_doubt": "in doubt (told neither: lost at the commit)",
    "wrong_balances": "accounts with a wrong balance at the end",
    "reads": "reads of all accounts meanwhile",
    "wrong_reads": "of these wrong",
    "spread_reads": "reads of single accounts, spread over replicas",
    "wrong_spread_reads": "of these wrong",
    "failed_beside_replicas": "failed, or longer than promised, while only replicas were broken",
    "primary_was_late": "not answered because a primary that runs was too late for the node's looks",
    "longest_beside_replicas": "the longest of these, s",
    "written_to_old": "old primaries that were written to",
    "error_after": "longest until a write to a dead primary was told, s",
    "followed_after": "longest from a promotion until all nodes wrote to the new primary, s",
}
NEVER = ["lost", "duplicated", "done_though_failed", "wrong_balances", "wrong_reads", "wrong_spread_reads", "failed_beside_replicas",
         "written_to_old"]


class Spread(Transfers):
    """Transfers and readers of all accounts, and sessions that read one account at a time, on any server that has it."""

    sessions = 16
    spreaders = range(4, 8)

    def __init__(self, session):
        super().__init__(session)
        # How many data nodes have a broken primary now, and had one ever.
        self.primaries_down, self.primaries_broken = 0, 0
        self.spread = {"spread_reads": 0, "wrong_spread_reads": 0, "failed_beside_replicas": 0, "primary_was_late": 0,
                       "longest_beside_replicas": 0.0}

    def work(self, session):
        if session.number not in self.spreaders:
            return super().work(session)
        before, began, what = self.primaries_broken, time.monotonic(), "spread_reads"
        calm = self.primaries_down == 0
        account = session.random.randrange(ACCOUNTS)
        try:
            found = rows(session.connection, f"SELECT id FROM accounts WHERE id = {account}")
            if found != [(account,)]:
                self.show(f"account {account}: {found}")
                what = "wrong_spread_reads"
        except Exception as error:  # noqa: BLE001 - a packet that broke off is no error of its own to the client library
            what = f"{error!r} after {time.monotonic() - began:.1f} s"
            session.lose()
        took = time.monotonic() - began
        with self.lock:
            calm = calm and before == self.primaries_broken
            if what in self.spread:
                self.spread[what] += 1
            if calm:
                self.spread["longest_beside_replicas"] = max(round(took, 1), self.spread["longest_beside_replicas"])
                if PRIMARY_IS_LATE in what:
                    self.spread["primary_was_late"] += 1
                elif what != "spread_reads" or took > PROMISED_SECONDS + LATE_SECONDS:
                    self.spread["failed_beside_replicas"] += 1
                    self.examples.append(f"a read beside broken replicas: {what}, {took:.1f} s")

    def verdict(self, faults):
        found = super().verdict(faults)
        return {**found, **self.spread, **faults.figures}


class Promotions(Faults):
    """The faults of an instance whose data nodes have a replica each."""

    def __init__(self, system, pairs, seed):
        # The base puts relays before a demo's data nodes: there are none here.
        self.system, self.pairs, self.schema = system, pairs, "bank"
        self.random = random.Random(seed)
        self.disk, self.relays, self.cables = None, [], []
        self.over = threading.Event()
        self.longest, self.longest_after = 0.0, None
        self.counts = {kind: 0 for kind in self.kinds()}
        self.figures = {"written_to_old": 0, "error_after": 0.0, "followed_after": 0.0}
        self.load = None
        api = Api(system)
        nodes = [self._register(api, pair) for pair in pairs]
        self.instance = buy(system, "promotions", nodes=2)
        make_schema(system, self.instance, self.schema, nodes, SHARDS)
        shown = system.ctl("instances", "show", self.instance)
        self.hosts, self.port = [node["ip"] for node in shown["nodes"]], int(shown["access_port"])
        for node in nodes:
            (replica,) = api.data_node(node["id"])["replicas"]
            system.ctl("instances", "read-weights", self.instance, f"{node['id']}=30", f"{replica['id']}=70")
        self.ids = [node["id"] for node in nodes]
        system.ctl("parameters", "set", self.instance, "consistent_reads=SESSION")
        with self.log_in(self.hosts[0]) as session:
            rows(session, SERVED)
            rows(session, FILL_SERVED)
        eventually("the parameter is in force", self._allowed)

    def _register(self, api, pair):
        one, other = pair.servers
        login = {"admin_user": USER, "admin_password": PASSWORD}
        status, body = api.call("POST", "v3/data-nodes", {
            "name": f"pair-{pair.number}", "host": one.host, "port": one.port, **login,
            "replicas": [{"host": other.host, "port": other.port}]})
        assert status == 201, body
        return {"id": body["id"], **login}

    def _allowed(self):
        for host in self.hosts:
            with self.log_in(host) as session:
                rows(session, "SET ddm_consistent_reads = ON")
        return True

    def log_in(self, host, **more):
        return pymysql.connect(
            host=host, port=self.port, user=ADMIN, password=ADMIN_PASSWORD, database=self.schema, autocommit=True,
            connect_timeout=5, read_timeout=30, write_timeout=30, **more)

    def kinds(self):
        return ["kill_replica", "stop_replica", "promote"]

    def prepared(self):
        return [row for pair in self.pairs for row in pair.primary.ask("XA RECOVER")]

    def replicas_are_read(self):
        """Of some reads of single rows replicas answer most."""
        counted = lambda: sum(int(pair.replica.ask("SHOW GLOBAL STATUS LIKE 'Com_select'")[0][1]) for pair in self.pairs)  # noqa: E731
        before = counted()
        with self.log_in(self.hosts[0]) as session:
            for number in range(SPREAD_READS):
                rows(session, f"SELECT n FROM served WHERE id = {number % SHARDS}")
        return counted() - before > SPREAD_READS / 2

    def _pair(self):
        """A data node that nothing else breaks meanwhile."""
        for pair in self.random.sample(self.pairs, len(self.pairs)):
            if pair.lock.acquire(blocking=False):
                return pair
        raise AssertionError("more faults at once than data nodes")

    def _breaks(self, pair, work):
        """What ends a fault of a data node, which others may break then."""

        def end():
            try:
                work(pair)
            finally:
                pair.lock.release()

        return end

    def kill_replica(self):
        pair = self._pair()
        # One replica alone would keep its primary from acknowledging anything.
        pair.wait_for_replica(False)
        pair.replica.kill()

        def work(pair):
            time.sleep(self.random.uniform(1, STOPPED_SECONDS))
            pair.rejoin()

        return self._breaks(pair, work)

    def stop_replica(self):
        pair = self._pair()
        pair.wait_for_replica(False)
        pair.replica.signal(signal.SIGSTOP)

        def work(pair):
            time.sleep(STOPPED_SECONDS)
            pair.replica.signal(signal.SIGCONT)
            pair.replicate()

        return self._breaks(pair, work)

    def promote(self):
        """kill -9 of a primary, promotion of its replica, return of the old one, which is watched and made anew."""
        pair = self._pair()
        with self.load.lock:
            self.load.primaries_down += 1
            self.load.primaries_broken += 1
        pair.primary.kill()
        return self._breaks(pair, self._promote)

    def _promote(self, pair):
        try:
            for host in self.hosts:
                self._longest("error_after", self._told(pair, host))
            pair.promote()
            began = time.monotonic()
            for host in self.hosts:
                eventually("writes follow", lambda: self._write(pair, host), RECOVERY_SECONDS)
            self._longest("followed_after", time.monotonic() - began)
        finally:
            with self.load.lock:
                self.load.primaries_down -= 1
        # It comes back as its configuration file says, writable or not.
        old = pair.replica
        old.start(read_only=self.random.random() < 0.5)
        state = old.value("SELECT @@gtid_binlog_state")
        time.sleep(WATCHED_SECONDS)
        now = old.value("SELECT @@gtid_binlog_state")
        if now != state:
            self.figures["written_to_old"] += 1
            self.load.show(f"the old primary was at {state} and is at {now}")
        pair.remake()

    def _longest(self, figure, seconds):
        self.figures[figure] = max(self.figures[figure], round(seconds, 1))

    def _told(self, pair, host):
        """How long it takes until a client is told that a data node cannot be written to."""
        began = time.monotonic()
        try:
            self._write(pair, host)
        except pymysql.MySQLError:
            return time.monotonic() - began
        raise AssertionError("a dead primary was written to")

    def _write(self, pair, host):
        """A write to this data node alone."""
        session = self.log_in(host)
        try:
            rows(session, f"UPDATE served SET n = n + 1 WHERE id = {SHARDS // len(self.pairs) * pair.number}")
        finally:
            session.close()
        return True


@pytest.fixture
def promotions():
    system = System(environment=UNTHROTTLED)
    pairs = None
    try:
        pairs = Pairs(2)
        yield Promotions(system.start(), pairs.pairs, SEED)
    finally:
        system.remove()
        if pairs:
            pairs.close()


def test_promotions_lose_nothing(promotions):
    with promotions.log_in(promotions.hosts[0]) as session:
        load = promotions.load = Spread(session)
    eventually("replicas are read", promotions.replicas_are_read, RECOVERY_SECONDS)
    found = promotions.run(load, SECONDS, EACH)
    lines = table(found)
    print("\n" + "\n".join(lines), promotions.figures)
    wrong = {what: found[what] for what in NEVER if found[what]}
    assert not wrong, (wrong, load.examples)
    assert found["acknowledged"] > 100, found
    assert found["error_after"] < PROMISED_SECONDS + LATE_SECONDS, found
    assert found["followed_after"] < PROMISED_SECONDS + LATE_SECONDS, found
    report = os.environ.get("DDM_TEST_REPORT")
    if report:
        write(report, "promotions", lines)


def table(found):
    lines = ["| figure | |", "|---|---|", f"| minutes | {found['minutes']} |"]
    lines += [f"| faults: {kind.replace('_', ' ')} | {count} |" for kind, count in found["faults"].items()]
    return [f"Seed {SEED}.", "", *lines, *[f"| {name} | {found[key]} |" for key, name in FIGURES.items()]]
