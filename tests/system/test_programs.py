"""Routines and triggers of schemas of mode cluster: they run in the first shard, over what is whole there."""

import pymysql
import pytest
from prepared import Prepared
from system import connect, rows

SCHEMA = "programs"


@pytest.fixture(scope="module")
def log_in(demo):
    ends = demo.endpoints["demo"]
    demo.ctl("schemas", "create", ends["instance_id"], SCHEMA, "--mode", "cluster", "--shards", "4")
    return lambda: connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], SCHEMA)


@pytest.fixture
def session(log_in):
    with log_in() as one:
        yield one


def error(session, sql):
    with pytest.raises(pymysql.err.MySQLError) as caught:
        rows(session, sql)
    number, text = caught.value.args
    assert f"{SCHEMA}_0" not in text
    return number, text


def test_procedures_over_whole_tables(session):
    rows(session, "CREATE TABLE whole (id INT PRIMARY KEY, n INT)")
    rows(session, "INSERT INTO whole VALUES (1, 10), (2, 20)")
    rows(session, "CREATE PROCEDURE summed(IN least INT, OUT total INT) BEGIN "
                  f"SELECT id FROM whole WHERE n >= least ORDER BY id; SELECT SUM(n) INTO total FROM {SCHEMA}.whole; END")
    with session.cursor() as cursor:
        cursor.execute("CALL summed(20, @total)")
        assert cursor.fetchall() == ((2,),)
    assert rows(session, "SELECT @total") == [(30,)]
    assert Prepared(session, "CALL summed(?, @total)").execute_all(10)[0] == [(1,), (2,)]
    assert rows(session, "SHOW PROCEDURE STATUS LIKE 'summed'")[0][:2] == (SCHEMA, "summed")
    assert "FROM `whole`" not in rows(session, "SHOW CREATE PROCEDURE summed")[0][2]
    found = rows(session, f"SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '{SCHEMA}'")
    assert found == [("summed",)]
    rows(session, "DROP PROCEDURE summed")
    assert error(session, "CALL summed(1, @total)") == (1305, f"PROCEDURE {SCHEMA}.summed does not exist")
    assert error(session, "DROP PROCEDURE summed")[0] == 1305
    rows(session, "DROP PROCEDURE IF EXISTS summed")
    assert rows(session, "SHOW WARNINGS") == [("Note", 1305, f"PROCEDURE {SCHEMA}.summed does not exist")]


def test_a_procedure_with_a_cursor_has_its_rows(session):
    rows(session, "CREATE PROCEDURE opens() BEGIN DECLARE texts CURSOR FOR SELECT 'text'; OPEN texts; CLOSE texts; "
                  "SELECT 1, 2; SELECT 3; END")
    for _ in range(2):
        assert Prepared(session, "CALL opens()").execute_all()[:2] == [[(1, 2)], [(3,)]]
        assert rows(session, "CALL opens()") == [(1, 2)]
    rows(session, "DROP PROCEDURE opens")


def test_functions_over_whole_tables(session):
    rows(session, "CREATE TABLE numbers (id INT PRIMARY KEY, n INT)")
    rows(session, "CREATE FUNCTION doubled(n INT) RETURNS INT DETERMINISTIC RETURN n * 2")
    rows(session, "CREATE FUNCTION most() RETURNS INT READS SQL DATA RETURN (SELECT MAX(n) FROM numbers)")
    rows(session, "INSERT INTO numbers VALUES (doubled(1), 5), (3, doubled(4))")
    # Whichever connection it comes to, and beside functions of the server.
    for _ in range(4):
        assert rows(session, "SELECT doubled(n), UPPER('a') FROM numbers WHERE id = doubled(1)") == [(10, "A")]
        assert rows(session, "SELECT most(), LAST_INSERT_ID()") == [(8, 0)]
    rows(session, f"UPDATE numbers SET n = {SCHEMA}.doubled(n) WHERE doubled(id) = 6")
    rows(session, "SET @most = most()")
    assert rows(session, "SELECT @most, DATABASE()") == [(16, SCHEMA)]
    assert rows(session, "SELECT * FROM (SELECT doubled(id) AS d FROM numbers) AS q ORDER BY d") == [(4,), (6,)]
    assert Prepared(session, "SELECT doubled(?)").execute(21) == [(42,)]
    assert error(session, "SELECT nosuch(1)") == (1305, f"FUNCTION {SCHEMA}.nosuch does not exist")
    # Rows of other shards do not have it.
    rows(session, "CREATE TABLE spread (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)")
    rows(session, "INSERT INTO spread VALUES (1), (2), (3), (4)")
    assert error(session, "SELECT doubled(id) FROM spread")[0] == 1305
    for name in ("doubled", "most"):
        rows(session, f"DROP FUNCTION {name}")
    rows(session, "DROP TABLE spread")


def test_triggers_of_whole_tables(session):
    rows(session, "CREATE TABLE kept (id INT PRIMARY KEY AUTO_INCREMENT, n INT)")
    rows(session, "CREATE TABLE told (id INT, n INT)")
    rows(session, "CREATE TRIGGER tell AFTER INSERT ON kept FOR EACH ROW INSERT INTO told VALUES (NEW.id, NEW.n + 1)")
    rows(session, "INSERT INTO kept (n) VALUES (1), (2)")
    rows(session, "BEGIN")
    rows(session, "INSERT INTO kept (n) VALUES (3)")
    rows(session, "ROLLBACK")
    assert rows(session, "SELECT * FROM told ORDER BY id") == [(1, 2), (2, 3)]
    assert [row[0] for row in rows(session, "SHOW TRIGGERS")] == ["tell"]
    rows(session, "DROP TRIGGER tell")
    rows(session, "INSERT INTO kept (n) VALUES (4)")
    assert rows(session, "SELECT COUNT(*) FROM told") == [(2,)]


@pytest.mark.parametrize("body", [
    "SELECT * FROM parted", "SELECT * FROM `Parted` p", "INSERT INTO copied VALUES (1)", "SELECT * FROM shop.orders",
    "SELECT * FROM over_parted", "EXECUTE IMMEDIATE 'SELECT 1'", "CREATE TABLE made (id INT)", "DROP TABLE whole_one",
    "FLUSH TABLES", "KILL 1"])
def test_what_is_not_whole_is_refused(log_in, body):
    with log_in() as session:
        rows(session, "CREATE TABLE IF NOT EXISTS parted (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)")
        rows(session, "CREATE TABLE IF NOT EXISTS copied (id INT PRIMARY KEY) BROADCAST")
        rows(session, "CREATE OR REPLACE VIEW over_parted AS SELECT id FROM parted")
        assert error(session, f"CREATE PROCEDURE refused() BEGIN DO 1; {body}; END")[0] == 1235
        assert error(session, "CALL refused()")[0] == 1305


@pytest.mark.parametrize("mode", ["cluster", "single"])
def test_databases_of_servers_are_nobodys(demo, mode):
    ends = demo.endpoints["demo"]
    schema = f"names_{mode}"
    demo.ctl("schemas", "create", ends["instance_id"], schema, "--mode", mode, *(["--shards", "2"] if mode == "cluster" else []))
    with connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], schema) as session:
        for database in ("mysql", "sys", f"{ends['schema']}_0000"):
            with pytest.raises(pymysql.err.MySQLError) as caught:
                rows(session, f"CREATE PROCEDURE peek() SELECT * FROM `{database}`.t")
            assert caught.value.args[0] == 1044


def test_a_name_in_a_program_stays_whole(session):
    rows(session, "CREATE TABLE stays (id INT PRIMARY KEY)")
    rows(session, "CREATE PROCEDURE look() SELECT * FROM stays, comes")
    rows(session, "CREATE TRIGGER note AFTER INSERT ON stays FOR EACH ROW INSERT INTO follows VALUES (1)")
    for sql in ("CREATE TABLE comes (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)",
                "CREATE TABLE Follows (id INT PRIMARY KEY) BROADCAST",
                "ALTER TABLE stays BROADCAST"):
        number, text = error(session, sql)
        assert number == 1235 and ("'look'" in text or "'note'" in text)
    rows(session, "CREATE TABLE comes (id INT PRIMARY KEY)")
    assert rows(session, "CALL look()") == []
    rows(session, "DROP PROCEDURE look")
    rows(session, "DROP TRIGGER note")
    rows(session, "ALTER TABLE stays BROADCAST")
    rows(session, "DROP TABLE comes")
    rows(session, "CREATE TABLE comes (id INT PRIMARY KEY) DBPARTITION BY MOD_HASH(id)")


def test_routines_of_another_schema(log_in, session):
    with log_in() as other:
        rows(other, "USE shop")
        rows(other, f"CREATE PROCEDURE {SCHEMA}.elsewhere() SELECT id FROM of_programs")
        rows(session, "CREATE TABLE of_programs (id INT PRIMARY KEY)")
        rows(session, "INSERT INTO of_programs VALUES (7)")
        assert rows(other, f"CALL {SCHEMA}.elsewhere()") == [(7,)]
        assert error(other, "CALL elsewhere()") == (1305, "PROCEDURE shop.elsewhere does not exist")
        assert error(other, "DROP PROCEDURE elsewhere")[0] == 1305
        rows(other, f"DROP PROCEDURE `{SCHEMA}`.`elsewhere`")
        assert error(other, "CREATE PROCEDURE nowhere.p() SELECT 1") == (1049, "Unknown database 'nowhere'")
        assert error(other, "DROP PROCEDURE nowhere.p") == (1305, "PROCEDURE nowhere.p does not exist")
        rows(other, "DROP FUNCTION IF EXISTS nowhere.p")
        assert rows(other, "SHOW WARNINGS") == [("Note", 1305, "FUNCTION nowhere.p does not exist")]


def test_events_are_of_schemas_of_mode_single(session):
    assert error(session, "CREATE EVENT later ON SCHEDULE EVERY 1 DAY DO DO 1")[0] == 1235
    assert error(session, "DROP EVENT later")[0] == 1539
    rows(session, "DROP EVENT IF EXISTS later")
