"""A node that is cut off from the control plane, but not from its clients and data nodes. Changes go through the other
node meanwhile: the one that is cut off serves what is in force, or refuses with an error that says why, and serves again
soon after it is connected again. Without a control plane nothing changes, and everything is served."""

import itertools
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pymysql
import pytest
from relay import Relay
from shop import Shop
from system import BINARY, connect, eventually, rows

FENCED = 3110
# A node serves for 6 s on what it was last assured of, and the control plane waits for 7 s; more on a busy machine.
ASSURED_SECONDS = 6
CHANGE_SECONDS = 20
# A node that is fenced already is not waited for.
NEXT_CHANGE_SECONDS = 8
BACK_SECONDS = 15
SHARDED = "DBPARTITION BY MOD_HASH(id)"
WRITERS = 2
# No such column, table or database; another number of columns; the connection is lost with all of it.
OLD_DEFINITION = (1054, 1146, 1049, 1136, 2006, 2013)


class CutShop(Shop):
    """Two nodes, the second of which calls the control plane through a relay."""

    def __init__(self):
        super().__init__()
        self.relay = None
        self.whole, self.cut = self.hosts
        pid, path, _ = self.relayed()
        self.node_pid = pid
        self.config = path

    def relayed(self):
        """Starts the second node anew with the relay before it; its supervisor takes it for his."""
        old = self.node_of(self.cut)
        words = Path(f"/proc/{old}/cmdline").read_text().split("\0")
        path = Path(words[words.index("--config") + 1])
        os.kill(self.system.process.pid, signal.SIGSTOP)
        try:
            os.kill(old, signal.SIGKILL)
            text = path.read_text()
            address = re.search(r'control_plane = \["([^"]+):(\d+)"\]', text)
            if self.relay is None:
                self.relay = Relay(address.group(1), int(address.group(2)))
            path.write_text(text.replace(address.group(0), f'control_plane = ["127.0.0.1:{self.relay.port}"]'))
            eventually("the old process is gone", lambda: not self.is_running(old))
            process = subprocess.Popen([BINARY, "node", "--config", str(path)], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=open(self.system.root / "node.log", "a"))
            threading.Thread(target=process.wait, daemon=True).start()
        finally:
            os.kill(self.system.process.pid, signal.SIGCONT)
        return process.pid, path, text

    @staticmethod
    def is_running(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def __exit__(self, *_):
        try:
            self.relay.close()
        finally:
            super().__exit__()

    def admin(self, host):
        return connect(host, self.ends["port"], self.ends["admin_user"], self.ends["admin_password"], self.ends["schema"])

    def ask_admin_port(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.cut}:{self.ends['port'] + 1}{path}", timeout=5) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def status(self):
        """What the API says of the node that is cut off."""
        shown = self.system.ctl("instances", "show", self.ends["instance_id"])
        return next(node["status"] for node in shown["nodes"] if node["ip"] == self.cut)

    def fences(self):
        found = []
        for node in self.system.endpoints["data_nodes"]:
            with connect(node["host"], node["port"], node["admin_user"], node["admin_password"]) as direct:
                try:
                    found += rows(direct, "SELECT * FROM _ddm.fences")
                except pymysql.err.ProgrammingError:
                    pass  # nobody was ever fenced
        return found


@pytest.fixture(scope="module")
def shop():
    with CutShop() as shop:
        eventually("both nodes serve", lambda: serves(shop), 60)
        yield shop


def serves(shop):
    return shop.status() == "RUNNING" and all(rows(shop.log_in(host), "SELECT 1") for host in shop.hosts)


def metric(shop, name):
    return next(line for line in shop.ask_admin_port("/metrics").splitlines() if line.startswith(f"{name} ")).split()[1]


class Watcher(threading.Thread):
    """A client of the node that is cut off. It compares each answer with what was in force when it asked, where that was
    the same when it had the answer."""

    def __init__(self, session, truth, ask, wrong):
        super().__init__(daemon=True)
        self.session, self.truth, self.ask, self.wrong = session, truth, ask, wrong
        self.over = threading.Event()
        self.served = self.refused = 0
        self.last_served = None

    def run(self):
        while not self.over.is_set():
            number, wanted = self.truth.now()
            try:
                answer = self.ask(self.session)
            except pymysql.MySQLError as error:
                if is_refusal(error):
                    self.refused += 1
                    time.sleep(0.01)
                    continue
                answer = error.args
            after, _ = self.truth.now()
            self.served += 1
            self.last_served = (answer, time.monotonic())
            if number == after and number % 2 == 0 and not wanted(answer):
                self.wrong.append((number, answer))
            time.sleep(0.005)

    def end(self):
        self.over.set()
        self.join(60)
        assert not self.is_alive(), "a client is stuck"


def is_refusal(error):
    """Refused with its reason: by the node, or, just after it, because it has let its data nodes go."""
    return error.args[0] == FENCED or (error.args[0] == 1429 and "cut off from the control plane" in error.args[1])


class Truth:
    """What is in force. Its number is odd while a change is under way."""

    def __init__(self, wanted):
        self.state = (0, wanted)

    def now(self):
        return self.state

    def change(self, run, wanted, limit):
        number, before = self.state
        self.state = (number + 1, before)
        began = time.monotonic()
        run()
        took = time.monotonic() - began
        self.state = (number + 2, wanted)
        assert took < limit, f"the change took {took:.1f} s"
        return took


def columns_of(session, table):
    with session.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} WHERE id = 1")
        cursor.fetchall()
        return [column[0] for column in cursor.description]


def begin_fault(shop, how):
    if how == "held":
        shop.relay.hold()
    else:
        shop.relay.refuse()


@pytest.mark.parametrize("how", ["held", "refused"])
def test_definitions_are_never_old(shop, how):
    session = shop.log_in(shop.whole)
    rows(session, "DROP TABLE IF EXISTS changing")
    rows(session, f"CREATE TABLE changing (id INT NOT NULL PRIMARY KEY) {SHARDED}")
    rows(session, "INSERT INTO changing VALUES (1)")
    wrong = []
    truth = Truth(lambda answer: answer == ["id"])
    watchers = [Watcher(shop.log_in(shop.cut), truth, lambda one: columns_of(one, "changing"), wrong) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    eventually("it is served", lambda: all(watcher.served for watcher in watchers))
    begin_fault(shop, how)
    took, names = [], ["id"]
    try:
        for number in range(2):
            names = [*names, f"c{number}"]
            statement = f"ALTER TABLE changing ADD COLUMN c{number} INT NOT NULL DEFAULT 7"
            wanted = lambda answer, names=names: answer == names  # noqa: E731
            took.append(truth.change(lambda: rows(session, statement), wanted, NEXT_CHANGE_SECONDS if took else CHANGE_SECONDS))
        eventually("the others are refused", lambda: all(watcher.refused for watcher in watchers))
        assert "cut off" in shop.ask_admin_port("/healthz")
        assert (metric(shop, "ddm_cut_off"), metric(shop, "ddm_fenced")) == ("1", "1")
        assert eventually("the API says so", lambda: shop.status() != "RUNNING")
        with pytest.raises(pymysql.MySQLError) as refused:
            shop.log_in(shop.cut)
        assert refused.value.args[0] == FENCED and "permissions were changed" in refused.value.args[1]
        truth.change(lambda: rows(session, "DROP TABLE changing"), lambda answer: answer[0] == 1146, NEXT_CHANGE_SECONDS)
        create = f"CREATE TABLE changing (id INT NOT NULL PRIMARY KEY, other INT) {SHARDED}"
        truth.change(lambda: rows(session, create), lambda answer: answer == ["id", "other"], NEXT_CHANGE_SECONDS)
    finally:
        shop.relay.let_go()
        began = time.monotonic()
    eventually("the very sessions go on", lambda: all(
        watcher.last_served and watcher.last_served[0] == ["id", "other"] for watcher in watchers), BACK_SECONDS)
    after = time.monotonic() - began
    for watcher in watchers:
        watcher.end()
    assert not wrong, wrong[:5]
    assert shop.node_of(shop.cut) == shop.node_pid, "it was not stopped"
    eventually("no fence is left", lambda: shop.fences() == [])
    print(f"{how}: changes took {[round(one, 1) for one in took]} s, {watchers[0].refused} refused, back after {after:.1f} s")


@pytest.mark.parametrize("how", ["held", "refused"])
def test_rows_are_kept_while_tables_move(shop, how):
    session = shop.log_in(shop.whole)
    rows(session, "DROP TABLE IF EXISTS moving")
    rows(session, f"CREATE TABLE moving (id INT NOT NULL, n INT NOT NULL, PRIMARY KEY (id, n)) {SHARDED}")
    ids, told, others, over = itertools.count(1), {}, [], threading.Event()

    def write(host):
        one = shop.log_in(host)
        while not over.is_set():
            number = next(ids)
            try:
                rows(one, f"INSERT INTO moving VALUES ({number}, {number})")
                told[number] = True
            except pymysql.MySQLError as error:
                # A statement that the fence has met in the middle of it may have come through.
                told[number] = False if is_refusal(error) else None
                if not is_refusal(error):
                    others.append(error.args)
            time.sleep(0.01)

    threads = [threading.Thread(target=write, args=(host,), daemon=True) for host in shop.hosts for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    begin_fault(shop, how)
    began = time.monotonic()
    try:
        for clause in ["BROADCAST", "DBPARTITION BY MOD_HASH(n)", "SINGLE"]:
            rows(session, f"ALTER TABLE moving {clause}")
        took = time.monotonic() - began
    finally:
        shop.relay.let_go()
    eventually("it serves", lambda: rows(shop.log_in(shop.cut), "SELECT 1"), BACK_SECONDS)
    over.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a client is stuck"
    assert not [error for error in others if error[0] in OLD_DEFINITION], others[:5]
    counts = [dict(rows(shop.log_in(host), "SELECT id, COUNT(*) FROM moving GROUP BY id")) for host in shop.hosts]
    assert counts[0] == counts[1]
    for number, what in told.items():
        found = counts[0].get(number, 0)
        assert found == 1 if what else found <= (what is None), (number, what, found)
    assert sum(what is True for what in told.values()) > 20
    print(f"{how}: three moves took {took:.1f} s, {sum(what is False for what in told.values())} of {len(told)} refused")


def test_permissions_are_never_old(shop):
    with shop.admin(shop.whole) as admin:
        schema, password = shop.ends["schema"], "First-of_9Willows"
        rows(admin, "CREATE TABLE open_to_some (id INT PRIMARY KEY)")
        rows(admin, f"CREATE USER guest IDENTIFIED BY '{password}'")
        rows(admin, f"GRANT SELECT ON {schema}.* TO guest")
        guest = connect(shop.cut, shop.ends["port"], "guest", password, schema)
        assert rows(guest, "SELECT * FROM open_to_some") == []
        shop.relay.hold()
        try:
            rows(admin, "DROP USER guest")
            # From now on nobody may be served by that name, on no node.
            for _ in range(20):
                with pytest.raises(pymysql.MySQLError):
                    rows(guest, "SELECT * FROM open_to_some")
                with pytest.raises(pymysql.MySQLError) as refused:
                    connect(shop.cut, shop.ends["port"], "guest", password, schema)
                assert refused.value.args[0] in (FENCED, 1045)
                time.sleep(0.05)
        finally:
            shop.relay.let_go()
    eventually("it serves", lambda: rows(shop.log_in(shop.cut), "SELECT 1"), BACK_SECONDS)


def test_a_transaction_holds_nothing_up(shop):
    """What was open on the node is rolled back: its locks would hold up others for ever."""
    whole, cut = shop.log_in(shop.whole), shop.log_in(shop.cut)
    rows(whole, "DROP TABLE IF EXISTS held_up")
    rows(whole, f"CREATE TABLE held_up (id INT NOT NULL PRIMARY KEY, n INT) {SHARDED}")
    rows(whole, "INSERT INTO held_up VALUES (1, 1), (2, 1)")
    cut.begin()
    rows(cut, "UPDATE held_up SET n = 2")
    shop.relay.refuse()
    try:
        rows(whole, "CREATE TABLE another_one (id INT PRIMARY KEY)")
        eventually("the locks are gone", lambda: rows(whole, "UPDATE held_up SET n = 3") is not None)
        with pytest.raises(pymysql.MySQLError) as refused:
            rows(cut, "UPDATE held_up SET n = 4")
        assert refused.value.args[0] == FENCED
    finally:
        shop.relay.let_go()

    def rolled_back():
        cut.rollback()
        return rows(cut, "SELECT DISTINCT n FROM held_up") == [(3,)]

    eventually("the session goes on without its transaction", rolled_back, BACK_SECONDS)


def test_a_restart_changes_nothing(shop):
    """A node that starts again and hears no control plane finds its fence before it serves what is on its disk."""
    session = shop.log_in(shop.whole)
    shop.relay.hold()
    try:
        rows(session, "CREATE TABLE after_the_cut (id INT PRIMARY KEY)")
        shop.node_pid, _, _ = shop.relayed()
        eventually("it refuses", lambda: "permissions were changed" in shop.ask_admin_port("/healthz"))
        for _ in range(5):
            with pytest.raises(pymysql.MySQLError) as refused:
                shop.log_in(shop.cut)
            assert refused.value.args[0] in (FENCED, 2003, 2013)
    finally:
        shop.relay.let_go()
    eventually("it serves", lambda: rows(shop.log_in(shop.cut), "SELECT COUNT(*) FROM after_the_cut") == [(0,)], BACK_SECONDS)


def test_without_a_control_plane_all_is_served(shop):
    """The last one: it ends the control plane."""
    rows(shop.log_in(), "CREATE TABLE lasting (id INT NOT NULL PRIMARY KEY AUTO_INCREMENT, n INT) DBPARTITION BY MOD_HASH(id)")
    eventually("nobody is fenced", lambda: shop.fences() == [] and all(shop.log_in(host) for host in shop.hosts))
    shop.system.process.kill()
    shop.system.process.wait()
    sessions = [shop.log_in(host) for host in shop.hosts]
    until = time.monotonic() + 3 * ASSURED_SECONDS
    count = 0
    while time.monotonic() < until:
        for session in sessions:
            rows(session, f"INSERT INTO lasting (n) VALUES ({count})")
            count += 1
            assert rows(session, "SELECT COUNT(*) FROM lasting") == [(count,)]
        time.sleep(0.02)
    for host in shop.hosts:
        assert rows(shop.log_in(host), "SELECT COUNT(*) FROM lasting") == [(count,)]
    assert metric(shop, "ddm_cut_off") == "1" and metric(shop, "ddm_fenced") == "0"
