"""A whole DDM system of a test's own: `ddm up` as a child process, on ports and loopback addresses
of its own, stopped by process id at the end."""

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkddm.v1 import DdmClient

BINARY = os.environ["DDM_BINARY"]

# For a system whose API is called as often as a test likes.
UNTHROTTLED = {"DDM_API_CALLS_PER_MINUTE_USER": "0", "DDM_API_CALLS_PER_MINUTE_API": "0"}
START_SECONDS = 120
STOP_SECONDS = 60
JOB_SECONDS = 120


class System:
    """`ddm up` with its directory."""

    def __init__(self, *options, environment=None):
        self.root = Path(tempfile.mkdtemp(prefix="ddm-system-"))
        self.data_dir = self.root / "data"
        subnet = f"127.{random.randint(64, 250)}.{random.randint(0, 255)}.0/24"
        self.command = [BINARY, "up", "--data-dir", str(self.data_dir), "--node-subnet", subnet]
        if "--api-listen" not in options:
            self.command += ["--api-listen", "127.0.0.1:0"]
        self.command += list(options)
        self.environment = {**os.environ, **(environment or {})}
        self.process = None
        self.endpoints = None

    def start(self):
        """Starts it and waits until it says that it is ready."""
        endpoints = self.data_dir / "endpoints.json"
        before = endpoints.stat().st_mtime_ns if endpoints.exists() else None
        log = open(self.root / "up.log", "w")
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.process.poll() is None, f"ddm up ended ({self.process.returncode}):\n{self.log()}"
            if endpoints.exists() and endpoints.stat().st_mtime_ns != before:
                break
            assert time.monotonic() < deadline, f"ddm up is not ready:\n{self.log()}"
            time.sleep(0.1)
        assert endpoints.stat().st_mode & 0o777 == 0o600
        self.endpoints = json.loads(endpoints.read_text())
        return self

    def log(self):
        """What `ddm up` printed."""
        return (self.root / "up.log").read_text()

    def stop(self):
        """SIGTERM, as Ctrl-C; everything that it started must be gone with it."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(STOP_SECONDS) == 0, self.log()

    def kill_everything(self):
        """kill -9 of the control plane and of every process below the data directory."""
        self.process.kill()
        self.process.wait()
        for pid in self.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + 10
        while self.children() and time.monotonic() < deadline:
            time.sleep(0.05)

    def children(self, word=""):
        """Processes whose command line names the data directory (and `word`), without `ddm up`."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.process.pid:
                continue
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if str(self.data_dir) in line and word in line and state != "Z":
                found.append(int(entry.name))
        return found

    def sdk(self):
        """The official SDK's client, given only endpoint, AK/SK and project."""
        config = HttpConfig.get_default_config()
        if self.endpoints["api"].startswith("https"):
            config.ssl_ca_cert = self.endpoints["ca_file"]
        config.timeout = (5, 60)
        credentials = BasicCredentials(
            self.endpoints["access_key"], self.endpoints["secret_key"], self.endpoints["project_id"]
        )
        return (
            DdmClient.new_builder()
            .with_http_config(config)
            .with_credentials(credentials)
            .with_endpoint(self.endpoints["api"])
            .build()
        )

    def ctl(self, *arguments):
        """`ddm ctl` with JSON output."""
        done = subprocess.run(
            [BINARY, "ctl", "--output", "json", "--data-dir", str(self.data_dir), *arguments],
            capture_output=True,
            text=True,
            timeout=JOB_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def remove(self):
        """Stops it, whatever state it is in, and removes its directory."""
        try:
            self.stop()
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for pid in self.children() if self.process else []:
                os.kill(pid, signal.SIGKILL)
            if not os.environ.get("DDM_TEST_KEEP"):
                shutil.rmtree(self.root, ignore_errors=True)


def connect(host, port, user, password, database=None, **more):
    """A MySQL connection with autocommit on."""
    return pymysql.connect(
        host=host, port=port, user=user, password=password, database=database, autocommit=True,
        connect_timeout=10, read_timeout=60, **more,
    )


def rows(connection, sql, *arguments):
    """All rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, *arguments)
        return list(cursor.fetchall())


def eventually(what, check, seconds=30):
    """Waits until `check` gives something true; an exception counts as not yet."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            last = check()
            if last:
                return last
        except Exception as error:  # noqa: BLE001 - any failure is "not yet"
            last = error
        time.sleep(0.1)
    raise AssertionError(f"{what}: not after {seconds} s; last: {last!r}")
