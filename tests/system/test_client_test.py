"""MariaDB's own tests of the C protocol, the program mysql_client_test, on a plain server and on DDM: what passes there passes
here. The program is the distribution's, of the package mariadb-test; installed, that would ask for the service, so it is only
unpacked, beside the environment that runs the tests."""

import fcntl
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from suites import MODES, compare, ddm_with, known, plain_with, schemas_of

FOLDER = Path(__file__).parent / "driver_suites"
LONG = os.environ.get("DDM_TEST_FORM") == "long"
PACKAGE = "mariadb-test"
SUITE = "mysql_client_test"
# The schema that the program makes for itself; it logs in with it.
SCHEMA = "client_test_db"
FETCH_SECONDS = 300
TEST_SECONDS = 120
# They make accounts by the hundred, or write to a folder that they are not given.
LEFT_OUT = {"test_change_user", "test_bug31669", "test_frm_bug"}
# Of the others, the short form runs each of this many, and those that once were different.
SHORT_STEP = 6
SHORT = {"test_bug24179", "test_bug28075", "test_bug36004", "test_bug5194", "test_bug21206", "test_bug58036", "test_cache_metadata",
         "test_wl4284_1", "test_wl4435", "test_wl4435_2", "test_ps_sp_out_params", "test_mdev_24411",
         "test_list_information_schema_fields"}
LEAST = (250, 40)


def program():
    """The unpacked program."""
    kept = Path(sys.prefix) / "sources"
    kept.mkdir(exist_ok=True)
    found = kept / PACKAGE / "usr" / "bin" / SUITE
    with open(kept / f"{PACKAGE}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            run(["apt-get", "download", PACKAGE], kept)
            package = max(kept.glob(f"{PACKAGE}_*.deb"), key=lambda file: file.stat().st_mtime)
            run(["dpkg-deb", "-x", package.name, PACKAGE], kept)
            package.unlink()
    return found


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS)
    assert done.returncode == 0, done.stderr


def names():
    done = subprocess.run([program(), "--no-defaults", "--show-tests"], capture_output=True, text=True, timeout=TEST_SECONDS)
    found = sorted(set(re.findall(r"^\s*(test_\w+)\s*$", done.stdout, re.MULTILINE)) - LEFT_OUT)
    return found if LONG else [name for at, name in enumerate(found) if at % SHORT_STEP == 0 or name in SHORT]


def outcomes(place, folder):
    """Each test by itself: an assertion ends the program."""
    folder.mkdir()
    options = ["--no-defaults", f"--host={place.host}", f"--port={place.port}", f"--user={place.user}", f"--database={SCHEMA}",
               f"--vardir={folder}", "--do-not-drop-database", f"--password={place.password}", "--testcase"]
    found = {}
    for name in names():
        done = subprocess.run([program(), *options, name], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", timeout=TEST_SECONDS)
        found[f"{SUITE} {name}"] = ("passed" if done.returncode == 0 else "failed", done.stdout + done.stderr)
    return found


def both(plain, place, folder):
    """On both sides at a time."""
    with ThreadPoolExecutor(2) as sides:
        wanted = sides.submit(outcomes, plain, folder / "plain")
        seen = sides.submit(outcomes, place, folder / "ddm")
        return wanted.result(), seen.result()


@pytest.mark.skipif(LONG, reason="a part of the whole")
def test_the_same_chosen_tests_pass(tmp_path, demo):
    place = schemas_of(demo, "cluster", [SCHEMA])
    with plain_with(SCHEMA) as plain:
        wanted, seen = both(plain, place, tmp_path)
    compare(wanted, seen, known(FOLDER / "known.txt", "cluster"), LEAST[1])


@pytest.mark.skipif(not LONG, reason="the whole takes long")
@pytest.mark.parametrize("layout", MODES)
def test_the_same_tests_pass(layout, tmp_path):
    with plain_with(SCHEMA) as plain, ddm_with(layout, SCHEMA) as place:
        wanted, seen = both(plain, place, tmp_path)
    compare(wanted, seen, known(FOLDER / "known.txt", layout), LEAST[0])
