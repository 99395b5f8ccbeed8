"""SQLAlchemy's own tests of dialects, on a plain server and on DDM: the same tests pass."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from plain import Plain
from system import System

FOLDER = Path(__file__).parent / "dialect"
RUN_SECONDS = 1200
# The suite works in the first and looks into the second.
SCHEMAS = ["test", "test_schema"]
# A test that passes on the plain server and may fail here: the part of its name, and why.
KNOWN = {}

pytestmark = pytest.mark.skipif(
    os.environ.get("DDM_TEST_FORM") != "long", reason="takes several minutes: the long form")


def outcomes(uri, report):
    """Each test's name and whether it passed, failed or was left out."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "sqlalchemy.testing.plugin.pytestplugin", "-c", "setup.cfg",
         "suite.py", "--dburi", uri, f"--junitxml={report}", "--maxfail=100000"],
        cwd=FOLDER, capture_output=True, text=True, timeout=RUN_SECONDS,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(FOLDER)})
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        # The server's name stands in the test's.
        name = name.replace(uri, "")
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        text = " ".join(child.get("message") or "" for child in case)
        found[name] = (outcome, text)
    return found


def test_the_same_tests_pass(tmp_path):
    one = Plain()
    try:
        with one.log_in() as admin, admin.cursor() as cursor:
            for name in SCHEMAS:
                cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        wanted = outcomes(f"mysql+pymysql://tester@127.0.0.1:{one.port}/test", tmp_path / "plain.xml")
    finally:
        one.stop()
    system = System("--demo")
    system.start()
    try:
        demo = system.endpoints["demo"]
        for name in SCHEMAS:
            system.ctl("schemas", "create", demo["instance_id"], name, "--mode", "cluster", "--shards", "2")
        user, password = demo["admin_user"], demo["admin_password"]
        seen = outcomes(f"mysql+pymysql://{user}:{password}@{demo['host']}:{demo['port']}/test", tmp_path / "ddm.xml")
    finally:
        system.remove()
    passed = [name for name, (outcome, _) in wanted.items() if outcome == "passed"]
    assert len(passed) > 300, "the suite has run"
    worse = {name: seen.get(name, ("missing", "")) for name in passed if seen.get(name, ("missing",))[0] != "passed"}
    bad = {name: how for name, how in worse.items() if not any(part in name for part in KNOWN)}
    print(f"{len(passed)} tests pass on the plain server, {len(passed) - len(worse)} of them here")
    assert not bad, "\n".join(f"{name}: {how[0]}: {how[1][:300]}" for name, how in sorted(bad.items()))
