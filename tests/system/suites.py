"""Suites of other projects that run twice, on a plain server and on DDM: every test that passes there must pass here. What
does not is in the suite's own file `known.txt`, each with its reason; what is in that file and passes is an error too."""

import fcntl
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from pathlib import Path

from plain import USER, Plain
from system import System

DOWNLOAD_SECONDS = 300
# A schema of each mode; in one of mode cluster, a table without a clause lies whole in the first shard.
MODES = {"cluster": ["--mode", "cluster", "--shards", "2"], "single": ["--mode", "single"]}
# A schema of mode cluster in which the suite shards the tables that can be.
SHARDED = "sharded"


class Place:
    """A server with its account, as a suite is told of it."""

    def __init__(self, host, port, user, password):
        self.host, self.port, self.user, self.password = host, port, user, password


@contextmanager
def plain_with(*schemas):
    """A plain server with these schemas, and the defaults that those of DDM have."""
    server = Plain()
    try:
        with server.log_in() as admin, admin.cursor() as cursor:
            for schema in schemas:
                cursor.execute(f"CREATE DATABASE {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        yield Place(server.host, server.port, USER, "")
    finally:
        server.stop()


def schemas_of(system, mode, schemas):
    """Makes schemas by the API of a running system with a demo."""
    demo = system.endpoints["demo"]
    for schema in schemas:
        system.ctl("schemas", "create", demo["instance_id"], schema, *MODES.get(mode, MODES["cluster"]))
    return Place(demo["host"], demo["port"], demo["admin_user"], demo["admin_password"])


@contextmanager
def ddm_with(mode, *schemas):
    """A system of DDM with these schemas."""
    system = System("--demo")
    system.start()
    try:
        yield schemas_of(system, mode, schemas)
    finally:
        system.remove()


def source(pinned):
    """The unpacked source package that a file of requirements names with its version and hash, from the registry; kept beside
    the environment that runs the tests."""
    name, version = pinned.read_text().split()[0].split("==")
    kept = Path(sys.prefix) / "sources"
    folder = kept / f"{name.lower()}-{version}"
    kept.mkdir(exist_ok=True)
    with open(kept / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            done = subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                 "--no-binary", name, "--dest", str(kept), "--require-hashes", "-r", str(pinned)],
                capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
            assert done.returncode == 0, done.stderr
            # The name's case in that of the file, and of the folder in it, is the project's choice.
            packages = [file for file in kept.glob("*.tar.gz") if file.name.lower() == f"{folder.name}.tar.gz"]
            with tarfile.open(packages[0]) as packed:
                top = packed.getnames()[0].split("/")[0]
                packed.extractall(kept, filter="data")
            if top != folder.name:
                (kept / top).rename(folder)
            (folder / "complete").touch()
    return folder


def known(file, layout):
    """The tests that differ in this layout: the start of each name, with its reason. A line of the file is
    `layout | name, or its start and * | reason`, where the layout `every` stands for all."""
    found = {}
    for line in file.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            where, name, reason = (part.strip() for part in line.split("|", 2))
            assert where in (*MODES, SHARDED, "every") and reason, line
            if where in (layout, "every"):
                found[name] = reason
    return found


def matches(listed, name):
    return name.startswith(listed[:-1]) if listed.endswith("*") else name == listed


def compare(wanted, seen, listed, least):
    """Fails unless what passes on the plain server passes here or is listed. Both are {test: (outcome, text)}."""
    passed = [name for name, (outcome, _) in wanted.items() if outcome == "passed"]
    assert len(passed) >= least, f"the suite has run: {len(passed)} of {len(wanted)} tests pass on the plain server"
    worse = {name: seen.get(name, ("missing", "")) for name in passed if seen.get(name, ("missing",))[0] != "passed"}
    bad = {name: how for name, how in worse.items() if not any(matches(part, name) for part in listed)}
    # In the short form, what is listed may not have run at all.
    rotten = [part for part in listed
              if any(matches(part, name) for name in wanted) and not any(matches(part, name) for name in worse)]
    print(f"{len(passed)} tests pass on the plain server, {len(passed) - len(worse)} of them here")
    assert not bad, "\n".join(f"{name}: {how[0]}: {how[1][-600:]}" for name, how in sorted(bad.items()))
    assert not rotten, f"listed, but no longer different: {rotten}"
