"""Django's own tests of everything that is about the database, on a plain server and on DDM: the same tests pass."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from suites import SHARDED, compare, ddm_with, known, plain_with, schemas_of, source

FOLDER = Path(__file__).parent / "django_suite"
LONG = os.environ.get("DDM_TEST_FORM") == "long"
RUN_SECONDS = 3600
SCHEMAS = ["django_default", "django_other"]
GROUPS = [tuple(part.split() for part in line.split("|"))
          for line in (FOLDER / "groups.txt").read_text().splitlines() if not line.startswith("#")]
# Tests of the smallest group that must pass on the plain server, so that none of them can be empty.
LEAST = 50


def outcomes(place, group, report, **more):
    """Each test's name and whether it passed, failed or was left out; one that fails in any part has failed."""
    tests = source(FOLDER / "source.txt") / "tests"
    done = subprocess.run(
        [sys.executable, "runtests.py", "--settings", "suite_settings", "--parallel", "1", "--keepdb", "--noinput", "-v", "0",
         *group], cwd=tests, capture_output=True, text=True, timeout=RUN_SECONDS,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(FOLDER), "SUITE_REPORT": str(report),
             "SUITE_HOST": place.host, "SUITE_PORT": str(place.port), "SUITE_USER": place.user,
             "SUITE_PASSWORD": place.password, **more})
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    found = {}
    for line in report.read_text().splitlines():
        name, outcome, text = json.loads(line)
        if found.get(name, ("",))[0] != "failed":
            found[name] = (outcome, text)
    return found


@pytest.mark.skipif(LONG, reason="a part of the whole")
def test_the_same_chosen_tests_pass(tmp_path, demo):
    group = GROUPS[0][1]
    with plain_with(*SCHEMAS) as place:
        wanted = outcomes(place, group, tmp_path / "plain.jsonl")
    seen = outcomes(schemas_of(demo, SHARDED, SCHEMAS), group, tmp_path / "ddm.jsonl", SUITE_SHARDED="1")
    compare(wanted, seen, known(FOLDER / "known.txt", SHARDED), LEAST)


@pytest.mark.skipif(not LONG, reason="the whole takes long")
@pytest.mark.parametrize("layouts, group", GROUPS, ids=lambda part: part[0])
def test_the_same_tests_pass(tmp_path, layouts, group):
    with plain_with(*SCHEMAS) as place:
        wanted = outcomes(place, group, tmp_path / "plain.jsonl")
    worse = []
    for layout in layouts:
        more = {"SUITE_SHARDED": "1"} if layout == SHARDED else {}
        with ddm_with(layout, *SCHEMAS) as place:
            seen = outcomes(place, group, tmp_path / f"{layout}.jsonl", **more)
        try:
            compare(wanted, seen, known(FOLDER / "known.txt", layout), LEAST)
        except AssertionError as error:
            worse.append(f"{layout}: {error}")
    assert not worse, "\n\n".join(worse)
