"""CREATE and DROP DATABASE: schemas are the API's, and what changes nothing is answered as on a server."""

import pymysql
import pytest
from system import connect, rows


@pytest.fixture
def session(demo):
    ends = demo.endpoints["demo"]
    with connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"]) as one:
        yield one


def error_of(session, sql):
    with pytest.raises(pymysql.err.MySQLError) as error:
        rows(session, sql)
    return error.value.args


@pytest.mark.parametrize("sql, warning", [
    ("CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4", (1007, "Can't create database 'shop'; database exists")),
    ("DROP DATABASE IF EXISTS nosuch", (1008, "Can't drop database 'nosuch'; database doesn't exist")),
])
def test_what_changes_nothing_is_a_note(session, sql, warning):
    rows(session, sql)
    assert rows(session, "SHOW WARNINGS") == [("Note", *warning)]
    assert error_of(session, sql.replace("IF NOT EXISTS ", "").replace("IF EXISTS ", "")) == warning
    assert rows(session, "SHOW DATABASES LIKE 'shop'") == [("shop",)]


def test_what_is_so_already_can_be_altered(session):
    (charset, collation), = rows(session, "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA "
                                          "WHERE SCHEMA_NAME = 'shop'")
    assert charset == "utf8mb4"
    rows(session, f"ALTER DATABASE shop CHARACTER SET utf8mb4 COLLATE = {collation}")
    # A character set alone leaves the collation as it is.
    rows(session, "USE shop")
    rows(session, "ALTER DATABASE CHARACTER SET utf8mb4")
    assert rows(session, "SELECT @@collation_database, ROW_COUNT()")[0][0] == collation


@pytest.mark.parametrize("sql", [
    "CREATE DATABASE nosuch", "CREATE DATABASE IF NOT EXISTS nosuch", "CREATE OR REPLACE DATABASE shop", "DROP DATABASE shop",
    "DROP DATABASE IF EXISTS shop", "ALTER DATABASE shop CHARACTER SET latin1",
    "ALTER DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "ALTER DATABASE shop COMMENT 'x'",
])
def test_changes_are_the_apis(session, sql):
    number, text = error_of(session, sql)
    assert number == 1235 and "use the API" in text
    assert rows(session, "SHOW DATABASES LIKE '%s%%'" % "shop") == [("shop",)]
