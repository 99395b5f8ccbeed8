"""Drivers and tools that bring no tests of their own in their packages: scenarios of ours, run with a plain server and with DDM
(tables whole and sharded), that print everything they see. What they print is the same."""

import difflib
import fcntl
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from suites import plain_with, schemas_of
from system import connect, rows

FOLDER = Path(__file__).parent / "clients"
SCHEMA = "clients"
RUN_SECONDS = 300
SHARDED = " DBPARTITION BY HASH(id)"
# The text of a syntax error is the parser's own.
SYNTAX = re.compile(r"(error in your SQL syntax;?).*")


def left_out(place):
    """What the greeting of a server does not offer, of what these drivers use when it is offered."""
    with socket.create_connection((place.host, place.port), 10) as link:
        greeting = link.recv(4096)[4:]
    at = greeting.index(0, 1) + 14
    low, _, _, high, _, more = struct.unpack_from("<HBHHB6xI", greeting, at)
    offered = low | high << 16 | (0 if low & 1 else more << 32)
    needs = {"info": 1 << 23, "bulk": 1 << 34, "json": 1 << 35}
    return ",".join(name for name, bit in needs.items() if not offered & bit)


class Client:
    """A program and its arguments; it is told of the server by CLIENT_PLACE, or by arguments."""

    def __init__(self, name, command, **environment):
        self.name, self.command, self.environment = name, command, environment

    def run(self, place, clause):
        told = json.dumps({"host": place.host, "port": place.port, "user": place.user, "password": place.password,
                           "database": SCHEMA})
        done = subprocess.run(
            self.command(place, clause), capture_output=True, text=True, timeout=RUN_SECONDS, cwd=FOLDER,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "CLIENT_PLACE": told,
                 "CLIENT_SHARDED": clause, **self.environment})
        lines = [SYNTAX.sub(r"\1", line) for line in done.stdout.splitlines()]
        assert done.returncode == 0, "\n".join(lines[-5:]) + done.stderr[-3000:]
        return lines


def node_modules():
    """Drivers of Node.js, as the lock file pins them; kept beside the environment that runs the tests."""
    kept = Path(sys.prefix) / "node"
    kept.mkdir(exist_ok=True)
    wanted = (FOLDER / "package-lock.json").read_text()
    stamp = kept / "installed.json"
    with open(kept / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            for file in ("package.json", "package-lock.json"):
                shutil.copy(FOLDER / file, kept / file)
            done = subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=kept,
                                  capture_output=True, text=True, timeout=RUN_SECONDS)
            assert done.returncode == 0, done.stdout + done.stderr
            stamp.write_text(wanted)
    return str(kept / "node_modules")


def built(folder):
    """The program that uses the C client library."""
    program = folder / "library"
    flags = subprocess.run(["mariadb_config", "--cflags", "--libs"], check=True, capture_output=True, text=True).stdout.split()
    done = subprocess.run(["cc", "-Wall", "-O1", "-o", str(program), str(FOLDER / "library.c"), *flags],
                          capture_output=True, text=True, timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="module")
def plain():
    with plain_with(SCHEMA) as place:
        yield place


@pytest.fixture(scope="module")
def here(demo):
    return schemas_of(demo, "cluster", [SCHEMA])


def same(client, plain, here, clauses=("", SHARDED)):
    """What the client prints with a plain server is what it prints here."""
    client.environment["CLIENT_LEFT_OUT"] = left_out(here)
    wanted = client.run(plain, "")
    assert len(wanted) > 10, wanted
    for clause in clauses:
        seen = client.run(here, clause)
        differences = list(difflib.unified_diff(wanted, seen, "plain", "here", lineterm="", n=0))
        assert not differences, f"{client.name}{clause}:\n" + "\n".join(line[:1500] for line in differences)


def test_connector_python(plain, here):
    same(Client("mysql-connector-python", lambda *_: [sys.executable, "connector_python.py"]), plain, here)


def test_mysql2(plain, here):
    same(Client("mysql2", lambda *_: ["node", "mysql2.js"], NODE_PATH=node_modules()), plain, here)


def test_mariadb_for_node(plain, here):
    same(Client("mariadb", lambda *_: ["node", "mariadb.js"], NODE_PATH=node_modules()), plain, here)


def test_the_c_library(plain, here, tmp_path):
    program, data = built(tmp_path), tmp_path / "rows.csv"
    data.write_text("400,a\n401,b\n1,again\n")
    same(Client("library", lambda place, clause: [
        str(program), place.host, str(place.port), place.user, place.password, SCHEMA, str(data), clause]), plain, here)


def mariadb(place, *options):
    password = [f"-p{place.password}"] if place.password else []
    return ["mariadb", "--no-defaults", f"-h{place.host}", f"-P{place.port}", f"-u{place.user}", *password, "--local-infile", "--default-character-set=utf8mb4",
            *options, SCHEMA]


# Errors are printed behind everything else, since both are written at once; times and the clause are taken out.
SHELL = ("""errors=$(mktemp); sed "s/-- sharded/$CLIENT_SHARDED/" shell.sql | "$@" -f 2>$errors """
         """| sed -E "s/\\([0-9.]+ sec\\)//; s/ DBPARTITION BY HASH\\(id\\)//"; cat $errors; rm $errors""")


@pytest.mark.parametrize("options", [["-vvv", "-t", "--show-warnings"], ["-B", "-N"], ["-X"], ["-H"], ["-E"],
                                     ["--column-type-info", "-t"], ["-B", "--quick", "--compress"]], ids=" ".join)
def test_the_command_line(plain, here, options):
    same(Client("mariadb", lambda place, clause: [
        "sh", "-c", SHELL, "sh",
        *mariadb(place, *options)]), plain, here)


# The load, and whether it ends with the rows that it began with.
LOADS = [("oltp_read_write", False), ("oltp_point_select", True), ("oltp_read_only", True), ("oltp_update_index", False),
         ("oltp_update_non_index", False), ("oltp_write_only", False), ("oltp_insert", False), ("oltp_delete", False),
         ("select_random_points", True), ("select_random_ranges", True)]
LONG = os.environ.get("DDM_TEST_FORM") == "long"
ROWS = 300


@pytest.mark.parametrize("prepared", ["auto", "disable"])
def test_sysbench(here, prepared):
    """No statement of its loads fails, and the rows are as many and as right as they must be."""
    with connect(here.host, here.port, here.user, here.password, SCHEMA) as client:
        for number in (1, 2):
            rows(client, f"DROP TABLE IF EXISTS sbtest{number}")
    common = [f"--mysql-host={here.host}", f"--mysql-port={here.port}", f"--mysql-user={here.user}",
              f"--mysql-password={here.password}", f"--mysql-db={SCHEMA}", f"--table-size={ROWS}", "--tables=2", "--threads=4",
              f"--db-ps-mode={prepared}", "--mysql-ignore-errors=1213,1020,1205", "--rand-seed=7"]

    def sysbench(load, verb, *more):
        done = subprocess.run(["sysbench", load, *common, *more, verb], capture_output=True, text=True, timeout=RUN_SECONDS)
        assert done.returncode == 0 and "FATAL" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done.stdout

    sysbench("oltp_read_write", "prepare", "--mysql_storage_engine=innodb")
    with connect(here.host, here.port, here.user, here.password, SCHEMA) as client:
        def state():
            return [rows(client, f"SELECT COUNT(*), SUM(id), SUM(k), MIN(LENGTH(c)) FROM sbtest{number}")[0] for number in (1, 2)]

        before = state()
        assert [row[0] for row in before] == [ROWS, ROWS] and [row[1] for row in before] == [ROWS * (ROWS + 1) // 2] * 2
        for load, reads_only in LOADS if LONG else LOADS[:3]:
            said = sysbench(load, "run", "--events=200", "--time=0")
            assert re.search(r"total number of events:\s+[1-9]", said), said
            after = state()
            if reads_only:
                assert after == before, load
            if load in ("oltp_read_write", "oltp_update_index", "oltp_update_non_index", "oltp_write_only"):
                assert [row[:2] for row in after] == [row[:2] for row in before], load
            before = after
    sysbench("oltp_read_write", "cleanup")
