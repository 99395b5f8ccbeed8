"""Hints: statements that name the shards where they run, as text and prepared."""

import pymysql
import pytest
from prepared import Prepared
from system import connect, eventually, rows

ROWS = 64


@pytest.fixture(scope="module")
def client(demo):
    ends = demo.endpoints["demo"]
    with connect(ends["host"], ends["port"], ends["user"], ends["password"], ends["schema"]) as session:
        rows(session, "CREATE TABLE h (id INT NOT NULL, v INT, PRIMARY KEY (id)) DBPARTITION BY MOD_HASH(id)")
        rows(session, "CREATE TABLE ht (id INT NOT NULL, v INT, PRIMARY KEY (id)) DBPARTITION BY MOD_HASH(id) "
                      "TBPARTITION BY MOD_HASH(v) TBPARTITIONS 4")
        rows(session, "CREATE TABLE hb (id INT NOT NULL PRIMARY KEY) BROADCAST")
        rows(session, "CREATE TABLE hs (id INT NOT NULL PRIMARY KEY)")
        for table in ("h", "ht"):
            rows(session, f"INSERT INTO {table} VALUES " + ",".join(f"({i}, {i})" for i in range(ROWS)))
        rows(session, "INSERT INTO hb VALUES (1), (2)")
        yield session
        for table in ("h", "ht", "hb", "hs"):
            rows(session, f"DROP TABLE {table}")


@pytest.fixture(scope="module")
def shards(client):
    """The names of the schema's shards."""
    return [row[1] for row in rows(client, "SHOW DATA NODE")]


def ids(client, sql):
    return sorted(id for (id,) in rows(client, sql))


def of_shard(shards, *numbers):
    return [id for id in range(ROWS) if id % len(shards) in numbers]


def fails(client, sql, number=3120):
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(client, sql)
    assert caught.value.args[0] == number, caught.value
    return caught.value.args[1]


def test_one_shard_and_several(client, shards):
    for number, name in enumerate(shards):
        assert ids(client, f"/*+db={name}*/ SELECT id FROM h") == of_shard(shards, number)
        assert ids(client, f"/*+ db = {name} */ SELECT id FROM ht") == of_shard(shards, number)
    pair = f"/*+db={{{shards[0]}, {shards[-1]}}}*/"
    assert ids(client, f"{pair} SELECT id FROM h") == of_shard(shards, 0, len(shards) - 1)
    assert rows(client, f"{pair} SELECT COUNT(*), MAX(id) FROM ht") == [
        (len(of_shard(shards, 0, len(shards) - 1)), max(of_shard(shards, 0, len(shards) - 1)))]
    for explain in (f"/*+db={shards[1]}*/ EXPLAIN SELECT id FROM h", f"EXPLAIN /*+db={shards[1]}*/ SELECT id FROM h"):
        lines = [line for (line,) in rows(client, explain)]
        assert len(lines) == 1 and f'tables="{shards[1]}.h"' in lines[0], lines
    # The hint decides, not the key.
    assert ids(client, f"/*+db={shards[1]}*/ SELECT id FROM h WHERE id = {len(shards)}") == []
    assert rows(client, f"/*!mycat:db={shards[1]}*/ SELECT COUNT(*) FROM h")[0][0] == len(of_shard(shards, 1))
    joined = f"/*+db={shards[1]}*/ SELECT h.id FROM h JOIN ht ON ht.v = h.v + {len(shards)}"
    assert ids(client, joined) == [i for i in of_shard(shards, 1) if i + len(shards) < ROWS]


def test_the_shard_of_another_query(client, shards):
    for id in range(len(shards)):
        hint = f"/*+sql= select * from h where id={id}*/"
        assert ids(client, f"{hint} SELECT id FROM h") == of_shard(shards, id)
    assert "one shard" in fails(client, "/*+sql=SELECT * FROM h*/ SELECT id FROM h")
    assert "takes a SELECT" in fails(client, "/*+sql=DELETE FROM h*/ SELECT id FROM h")


def test_prepared(client, shards):
    one = Prepared(client, f"/*+db={shards[2]}*/ SELECT id FROM h WHERE v > ? ORDER BY id")
    assert one.execute(10) == [(i,) for i in of_shard(shards, 2) if i > 10]
    assert one.execute(50) == [(i,) for i in of_shard(shards, 2) if i > 50]
    routed = Prepared(client, "/*+sql=select * from h where id = 3*/ SELECT COUNT(*) FROM h WHERE v <> ?")
    assert routed.execute(-1) == [(len(of_shard(shards, 3)),)]
    with pytest.raises(pymysql.MySQLError) as caught:
        Prepared(client, "/*+nosuch=1*/ SELECT id FROM h WHERE id = ?")
    assert caught.value.args[0] == 3120


def test_writes(client, shards):
    with client.cursor() as cursor:
        assert cursor.execute(f"/*+db={shards[0]}*/ UPDATE h SET v = v + 1000") == len(of_shard(shards, 0))
    assert ids(client, "SELECT id FROM h WHERE v >= 1000") == of_shard(shards, 0)
    with client.cursor() as cursor:
        cursor.execute(f"/*+db={shards[0]}*/ UPDATE h SET v = v - 1000")
        assert cursor.execute(f"/*+db={{{shards[0]},{shards[1]}}}*/ DELETE FROM ht WHERE id >= 32") == len(
            [i for i in of_shard(shards, 0, 1) if i >= 32])
        cursor.execute("INSERT IGNORE INTO ht VALUES " + ",".join(f"({i}, {i})" for i in range(ROWS)))
    for verb in ("INSERT", "REPLACE"):
        assert "sharding key" in fails(client, f"/*+db={shards[0]}*/ {verb} INTO h VALUES (1, 1)")
    assert "sharding key" in fails(client, f"/*+db={shards[0]}*/ INSERT INTO h SELECT id, v FROM ht")


def test_truncate(client, shards):
    fill = ",".join(f"({i}, {i})" for i in range(ROWS))
    width = len(shards)
    rows(client, f"/*+db={shards[1]}*/ TRUNCATE TABLE ht")
    assert ids(client, "SELECT id FROM ht") == [i for i in range(ROWS) if i % width != 1]
    rows(client, f"INSERT IGNORE INTO ht VALUES {fill}")
    kept = {name: rows(client, f"/*+db={name}*/ SELECT COUNT(*) FROM ht")[0][0] for name in shards}
    third = [row for row in rows(client, "SHOW TOPOLOGY FROM ht") if row[4] == "ht_3"]
    assert len(third) == width
    rows(client, f"/*+db={shards[0]},table=ht_3*/ TRUNCATE TABLE ht")
    assert rows(client, f"/*+db={shards[0]}*/ SELECT COUNT(*) FROM ht")[0][0] <= kept[shards[0]]
    after = {name: rows(client, f"/*+db={name}*/ SELECT COUNT(*) FROM ht")[0][0] for name in shards}
    assert {name: after[name] for name in shards[1:]} == {name: kept[name] for name in shards[1:]}
    rows(client, f"INSERT IGNORE INTO ht VALUES {fill}")
    rows(client, "/*+table=ht_3*/ TRUNCATE TABLE ht")
    for number in range(4):
        counted = sum(int(row[5]) for row in rows(client, "SHOW TOPOLOGY FROM ht") if row[4] == f"ht_{number}")
        assert number != 3 or counted == 0
    rows(client, f"INSERT IGNORE INTO ht VALUES {fill}")
    assert "no physical table 'ht_9'" in fails(client, "/*+table=ht_9*/ TRUNCATE TABLE ht")
    assert "sharded tables" in fails(client, f"/*+db={shards[0]}*/ TRUNCATE TABLE hb")


def test_what_cannot_be_obeyed_is_an_error(client, shards):
    assert "no shard 'nosuch'" in fails(client, "/*+db=nosuch*/ SELECT * FROM h")
    assert "each one once" in fails(client, f"/*+db={{{shards[0]},{shards[0]}}}*/ SELECT * FROM h")
    assert "unknown hint 'shard'" in fails(client, "/*+shard=1*/ SELECT * FROM h")
    assert "master or slave" in fails(client, "/*+db_type=primary*/ SELECT * FROM h")
    assert "TRUNCATE" in fails(client, "/*+table=h*/ SELECT * FROM h")
    assert "not for single and broadcast" in fails(client, f"/*+db={shards[0]}*/ SELECT * FROM hb")
    assert "not for single and broadcast" in fails(client, f"/*+db={shards[0]}*/ DELETE FROM hs")
    assert "SELECT, UPDATE" in fails(client, f"/*+db={shards[0]}*/ ALTER TABLE h ADD COLUMN w INT")
    fails(client, "/*+split_chunk_size=0*/ INSERT INTO h VALUES (1, 1)", 1062)


def test_the_plan_cache_can_be_passed(demo, client):
    """A statement with the hint is planned each time, and is answered alike."""
    for _ in range(3):
        assert rows(client, "/*!GAUSS:skip_plancache=true*/ SELECT v FROM h WHERE id = 7") == [(7,)]
        assert rows(client, "/*!gauss:skip_plancache=false*/ SELECT v FROM h WHERE id = 7") == [(7,)]
    fails(client, "/*!GAUSS:skip_plancache=perhaps*/ SELECT v FROM h WHERE id = 7")
    assert rows(client, "/*+ a comment only */ SELECT v FROM h WHERE id = 7") == [(7,)]
    assert eventually("primary", lambda: rows(client, "/*+db_type=master*/ SELECT v FROM h WHERE id = 7")) == [(7,)]
