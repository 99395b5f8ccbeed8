"""What applications do with mysql-connector-python: its cursors, prepared statements, pools, several results, files. Everything
that it prints must be the same with any server."""

import datetime
import decimal
import json
import os
import tempfile

import mysql.connector
from mysql.connector import errors, pooling

PLACE = {**json.loads(os.environ["CLIENT_PLACE"]), "use_pure": os.environ.get("CLIENT_PURE", "1") == "1",
         "collation": "utf8mb4_general_ci", "allow_local_infile": True}


def say(what, *values):
    print(what, *(repr(value) for value in values))


def failed(what, work):
    try:
        say(what, work())
    except errors.Error as error:
        say(what, type(error).__name__, error.errno, error.sqlstate, error.msg)


def values(connection):
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS p_kinds")
    cursor.execute("CREATE TABLE p_kinds (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, t VARCHAR(30), b VARBINARY(30), d DECIMAL(12,4), "
                   "f DOUBLE, dt DATETIME(6), da DATE, ti TIME(3), y YEAR, s SET('a','b','c'), e ENUM('x','y'), bi BIT(8), "
                   "u BIGINT UNSIGNED, j JSON, lo LONGTEXT)" + os.environ.get("CLIENT_SHARDED", ""))
    insert = ("INSERT INTO p_kinds (t, b, d, f, dt, da, ti, y, s, e, bi, u, j, lo) "
              "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)")
    rows = [("täxt", b"\x00\xff'", decimal.Decimal("12345.6789"), 1.25, datetime.datetime(2020, 1, 2, 3, 4, 5, 678901),
             datetime.date(1999, 12, 31), datetime.timedelta(hours=-30, minutes=5, milliseconds=7), 2024, "a,c", "y", 5,
             2**64 - 1, '{"k": [1, null]}', "l" * 70000),
            (None,) * 14, ("", b"", decimal.Decimal("-0.0001"), -0.0, datetime.datetime(1000, 1, 1), datetime.date(9999, 12, 31),
                           datetime.timedelta(0), 1901, "", "x", 0, 0, "[]", "")]
    cursor.executemany(insert, rows)
    say("executemany", cursor.rowcount, cursor.lastrowid)
    prepared = connection.cursor(prepared=True)
    for row in rows:
        prepared.execute(insert, row)
        say("prepared insert", prepared.rowcount, prepared.lastrowid)
    for kind in ({}, {"dictionary": True}, {"buffered": True}, {"raw": True}, {"prepared": True}):
        reader = connection.cursor(**kind)
        # The driver cannot read rows of all these columns in the binary form, whatever the server.
        what = "id, t, b, d, f, dt, da, ti, y" if "prepared" in kind else "*"
        reader.execute(f"SELECT {what} FROM p_kinds ORDER BY id")
        found = reader.fetchall()
        say("rows", kind, str(found).replace("l" * 70000, "long"))
        say("columns", [column[:2] + column[6:8] for column in reader.description])
        reader.close()


def results(connection):
    cursor = connection.cursor()
    for statement in ("SELECT 1", "SELECT 1, 2; SELECT 'b'; DO 1; SELECT 3"):
        connection.cmd_query("SELECT 1")
        connection.get_rows()
        if ";" in statement:
            say("several", [connection.get_rows()[0] if "columns" in part else sorted(part) for part in connection.cmd_query_iter(statement)])
    cursor.execute("SELECT CAST('5x' AS UNSIGNED), 1/0")
    say("rows", cursor.fetchall())
    cursor.execute("SHOW WARNINGS")
    say("warnings", cursor.fetchall())
    failed("syntax", lambda: cursor.execute("SELEKT 1"))
    failed("table", lambda: cursor.execute("SELECT * FROM p_nothing"))
    failed("column", lambda: cursor.execute("SELECT nothing FROM p_kinds"))
    failed("duplicate", lambda: cursor.execute("INSERT INTO p_kinds (id) VALUES (1)"))
    prepared = connection.cursor(prepared=True)
    for number in (1, 2.5, "three", None, b"4"):
        prepared.execute("SELECT ?, ? IS NULL", (number, number))
        say("types", prepared.fetchall())
    failed("prepared syntax", lambda: prepared.execute("SELEKT ?", (1,)))


def transactions(connection):
    cursor = connection.cursor()
    for level in ("READ COMMITTED", "SERIALIZABLE", "REPEATABLE READ"):
        connection.start_transaction(isolation_level=level)
        cursor.execute("UPDATE p_kinds SET y = 2000")
        say("changed", cursor.rowcount, connection.in_transaction)
        connection.rollback()
        say("open", connection.in_transaction)
    cursor.execute("START TRANSACTION READ ONLY")
    failed("read only", lambda: cursor.execute("UPDATE p_kinds SET y = 2001"))
    connection.rollback()
    say("autocommit", connection.autocommit)
    connection.autocommit = True
    cursor.execute("UPDATE p_kinds SET y = 2002 WHERE id = 1")
    connection.autocommit = False
    cursor.execute("SELECT y FROM p_kinds WHERE id = 1")
    say("year", cursor.fetchall())
    connection.rollback()


def sessions(connection):
    cursor = connection.cursor()
    cursor.execute("SET @x = 7, sql_mode = 'ANSI_QUOTES'")
    connection.cmd_change_user(PLACE["user"], PLACE["password"], PLACE["database"])
    cursor.execute("SELECT @x, @@autocommit, DATABASE()")
    say("reset", cursor.fetchall())
    connection.cmd_change_user(PLACE["user"], PLACE["password"], PLACE["database"])
    connection.ping(reconnect=False)
    cursor.execute("SELECT DATABASE()")
    say("changed", cursor.fetchall(), connection.is_connected())
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("100,one\n101,two\n1,again\n")
        file.flush()
        failed("load", lambda: cursor.execute(
            f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE p_kinds FIELDS TERMINATED BY ',' (id, t)"))
    say("loaded", cursor.rowcount)
    connection.commit()
    pool = pooling.MySQLConnectionPool(pool_name="p", pool_size=3, pool_reset_session=True, **PLACE)
    for number in range(7):
        one = pool.get_connection()
        with one.cursor() as inner:
            inner.execute("SELECT @kept, COUNT(*) FROM p_kinds WHERE id >= 100")
            say("pooled", inner.fetchall())
            inner.execute("SET @kept = %s", (number,))
        one.close()


def main():
    connection = mysql.connector.connect(**PLACE)
    for part in (values, results, transactions, sessions):
        connection.commit()
        part(connection)
    connection.close()


if __name__ == "__main__":
    main()
