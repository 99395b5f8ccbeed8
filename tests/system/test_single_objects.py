"""What a schema of mode single keeps beside tables lives on its data node: routines, triggers, events."""

import pymysql
import pytest
from system import connect, rows


@pytest.fixture(scope="module")
def solo(demo):
    ends = demo.endpoints["demo"]
    demo.ctl("schemas", "create", ends["instance_id"], "solo_objects", "--mode", "single")
    return connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], "solo_objects")


def test_procedures_answer_with_all_their_results(solo):
    rows(solo, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
    rows(solo, "INSERT INTO t VALUES (1, 10), (2, 20)")
    rows(solo, "CREATE PROCEDURE both_ways(IN k INT, OUT total INT) BEGIN "
               "SELECT v FROM t WHERE id = k; SELECT COUNT(*) FROM solo_objects.t; SELECT SUM(v) INTO total FROM t; END")
    with solo.cursor() as cursor:
        cursor.execute("CALL both_ways(2, @sum)")
        results = [cursor.fetchall()]
        while cursor.nextset():
            results.append(cursor.fetchall())
    assert results[:2] == [((20,),), ((2,),)]
    assert rows(solo, "SELECT @sum") == [(30,)]
    shown = rows(solo, "SHOW CREATE PROCEDURE both_ways")
    assert shown[0][0] == "both_ways"
    assert [row[:2] for row in rows(solo, "SHOW PROCEDURE STATUS")] == [("solo_objects", "both_ways")]
    rows(solo, "DROP PROCEDURE both_ways")
    with pytest.raises(pymysql.err.MySQLError) as error:
        rows(solo, "CALL both_ways(2, @sum)")
    assert error.value.args[0] == 1305 and "_0000" not in str(error.value)


def test_triggers_and_events_run(solo):
    rows(solo, "CREATE TABLE kept (id INT)")
    rows(solo, "CREATE TABLE told (id INT)")
    rows(solo, "CREATE TRIGGER tell AFTER INSERT ON kept FOR EACH ROW INSERT INTO told VALUES (NEW.id + 1)")
    rows(solo, "INSERT INTO kept VALUES (5)")
    assert rows(solo, "SELECT id FROM told") == [(6,)]
    assert rows(solo, "SHOW TRIGGERS")[0][0] == "tell"
    rows(solo, "DROP TRIGGER tell")
    rows(solo, "CREATE EVENT later ON SCHEDULE AT CURRENT_TIMESTAMP + INTERVAL 1 DAY DO INSERT INTO told VALUES (1)")
    assert rows(solo, "SHOW EVENTS")[0][:2] == ("solo_objects", "later")
    rows(solo, "DROP EVENT later")
    rows(solo, "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2")
    assert rows(solo, "SHOW FUNCTION STATUS")[0][1] == "twice"
    rows(solo, "DROP FUNCTION twice")


def test_sharded_schemas_refuse_them(demo):
    ends = demo.endpoints["demo"]
    client = connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], ends["schema"])
    for statement in ("CREATE PROCEDURE p() SELECT 1", "CALL p()", "CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW SET @a = 1"):
        with pytest.raises(pymysql.err.MySQLError) as error:
            rows(client, statement)
        assert error.value.args[0] == 1235, statement
        assert "mode single" in str(error.value)


def test_check_table_names_what_differs(demo):
    ends = demo.endpoints["demo"]
    client = connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], ends["schema"])
    rows(client, "DROP TABLE IF EXISTS checked")
    rows(client, "CREATE TABLE checked (id INT PRIMARY KEY, v INT) DBPARTITION BY MOD_HASH(id)")
    rows(client, "INSERT INTO checked VALUES (1, 1), (2, 2), (3, 3)")
    assert rows(client, "CHECK TABLE checked") == []
    listed = {row[2]: row for row in rows(client, "CHECK TABLE")}
    assert listed["checked"][3:5] == ("SHARDING", "Y")
    name = f"{ends['schema']}.checked"
    assert rows(client, "CHECK TABLE checked QUICK") == [(name, "check", "status", "OK")]
    assert rows(client, "OPTIMIZE TABLE checked")[-1] == (name, "optimize", "status", "OK")
    assert rows(client, "ANALYZE TABLE checked")[-1][2:] == ("status", "OK")
    assert rows(client, "ANALYZE TABLE nosuch")[0][2] == "Error"
    before = rows(client, "CHECKSUM TABLE checked")[0]
    rows(client, "CREATE TABLE whole (id INT PRIMARY KEY, v INT)")
    rows(client, "INSERT INTO whole SELECT * FROM checked")
    assert rows(client, "CHECKSUM TABLE whole")[0][1] == before[1]
    rows(client, "DROP TABLE checked, whole")
