"""Data nodes with a replica each, of servers of a test's own: MariaDB servers on fixed ports that are killed, stopped, promoted
and made anew as replicas. Nothing here knows the product."""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymysql
from plain import free_port
from system import connect, eventually, rows

USER, PASSWORD = "ddm_admin", "r3plica-of_Alder"
# A server answers again, and a replica has all that its primary has, within this: a machine that runs tests may be slow.
SERVER_SECONDS = 90
CATCH_UP_SECONDS = 180
# Nothing is acknowledged that the replica has not got.
SEMI_SYNC_WAIT_MILLISECONDS = 600_000


# A server passes over what its log says was its own: one that is made anew has another number.
server_ids = itertools.count(1)


class Server:
    """One server; its port, and so who it is for everybody else, stays what it is whatever is done to it."""

    def __init__(self, root, number):
        self.root, self.number = root / str(number), number
        self.host, self.port = "127.0.0.1", free_port()
        self.process, self.server_id = None, None

    def make(self, read_only):
        """Makes it anew, without anything in it."""
        self.kill()
        self.server_id = next(server_ids)
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={self.root}/data", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            check=True, capture_output=True, env={**os.environ, "TMPDIR": str(self.root)})
        self.start(read_only)
        with self._locally() as local:
            for sql in ("SET sql_log_bin = 0", f"CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'",
                        f"GRANT ALL PRIVILEGES ON *.* TO {USER}@'%' WITH GRANT OPTION", "RESET MASTER"):
                rows(local, sql)

    def start(self, read_only):
        """Starts it as it was, with whatever its configuration file says."""
        user = ["--user=root"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            ["mariadbd", "--no-defaults", f"--datadir={self.root}/data", f"--socket={self.root}/s", f"--port={self.port}",
             f"--tmpdir={self.root}", f"--bind-address={self.host}", f"--server-id={self.server_id}", "--log-bin=binlog",
             "--log-slave-updates=ON", "--relay-log=relay", "--binlog-format=ROW", "--lower-case-table-names=1", "--local-infile=ON",
             "--skip-name-resolve", "--character-set-server=utf8mb4", "--max-connections=1000", "--innodb-buffer-pool-size=64M",
             "--innodb-flush-log-at-trx-commit=2", "--rpl-semi-sync-slave-enabled=ON", f"--read-only={int(read_only)}", *user],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.root / "log", "a"),
            env={**os.environ, "TMPDIR": str(self.root)})
        eventually(f"server {self.number} answers", lambda: self._locally().close() is None, SERVER_SECONDS)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def signal(self, number):
        os.kill(self.process.pid, number)

    def _locally(self):
        return pymysql.connect(unix_socket=f"{self.root}/s", user="root", autocommit=True, connect_timeout=5)

    def ask(self, *statements):
        """The rows of the last of these statements."""
        with connect(self.host, self.port, USER, PASSWORD) as session:
            return [rows(session, sql) for sql in statements][-1]

    def value(self, sql):
        return self.ask(sql)[0][0]

    def status(self):
        """What it says of its replication; nothing when it follows nobody."""
        with connect(self.host, self.port, USER, PASSWORD) as session, session.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute("SHOW SLAVE STATUS")
            return cursor.fetchone() or {}

    def follow(self, primary):
        """Replicates from another one's first transaction on."""
        self.ask(
            "SET GLOBAL gtid_slave_pos = ''",
            f"CHANGE MASTER TO MASTER_HOST = '{primary.host}', MASTER_PORT = {primary.port}, MASTER_USER = '{USER}', "
            f"MASTER_PASSWORD = '{PASSWORD}', MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos",
            "START SLAVE")


class Pair:
    """A data node: a primary and its replica, and what an operator or his tool does with them. `lock` is whose turn it is to
    break it."""

    def __init__(self, root, number):
        self.lock = threading.Lock()
        self.number = number
        self.servers = [Server(root, 10 * (number + 1) + one) for one in range(2)]
        self.primary, self.replica = self.servers

    def make(self):
        self.primary.make(read_only=False)
        self._make_replica()

    def _make_replica(self):
        self.replica.make(read_only=True)
        self.replica.follow(self.primary)
        self.replicate()

    def replicate(self):
        """Waits until the replica has everything, and from then on commits wait for it."""
        eventually("the replica has caught up", self._has_caught_up, CATCH_UP_SECONDS)
        self.wait_for_replica(True)
        eventually("commits wait for the replica", lambda: dict(self.primary.ask("SHOW STATUS LIKE 'Rpl_semi_sync_master_%'"))[
            "Rpl_semi_sync_master_status"] == "ON", SERVER_SECONDS)

    def wait_for_replica(self, waits):
        self.primary.ask(f"SET GLOBAL rpl_semi_sync_master_timeout = {SEMI_SYNC_WAIT_MILLISECONDS}",
                         "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC",
                         f"SET GLOBAL rpl_semi_sync_master_enabled = {'ON' if waits else 'OFF'}")

    def _has_caught_up(self):
        wanted = self.primary.value("SELECT @@gtid_binlog_pos")
        return self.replica.value(f"SELECT MASTER_GTID_WAIT('{wanted}', 5)") == 0

    def rejoin(self):
        """A replica that was killed starts again, and is made anew when it cannot go on: a server that is killed may have
        lost how far it had got with a prepared branch."""
        self.replica.start(read_only=True)

        def goes_on():
            status = self.replica.status()
            assert not status["Last_SQL_Errno"], status["Last_SQL_Error"]
            return status["Slave_SQL_Running"] == "Yes" and self._has_caught_up()

        try:
            eventually("the replica goes on", goes_on, 20)
        except AssertionError as error:
            print("the replica is made anew:", str(error)[:200])
            self._make_replica()
        else:
            self.replicate()

    def promote(self):
        """The primary is dead: its replica takes its place, with all that it has got."""
        new = self.replica

        def is_applied():
            return new.status()["Gtid_IO_Pos"] == new.value("SELECT @@gtid_slave_pos")

        eventually("all that came is applied", is_applied, CATCH_UP_SECONDS)
        new.ask("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0")
        self.primary, self.replica = new, self.primary

    def remake(self):
        """The old primary, which may have what nobody else has, is made anew as a replica."""
        self._make_replica()

    def close(self):
        for server in self.servers:
            server.kill()


class Pairs:
    """Data nodes with a replica each, in a directory of their own."""

    def __init__(self, count):
        self.root = Path(tempfile.mkdtemp(prefix="ddm-replicated-"))
        self.pairs = [Pair(self.root, number) for number in range(count)]
        try:
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(Pair.make, self.pairs))
        except BaseException:
            self.close()
            raise

    def close(self):
        for pair in self.pairs:
            pair.close()
        if not os.environ.get("DDM_TEST_KEEP"):
            shutil.rmtree(self.root, ignore_errors=True)
