"""A node that starts again hears the control plane before it serves what it knew before; when there is none, it serves that."""

import os
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pymysql
import pytest
from shop import Shop
from system import BINARY, eventually, rows

ALONE_SECONDS = 3


@pytest.fixture(scope="module")
def shop():
    with Shop() as shop:
        yield shop


def config_of(pid):
    """Where the configuration of a node's process is, and what it says."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    path = words[words.index("--config") + 1]
    return path, tomllib.loads(Path(path).read_text())


def snapshots(config):
    return sorted(path for path in Path(config["data_dir"]).iterdir() if path.is_file())


def test_an_old_definition_is_never_served(shop):
    host = shop.hosts[1]
    rows(shop.log_in(), "CREATE TABLE before_it (id INT NOT NULL PRIMARY KEY) DBPARTITION BY MOD_HASH(id)")
    pid = shop.node_of(host)
    _, config = config_of(pid)
    old = [(path, path.read_bytes()) for path in snapshots(config)]
    assert old
    rows(shop.log_in(), "CREATE TABLE after_it (id INT NOT NULL PRIMARY KEY) DBPARTITION BY MOD_HASH(id)")
    assert [path.read_bytes() for path, _ in old] != [kept for _, kept in old]
    os.kill(shop.system.process.pid, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        for path, kept in old:
            path.write_bytes(kept)
    finally:
        os.kill(shop.system.process.pid, signal.SIGCONT)
    served = 0
    deadline = time.monotonic() + 60
    while served < 20:
        assert time.monotonic() < deadline, "the node does not serve"
        try:
            session = shop.log_in(host)
        except pymysql.err.OperationalError:
            continue
        assert rows(session, "SELECT COUNT(*) FROM after_it") == [(0,)]
        served += 1


def test_alone_it_serves_what_it_knows(shop):
    host = shop.hosts[1]
    rows(shop.log_in(), "INSERT INTO before_it VALUES (1), (2), (3)")
    pid = shop.node_of(host)
    path, config = config_of(pid)
    lone = None
    os.kill(shop.system.process.pid, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        started = time.monotonic()
        lone = subprocess.Popen([BINARY, "node", "--config", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        session = eventually("the node serves", lambda: shop.log_in(host))
        assert time.monotonic() - started >= ALONE_SECONDS
        assert rows(session, "SELECT COUNT(*) FROM before_it") == [(3,)]
        with pytest.raises(pymysql.err.MySQLError) as refused:
            rows(session, "CREATE TABLE not_now (id INT PRIMARY KEY)")
        assert refused.value.args[0] in (3102, 3104)
    finally:
        if lone:
            lone.kill()
            lone.wait()
        os.kill(shop.system.process.pid, signal.SIGCONT)
    eventually("the node is back", lambda: rows(shop.log_in(host), "SELECT COUNT(*) FROM before_it") == [(3,)], 60)
