"""SQLAlchemy's own tests of dialects, on a plain server and on DDM: the same tests pass."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import quote

import pytest
from suites import MODES, SHARDED, compare, ddm_with, known, plain_with, schemas_of

FOLDER = Path(__file__).parent / "dialect"
LONG = os.environ.get("DDM_TEST_FORM") == "long"
RUN_SECONDS = 2400
# The suite works in the first and looks into the second.
SCHEMAS = ["test", "test_schema"]
# The short form takes these, which need few tables and no reflection.
SHORT = "CTETest or InsertBehaviorTest or SimpleUpdateDeleteTest or CompoundSelectTest or FetchLimitOffsetTest"
LEAST = 1000 if LONG else 30


def outcomes(place, report, **more):
    """Each test's name and whether it passed, failed or was left out."""
    uri = f"mysql+pymysql://{place.user}:{quote(place.password, safe='')}@{place.host}:{place.port}/{SCHEMAS[0]}"
    chosen = [] if LONG else ["-k", SHORT]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "sqlalchemy.testing.plugin.pytestplugin", "-c", "setup.cfg",
         "suite.py", "--dburi", uri, f"--junitxml={report}", "--maxfail=100000", *chosen],
        cwd=FOLDER, capture_output=True, text=True, timeout=RUN_SECONDS,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(FOLDER), **more})
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        text = " ".join(child.get("message") or "" for child in case)
        # The name of a class ends with the dialect and the server's version.
        name = f"{case.get('classname').split('.')[-1].rsplit('_mariadb', 1)[0]}.{case.get('name')}"
        found[name] = (outcome, text)
    return found


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    with plain_with(*SCHEMAS) as place:
        return outcomes(place, tmp_path_factory.mktemp("plain") / "report.xml")


@pytest.mark.skipif(not LONG, reason="the whole takes long")
@pytest.mark.parametrize("layout", [*MODES, SHARDED])
def test_the_same_tests_pass(wanted, tmp_path, layout):
    more = {"SUITE_SHARDED": "1"} if layout == SHARDED else {}
    with ddm_with(layout, *SCHEMAS) as place:
        seen = outcomes(place, tmp_path / "report.xml", **more)
    compare(wanted, seen, known(FOLDER / "known.txt", layout), LEAST)


@pytest.mark.skipif(LONG, reason="a part of the whole")
def test_the_same_chosen_tests_pass(wanted, tmp_path, demo):
    seen = outcomes(schemas_of(demo, SHARDED, SCHEMAS), tmp_path / "report.xml", SUITE_SHARDED="1")
    compare(wanted, seen, known(FOLDER / "known.txt", SHARDED), LEAST)
