"""The tests that drivers of Python bring in their source packages, on a plain server and on DDM: the same tests pass. PyMySQL's
later packages are without them, so those of the last one that has them run, with its own driver; asyncmy's and peewee's have
none (test_clients.py has scenarios of our own)."""

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from suites import MODES, compare, ddm_with, known, plain_with, schemas_of, source

FOLDER = Path(__file__).parent / "driver_suites"
LONG = os.environ.get("DDM_TEST_FORM") == "long"
RUN_SECONDS = 900
# Each suite's schemas, and the tests of the short form.
SCHEMAS = {"PyMySQL": ["test1", "test2"], "mysqlclient": ["test"], "aiomysql": ["aio_test", "aio_test2"]}
SHORT = {"PyMySQL": "TestNextset or TestNewIssues or TestCursor or TestGitHubIssues",
         "mysqlclient": "test_cursor or test_connection or test_errors or DBAPITest",
         "aiomysql": "test_cursor or test_nextset or test_bulk"}
LEAST = {"PyMySQL": (130, 20), "mysqlclient": (140, 20), "aiomysql": (110, 20)}
# It wants the server to need longer for 20,000 rows than the client for its next look.
TIMED = {"mysqlclient": ["tests/test_connection.py::test_result_concurrent_use_raises"]}
# Made for another version of SQLAlchemy, they fail or hang everywhere.
LEFT_OUT = ["tests/sa", "tests/test_async_iter.py", "tests/test_async_with.py"]

# The suite's own fixture makes its schemas and accounts on a server whose certificate it knows; here they are made already.
AIOMYSQL_SERVER = """

@pytest.fixture(scope='session')
def mysql_server(mysql_address):
    place = {'host': mysql_address[0], 'port': mysql_address[1], 'user': os.environ['SUITE_USER'],
             'password': os.environ['SUITE_PASSWORD']}
    with pymysql.connect(**place).cursor() as cursor:
        cursor.execute('SELECT VERSION()')
        version = cursor.fetchone()[0]
    numbers = tuple(int(part) for part in re.match(r'(\\d+)\\.(\\d+)\\.(\\d+)', version).groups())
    return {'conn_params': place, 'server_version': version, 'server_version_tuple': numbers,
            'server_version_tuple_short': numbers[:2], 'db_type': 'mariadb'}
"""


def pymysql(tree, place):
    """PyMySQL's tests lie in the package and read the places of their schemas there."""
    shared = {"host": place.host, "port": place.port, "user": place.user, "passwd": place.password, "use_unicode": True,
              "local_infile": True}
    places = [{**shared, "db": schema} for schema in SCHEMAS["PyMySQL"]]
    (tree / "pymysql" / "tests" / "databases.json").write_text(json.dumps(places))
    return ["pymysql/tests"], {"PYTHONPATH": str(tree)}


def mysqlclient(tree, place):
    """mysqlclient's tests read an option file."""
    # Beside PyMySQL in one environment it would be found by Django, which takes PyMySQL for it.
    built = tree / "built"
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                           "--target", str(built), str(tree)], capture_output=True, text=True, timeout=RUN_SECONDS)
    assert done.returncode == 0, done.stderr
    options = tree / "tests" / "suite.cnf"
    options.write_text(f"[MySQLdb-tests]\nhost = {place.host}\nport = {place.port}\nuser = {place.user}\n"
                       f"password = \"{place.password}\"\ndatabase = test\ndefault-character-set = utf8mb4\n")
    return ["tests"], {"TESTDB": options.name, "PYTHONPATH": f"{built}:{tree / 'tests'}"}


def aiomysql(tree, place):
    """aiomysql's tests are told of the server by an option."""
    tests = tree / "tests"
    conftest = tests / "conftest.py"
    conftest.write_text(conftest.read_text().replace("import uvloop", "uvloop = None") + AIOMYSQL_SERVER)
    # Names of schemas with `mysql` in them are refused by the API.
    connection = tests / "test_connection.py"
    connection.write_text(connection.read_text().replace("test_pymysql", "aio_test"))
    left_out = [f"--ignore={part}" for part in LEFT_OUT]
    return (["tests", *left_out, "--mysql-address", f"suite={place.host}:{place.port}"],
            {"SUITE_USER": place.user, "SUITE_PASSWORD": place.password, "MYSQL_DB": "aio_test", "PYTHONPATH": str(tree)})


PREPARE = {"PyMySQL": pymysql, "mysqlclient": mysqlclient, "aiomysql": aiomysql}


def outcomes(suite, place, folder):
    """Each test's name and whether it passed, failed or was left out, of a copy of the suite in a new folder."""
    tree = folder / suite
    shutil.copytree(source(FOLDER / f"{suite}.txt"), tree)
    arguments, environment = PREPARE[suite](tree, place)
    report = folder / "report.xml"
    chosen = [] if LONG else ["-k", SHORT[suite]]
    chosen += [f"--deselect={name}" for name in TIMED.get(suite, [])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb", "short", f"--junitxml={report}", *arguments,
         *chosen],
        cwd=tree, capture_output=True, text=True, timeout=RUN_SECONDS,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment})
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        text = " ".join((child.get("message") or "") + (child.text or "") for child in case)
        found[f"{suite} {case.get('classname')}.{case.get('name')}"] = (outcome, text)
    return found


@pytest.mark.skipif(LONG, reason="a part of the whole")
@pytest.mark.parametrize("suite", SCHEMAS)
def test_the_same_chosen_tests_pass(suite, tmp_path, demo):
    (tmp_path / "plain").mkdir()
    (tmp_path / "ddm").mkdir()
    with plain_with(*SCHEMAS[suite]) as place:
        wanted = outcomes(suite, place, tmp_path / "plain")
    place = schemas_of(demo, "cluster", SCHEMAS[suite])
    try:
        seen = outcomes(suite, place, tmp_path / "ddm")
    finally:
        # Other suites want schemas of the same names.
        for schema in SCHEMAS[suite]:
            demo.ctl("schemas", "delete", demo.endpoints["demo"]["instance_id"], schema, "--delete-data")
    compare(wanted, seen, known(FOLDER / "known.txt", "cluster"), LEAST[suite][1])


@pytest.mark.skipif(not LONG, reason="the whole takes long")
@pytest.mark.parametrize("suite", SCHEMAS)
def test_the_same_tests_pass(suite, tmp_path):
    (tmp_path / "plain").mkdir()
    with plain_with(*SCHEMAS[suite]) as place:
        wanted = outcomes(suite, place, tmp_path / "plain")
    for layout in MODES:
        (tmp_path / layout).mkdir()
        with ddm_with(layout, *SCHEMAS[suite]) as place:
            seen = outcomes(suite, place, tmp_path / layout)
        compare(wanted, seen, known(FOLDER / "known.txt", layout), LEAST[suite][0])
