"""A plain MariaDB server of a test's own, with the settings that a data node has: what it answers is what a node must
answer."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from system import connect

START_SECONDS = 60
USER = "tester"


def free_port():
    """A port on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Plain:
    """A running server; the account has all rights and no password, and it listens on loopback alone. `options` are more of
    the server's own."""

    def __init__(self, *options):
        self.root = Path(tempfile.mkdtemp(prefix="ddm-plain-"))
        self.host, self.port = "127.0.0.1", free_port()
        environment = {**os.environ, "TMPDIR": str(self.root)}
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={self.root}/data", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            check=True, capture_output=True, env=environment)
        (self.root / "init.sql").write_text(
            f"CREATE USER '{USER}'@'{self.host}';\nGRANT ALL ON *.* TO '{USER}'@'{self.host}';\n"
            f"CREATE USER 'plain'@'{self.host}' IDENTIFIED BY 'p';\n"
            f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP ON t.* TO 'plain'@'{self.host}';\n")
        user = ["--user=root"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            ["mariadbd", "--no-defaults", f"--datadir={self.root}/data", f"--socket={self.root}/s", f"--port={self.port}",
             f"--tmpdir={self.root}", f"--init-file={self.root}/init.sql", f"--bind-address={self.host}",
             "--lower-case-table-names=1", "--local-infile=ON", "--innodb-flush-log-at-trx-commit=0",
             "--character-set-server=utf8mb4", "--skip-name-resolve", *user, *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.root / "log", "w"), env=environment)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.log_in().close()
                return
            except Exception:
                assert time.monotonic() < deadline and self.process.poll() is None, (self.root / "log").read_text()
                time.sleep(0.1)

    def log_in(self, database=None, user=USER, password="", **more):
        return connect(self.host, self.port, user, password, database, **more)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        shutil.rmtree(self.root, ignore_errors=True)
