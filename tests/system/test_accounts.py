"""Accounts on the MySQL port: what is not granted is refused with MySQL's own numbers, and a change
reaches connected sessions within a second."""

import time

import pymysql
import pytest
from huaweicloudsdkddm.v1 import (
    CreateUsersDatabases, CreateUsersInfo, CreateUsersReq, CreateUsersRequest, DeleteUserRequest,
    ListUsersRequest, UpdateUserDetailReq, UpdateUserReq, UpdateUserRequest, UpdateUsersDatabases,
)
from system import connect, eventually, rows

PASSWORD = "Gu3st-of_Quartz9"


def number(error):
    return error.value.args[0]


@pytest.fixture
def guest(demo):
    """An account that may only SELECT in the demo schema, and its deletion."""
    ends = demo.endpoints["demo"]
    client = demo.sdk()
    client.create_users(CreateUsersRequest(instance_id=ends["instance_id"], body=CreateUsersReq(users=[CreateUsersInfo(
        name="guest", password=PASSWORD, base_authority=["SELECT"], databases=[CreateUsersDatabases(name=ends["schema"])],
    )])))
    log_in = lambda database=ends["schema"]: connect(ends["host"], ends["port"], "guest", PASSWORD, database)  # noqa: E731
    eventually("the account can log in", lambda: log_in().close() is None)
    yield log_in
    client.delete_user(DeleteUserRequest(instance_id=ends["instance_id"], username="guest"))
    eventually("the account is gone", lambda: "guest" not in [
        one.name for one in client.list_users(ListUsersRequest(instance_id=ends["instance_id"])).users])


def administrator(demo):
    ends = demo.endpoints["demo"]
    return connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], ends["schema"])


def test_each_permission_is_enforced(demo, guest):
    with administrator(demo) as admin:
        rows(admin, "DROP TABLE IF EXISTS locked")
        rows(admin, "CREATE TABLE locked (a INT PRIMARY KEY, b INT) DBPARTITION BY HASH(a)")
    with guest() as client:
        assert rows(client, "SELECT * FROM locked") == []
        for statement in (
            "INSERT INTO locked VALUES (1, 1)", "UPDATE locked SET b = 1", "DELETE FROM locked", "DROP TABLE locked",
            "TRUNCATE TABLE locked", "ALTER TABLE locked ADD c INT", "CREATE INDEX i ON locked (b)",
            "CREATE TABLE other (a INT)", "REPLACE INTO locked VALUES (1, 1)",
        ):
            with pytest.raises(pymysql.err.MySQLError) as error:
                rows(client, statement)
            assert number(error) == 1142, (statement, error.value)
            assert "command denied to user" in str(error.value)


def test_a_change_reaches_connected_sessions_within_a_second(demo, guest):
    ends = demo.endpoints["demo"]
    with administrator(demo) as admin:
        rows(admin, "DROP TABLE IF EXISTS opened")
        rows(admin, "CREATE TABLE opened (a INT PRIMARY KEY) DBPARTITION BY HASH(a)")
    with guest() as client:
        with pytest.raises(pymysql.err.MySQLError):
            rows(client, "INSERT INTO opened VALUES (1)")
        demo.sdk().update_user(UpdateUserRequest(instance_id=ends["instance_id"], username="guest", body=UpdateUserReq(
            user=UpdateUserDetailReq(base_authority=["SELECT", "INSERT"], databases=[UpdateUsersDatabases(name=ends["schema"])]))))
        changed = time.monotonic()
        eventually("INSERT is allowed", lambda: rows(client, "INSERT IGNORE INTO opened VALUES (1)") == [], 5)
        assert time.monotonic() - changed < 1.0


def test_only_associated_schemas_are_seen(demo, guest):
    with guest() as client:
        names = {name for (name,) in rows(client, "SHOW DATABASES")}
        assert demo.endpoints["demo"]["schema"] in names
        assert not {name for name in names if name.endswith("_0000")}
        for statement, wanted in (("USE nosuch", {1044, 1049}), ("SELECT * FROM mysql.user", {1044, 1142, 1049})):
            with pytest.raises(pymysql.err.MySQLError) as error:
                rows(client, statement)
            assert number(error) in wanted


def test_logins_that_fail(demo, guest):
    ends = demo.endpoints["demo"]
    for user, password, database, wanted in (
        ("guest", "wrong", ends["schema"], 1045), ("nobody", PASSWORD, ends["schema"], 1045),
        ("GUEST", PASSWORD, ends["schema"], 1045), ("guest", "", None, 1045), ("guest", PASSWORD, "nosuch", 1044),
    ):
        with pytest.raises(pymysql.err.MySQLError) as error:
            connect(ends["host"], ends["port"], user, password, database)
        assert number(error) in (wanted, 1049 if database == "nosuch" else wanted), (user, error.value)


def test_tls_and_caching_sha2(demo, guest):
    ends = demo.endpoints["demo"]
    secure = connect(ends["host"], ends["port"], ends["user"], ends["password"], ends["schema"],
                     ssl_ca=demo.endpoints["ca_file"])
    with secure:
        assert rows(secure, "SELECT 1") == [(1,)]
