"""EXPLAIN names the kind of plan; EXPLAIN ANALYZE runs the query and measures its parts."""

import json
import re

import pymysql
import pytest
from system import connect, rows

ROWS = 400


@pytest.fixture(scope="module")
def client(demo):
    ends = demo.endpoints["demo"]
    with connect(ends["host"], ends["port"], ends["user"], ends["password"], ends["schema"]) as session:
        rows(session, "CREATE TABLE xa (id INT NOT NULL, v INT, PRIMARY KEY (id)) DBPARTITION BY MOD_HASH(id)")
        rows(session, "CREATE TABLE xb (id INT NOT NULL, v INT, PRIMARY KEY (id)) DBPARTITION BY MOD_HASH(id)")
        rows(session, "CREATE TABLE xc (id INT NOT NULL PRIMARY KEY) BROADCAST")
        for table in ("xa", "xb"):
            rows(session, f"INSERT INTO {table} VALUES " + ",".join(f"({i}, {i % 40})" for i in range(ROWS)))
        rows(session, "INSERT INTO xc VALUES (1), (2)")
        yield session
        for table in ("xa", "xb", "xc"):
            rows(session, f"DROP TABLE {table}")


def lines(client, sql):
    return [line for (line,) in rows(client, sql)]


def measured(lines, what):
    """The rows that a part had, for each of its lines."""
    found = [re.fullmatch(rf"\s*{what} \(rows=(\d+), time=(\d+\.\d+) ms.*\)", line) for line in lines]
    return [int(match[1]) for match in found if match]


def test_a_merge_and_its_shards(client):
    shards = len(rows(client, "SHOW DATA NODE"))
    answer = lines(client, "EXPLAIN ANALYZE SELECT id FROM xa ORDER BY id")
    assert answer[0].startswith("MergeSort")
    assert measured(answer, "Total") == [ROWS] and measured(answer, "Merge") == [ROWS]
    by_shard = measured(answer, r"shard \d+")
    assert len(by_shard) == shards and sum(by_shard) == ROWS
    # MariaDB's word for it.
    assert measured(lines(client, "ANALYZE SELECT id FROM xa"), "Total") == [ROWS]


def test_loads(client):
    sql = "SELECT xa.id FROM xa JOIN xb ON xa.v = xb.id JOIN xc ON xc.id = xb.v WHERE xb.id < 10 AND xc.id > 0"
    plan = lines(client, f"EXPLAIN {sql}")
    assert plan[0].startswith('Scratch(reason="sharded tables are joined otherwise than on their sharding keys"')
    answer = lines(client, f"EXPLAIN ANALYZE {sql}")
    assert measured(answer, "Total") == [20] and measured(answer, "Scratch") == [20]
    # Only rows with partners are loaded: two of xb, and those of xa that point to them.
    assert sorted(sum((measured(answer, rf"Load\(temp_{n}\)") for n in (0, 1)), [])) == [2, 20]


def test_one_shard_and_what_is_no_query(client):
    answer = lines(client, "EXPLAIN ANALYZE SELECT * FROM xa WHERE id = 3")
    assert measured(answer, "Total") == [1]
    assert measured(answer, r"Forward\(shard \d\)") == [1]
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(client, "EXPLAIN ANALYZE DROP TABLE xa")
    assert caught.value.args[0] == 1235
    assert rows(client, "SELECT COUNT(*) FROM xa") == [(ROWS,)]
    # The session goes on, unmeasured.
    assert rows(client, "SELECT MAX(id) FROM xa") == [(ROWS - 1,)]


def test_writes_are_run_and_measured(client):
    rows(client, "CREATE TABLE xw (id INT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)")
    values = ", ".join(f"({n}, {n % 7})" for n in range(40))
    answer = lines(client, f"EXPLAIN ANALYZE INSERT INTO xw VALUES {values}")
    assert measured(answer, "Total") == [40]
    assert sum(measured(answer, r"shard \d")) == 40
    answer = lines(client, "EXPLAIN ANALYZE UPDATE xw SET v = v + 1 WHERE v = 3")
    changed = len([n for n in range(40) if n % 7 == 3])
    assert measured(answer, "Total") == [changed] and sum(measured(answer, r"shard \d")) == changed
    answer = lines(client, "EXPLAIN ANALYZE DELETE FROM xw WHERE id = 3")
    assert measured(answer, "Total") == [1] and measured(answer, r"Forward\(shard \d\)") == [1]
    assert rows(client, "SELECT COUNT(*), SUM(v = 4) FROM xw") == [(39, 2 * changed - 1)]
    rows(client, "DROP TABLE xw")


def test_one_document(client):
    sql = "SELECT a.v FROM xa a JOIN xb b ON a.v = b.id WHERE b.id < 10 ORDER BY 1"
    ((text,),) = rows(client, f"EXPLAIN FORMAT=JSON {sql}")
    (scratch,) = json.loads(text)["logical_plan"]
    told = [scratch["operator"], *(f"  {load['operator']}" for load in scratch["inputs"])]
    assert told == lines(client, f"EXPLAIN FORMAT=TRADITIONAL {sql}") and len(scratch["inputs"]) == 2
    ((text,),) = rows(client, f"ANALYZE FORMAT=JSON {sql}")
    assert any("Total (rows=" in part["operator"] for part in json.loads(text)["logical_plan"])
    with pytest.raises(pymysql.err.OperationalError) as refused:
        rows(client, f"EXPLAIN FORMAT=yaml {sql}")
    assert refused.value.args[0] == 1791
