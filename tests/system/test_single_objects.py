"""What a schema of mode single keeps beside tables lives on its data node: routines, triggers, events."""

from decimal import Decimal

import pymysql
import pytest
from prepared import Prepared
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


def test_stored_functions_in_queries(solo):
    rows(solo, "CREATE TABLE numbers (id INT PRIMARY KEY AUTO_INCREMENT, n INT)")
    rows(solo, "CREATE FUNCTION doubled(n INT) RETURNS INT DETERMINISTIC RETURN n * 2")
    rows(solo, "CREATE FUNCTION greatest_n() RETURNS INT READS SQL DATA RETURN (SELECT MAX(n) FROM numbers)")
    assert rows(solo, "SELECT doubled(21)") == [(42,)]
    assert rows(solo, "SELECT solo_objects.doubled(4)") == [(8,)]
    rows(solo, "INSERT INTO numbers (n) VALUES (doubled(1)), (doubled(2)), (5)")
    assert rows(solo, "SELECT doubled(n), numbers.n FROM numbers WHERE doubled(n) > 4 ORDER BY doubled(n)") == [(8, 4), (10, 5)]
    assert rows(solo, "SELECT greatest_n()") == [(5,)]
    rows(solo, "UPDATE solo_objects.numbers SET n = doubled(n) WHERE solo_objects.doubled(id) = 6")
    assert rows(solo, "SELECT greatest_n(), SUM(n) FROM numbers") == [(10, 16)]
    rows(solo, "SET @twice = doubled(8)")
    assert rows(solo, "SELECT @twice, @more := doubled(3)") == [(16, 6)]
    assert rows(solo, "SELECT @more, DATABASE()") == [(6, "solo_objects")]
    rows(solo, "DELETE FROM numbers WHERE doubled(n) = 20")
    assert rows(solo, "SELECT COUNT(*) FROM numbers") == [(2,)]
    with pytest.raises(pymysql.err.MySQLError) as error:
        rows(solo, "SELECT nosuch(n) FROM numbers")
    assert error.value.args == (1305, "FUNCTION solo_objects.nosuch does not exist")
    assert Prepared(solo, "SELECT doubled(?), n FROM numbers ORDER BY n").execute(7) == [(14, 2), (14, 4)]
    # Functions of servers, and a session's own, go on as they were.
    rows(solo, "INSERT INTO numbers (n) VALUES (1)")
    assert rows(solo, "SELECT LAST_INSERT_ID() > 0, SLEEP(0), GET_LOCK('l', 0), RELEASE_LOCK('l')") == [(1, 0, 1, 1)]


def test_prepared_calls(solo):
    rows(solo, "CREATE TABLE called (id INT PRIMARY KEY, v VARCHAR(20))")
    rows(solo, "CREATE PROCEDURE keep(IN k INT, IN w VARCHAR(20)) BEGIN "
               "INSERT INTO called VALUES (k, w); SELECT id, v FROM called ORDER BY id; SELECT COUNT(*) AS n FROM called; END")
    call = Prepared(solo, "CALL keep(?, ?)")
    assert call.execute_all(1, "one") == [[(1, "one")], [(1,)], 1]
    assert call.execute_all(2, "it's") == [[(1, "one"), (2, "it's")], [(2,)], 1]
    assert Prepared(solo, "CALL solo_objects.keep(?, NULL)").execute_all(3)[1] == [(3,)]
    assert Prepared(solo, "CALL keep(9, 'no parameter')").execute_all()[1] == [(4,)]
    rows(solo, "PREPARE c FROM 'CALL keep(?, ?)'")
    rows(solo, "SET @k = 4, @w = 'it''s'")
    with solo.cursor() as cursor:
        cursor.execute("EXECUTE c USING @k, @w")
        while cursor.nextset():
            pass
    assert rows(solo, "SELECT id, v FROM called WHERE id = 4") == [(4, "it's")]


def test_variables_that_routines_assign_are_the_sessions(demo, solo):
    ends = demo.endpoints["demo"]
    other = connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], "solo_objects")
    rows(solo, "CREATE TABLE noted (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    rows(solo, "CREATE PROCEDURE note(n INT) BEGIN SET @Noted = CONCAT('n', n), @gone = NULL; "
               "INSERT INTO noted (v) VALUES (n); IF n < 0 THEN SIGNAL SQLSTATE '45000'; END IF; END")
    rows(solo, "CREATE FUNCTION counted(n INT) RETURNS INT DETERMINISTIC BEGIN SET @counted = n + 0.5; RETURN n; END")
    rows(solo, "CREATE PROCEDURE outer_note(n INT) BEGIN CALL note(n); SELECT @noted, counted(n); END")

    def both(session):
        return rows(session, "SELECT @noted, @counted, @gone")

    def taken_over():
        """The other session takes the connection that was used last, and has nothing of it."""
        rows(other, "BEGIN")
        rows(other, "INSERT INTO noted (v) VALUES (0)")
        assert rows(other, "SELECT @noted, @counted FROM noted LIMIT 1") == [(None, None)]
        now = both(solo)
        rows(other, "ROLLBACK")
        return now

    rows(solo, "SET @gone = 5")
    rows(solo, "CALL note(1)")
    assert taken_over() == [("n1", None, None)]
    assert rows(solo, "SELECT LAST_INSERT_ID() = MAX(id) FROM noted") == [(1,)]
    rows(solo, "SELECT counted(2) FROM noted")
    assert taken_over() == [("n1", Decimal("2.5"), None)]
    rows(solo, "CALL outer_note(3)")
    assert taken_over() == [("n3", Decimal("3.5"), None)]
    with pytest.raises(pymysql.err.MySQLError):
        rows(solo, "CALL note(-4)")
    assert taken_over() == [("n-4", Decimal("3.5"), None)]
    assert Prepared(solo, "CALL note(?)").execute(6) == 1
    assert taken_over() == [("n6", Decimal("3.5"), None)]


def test_what_is_not_there_in_sharded_schemas(demo):
    ends = demo.endpoints["demo"]
    client = connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], ends["schema"])
    schema = ends["schema"]
    for kind, note in (("PROCEDURE", (1305, f"PROCEDURE {schema}.p does not exist")),
                       ("FUNCTION", (1305, f"FUNCTION {schema}.p does not exist")),
                       ("TRIGGER", (1360, "Trigger does not exist"))):
        with client.cursor() as cursor:
            cursor.execute(f"DROP {kind} IF EXISTS p")
            cursor.execute("SHOW WARNINGS")
            assert [row for row in cursor.fetchall()] == [("Note", *note)]
        with pytest.raises(pymysql.err.MySQLError) as error:
            rows(client, f"DROP {kind} {schema}.p")
        assert error.value.args == note


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
