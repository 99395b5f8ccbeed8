"""A plain MariaDB server of a test's own: what DDM's answers are compared with."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql

START_SECONDS = 60


class Plain:
    """Starts a server in a directory of its own; `stop` ends it and removes everything."""

    def __init__(self, *options):
        self.root = Path(tempfile.mkdtemp(prefix="ddm-plain-"))
        data = self.root / "data"
        environment = {**os.environ, "TMPDIR": str(self.root)}
        user = ["--user=root"] if getpass.getuser() == "root" else []
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
                        "--auth-root-authentication-method=normal"], check=True, env=environment,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        init = self.root / "init.sql"
        init.write_text("CREATE USER 'tester'@'127.0.0.1';\nGRANT ALL ON *.* TO 'tester'@'127.0.0.1';\n"
                        "CREATE USER 'plain'@'127.0.0.1' IDENTIFIED BY 'p';\n"
                        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP ON t.* TO 'plain'@'127.0.0.1';\n")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={self.root}/s", f"--port={self.port}",
             f"--tmpdir={self.root}", f"--init-file={init}", "--bind-address=127.0.0.1", "--skip-name-resolve",
             "--lower-case-table-names=1", "--local-infile=ON", "--character-set-server=utf8mb4",
             "--innodb-flush-log-at-trx-commit=0", *user, *options],
            stdout=subprocess.DEVNULL, stderr=open(self.root / "log", "w"))
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
                return
            except pymysql.err.OperationalError:
                if time.monotonic() > deadline:
                    raise RuntimeError((self.root / "log").read_text()) from None
                time.sleep(0.05)

    def connect(self, user="tester", password="", **options):
        return pymysql.connect(host="127.0.0.1", port=self.port, user=user, password=password,
                               autocommit=True, **options)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.root, ignore_errors=True)
