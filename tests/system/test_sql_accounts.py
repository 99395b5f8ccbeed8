"""Accounts made and changed by SQL: they are the API's, hold on every node at once, and their passwords show nowhere."""

import threading

import pymysql
import pytest
from system import System, connect, eventually, rows

ADMIN, ADMIN_PASSWORD = "shop_admin", "R00t-of_Willow8"
FIRST, SECOND = "First-of_9Willows", "Second-of_9Willows"


class Shop:
    """A system whose instance has an administrator whose password is known."""

    def __init__(self):
        self.system = System("--demo")
        self.system.start()
        self.ends = self.system.endpoints["demo"]
        self.instance = self.ends["instance_id"]
        self.hosts = [node["ip"] for node in self.system.ctl("instances", "show", self.instance)["nodes"]]
        self.system.ctl("accounts", "set-administrator", self.instance, ADMIN, "--password", ADMIN_PASSWORD)

    def log_in(self, user, password, host=None, schema=None):
        return connect(host or self.hosts[0], self.ends["port"], user, password, schema)

    def listed(self, name):
        found = [one for one in self.system.ctl("accounts", "list", self.instance) if one["name"] == name]
        return found[0] if found else None


@pytest.fixture(scope="module")
def shop():
    one = Shop()
    try:
        yield one
    finally:
        one.system.remove()


@pytest.fixture
def admin(shop):
    with shop.log_in(ADMIN, ADMIN_PASSWORD, schema=shop.ends["schema"]) as session:
        yield session


def fails(client, sql, number):
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(client, sql)
    assert caught.value.args[0] == number, (sql, caught.value)
    return caught.value.args[1]


def refused_login(shop, user, password, host):
    with pytest.raises(pymysql.MySQLError) as caught:
        shop.log_in(user, password, host)
    return caught.value.args[0] == 1045


def test_an_account_lives_and_dies(shop, admin):
    schema = shop.ends["schema"]
    rows(admin, f"CREATE USER walter IDENTIFIED BY '{FIRST}'")
    for host in shop.hosts:
        with shop.log_in("walter", FIRST, host) as walter:
            assert rows(walter, "SHOW GRANTS") == [("GRANT USAGE ON *.* TO walter",)]
            assert rows(walter, "SHOW DATABASES") == [("information_schema",)]
            fails(walter, f"SELECT * FROM {schema}.orders", 1142)
    assert shop.listed("walter")
    assert "failed" in fails(admin, f"CREATE USER 'walter'@'%' IDENTIFIED BY '{FIRST}'", 1396)
    rows(admin, f"CREATE USER IF NOT EXISTS walter IDENTIFIED BY '{FIRST}'")
    rows(admin, f"GRANT SELECT, INSERT ON {schema}.* TO walter")
    for host in shop.hosts:
        with shop.log_in("walter", FIRST, host, schema) as walter:
            assert rows(walter, "SELECT COUNT(*) FROM orders")[0][0] == 1000
            fails(walter, "DELETE FROM orders WHERE id = 1", 1142)
            assert rows(walter, "SHOW GRANTS")[1] == (f"GRANT SELECT, INSERT ON {schema}.* TO walter",)
    rows(admin, f"REVOKE INSERT ON {schema}.* FROM walter")
    assert rows(admin, "SHOW GRANTS FOR walter")[1] == (f"GRANT SELECT ON {schema}.* TO walter",)
    rows(admin, f"SET PASSWORD FOR 'walter'@'%' = '{SECOND}'")
    for host in shop.hosts:
        assert refused_login(shop, "walter", FIRST, host)
        with shop.log_in("walter", SECOND, host) as walter:
            rows(walter, f"SET PASSWORD = '{FIRST}'")
        with shop.log_in("walter", FIRST, host) as walter:
            rows(walter, f"ALTER USER walter IDENTIFIED BY '{SECOND}'")
    rows(admin, "DROP USER walter")
    for host in shop.hosts:
        assert refused_login(shop, "walter", SECOND, host)
    assert shop.listed("walter") is None
    fails(admin, "DROP USER walter", 1396)
    rows(admin, "DROP USER IF EXISTS walter")


def test_grants_and_their_limits(shop, admin):
    schema = shop.ends["schema"]
    assert fails(admin, f"GRANT SELECT ON {schema}.* TO nobody", 1133) == "No account found"
    rows(admin, f"GRANT ALL ON {schema}.* TO made IDENTIFIED BY '{FIRST}'")
    with shop.log_in("made", FIRST, schema=schema) as made:
        rows(made, "CREATE TABLE own (id INT NOT NULL PRIMARY KEY)")
        rows(made, "DROP TABLE own")
        for statement in (f"CREATE USER x IDENTIFIED BY '{FIRST}'", "DROP USER made", f"GRANT SELECT ON {schema}.* TO made",
                          f"SET PASSWORD FOR {ADMIN} = '{FIRST}'"):
            fails(made, statement, 1227)
    shop.system.ctl("schemas", "create", shop.instance, "second", "--mode", "cluster", "--shards", "2")
    eventually("the schema", lambda: ("second",) in rows(admin, "SHOW DATABASES"))
    assert "all of its schemas" in fails(admin, "GRANT SELECT ON second.* TO made", 1235)
    rows(admin, "GRANT ALL PRIVILEGES ON second.* TO made")
    assert "all of its schemas" in fails(admin, "REVOKE DROP ON second.* FROM made", 1235)
    rows(admin, "REVOKE ALL ON second.* FROM made")
    assert len(rows(admin, "SHOW GRANTS FOR made")) == 2
    fails(admin, "REVOKE ALL ON second.* FROM made", 1141)
    fails(admin, "GRANT SELECT ON *.* TO made", 1235)
    fails(admin, f"GRANT SELECT (id) ON {schema}.orders TO made", 1235)
    fails(admin, f"GRANT SELECT ON {schema}.nosuch TO made", 1146)
    fails(admin, f"REVOKE SELECT ON {schema}.orders FROM made", 1147)
    fails(admin, f"GRANT FILE ON {schema}.* TO made", 1235)
    fails(admin, "GRANT SELECT ON nosuch.* TO made", 1049)
    fails(admin, f"CREATE USER far@'10.0.0.1' IDENTIFIED BY '{FIRST}'", 1235)
    rows(admin, "DROP USER made")


def test_permissions_on_one_table(shop, admin):
    schema = shop.ends["schema"]
    rows(admin, "CREATE TABLE hidden (id INT NOT NULL PRIMARY KEY, a INT) DBPARTITION BY HASH(id)")
    rows(admin, "CREATE SEQUENCE counted")
    rows(admin, "CREATE VIEW looked AS SELECT h.id, o.id AS o FROM hidden h JOIN orders o ON o.id = h.id")
    rows(admin, f"GRANT SELECT ON {schema}.orders TO narrow IDENTIFIED BY '{FIRST}'")
    assert rows(admin, "SHOW GRANTS FOR narrow") == [
        ("GRANT USAGE ON *.* TO narrow",), (f"GRANT SELECT ON {schema}.orders TO narrow",)]
    for host in shop.hosts:
        with shop.log_in("narrow", FIRST, host, schema) as narrow:
            assert rows(narrow, "SELECT COUNT(*) FROM orders") == [(1000,)]
            assert rows(narrow, f"SELECT COUNT(*) FROM {schema}.ORDERS AS o JOIN orders USING (id)") == [(1000,)]
            for statement in (
                "SELECT * FROM hidden", "SELECT * FROM orders WHERE id IN (SELECT id FROM hidden)",
                "SELECT * FROM orders JOIN hidden USING (id)", "WITH c AS (SELECT * FROM hidden) SELECT * FROM c",
                "SELECT (SELECT MAX(id) FROM hidden) FROM orders", "SELECT * FROM looked", "DELETE FROM orders WHERE id = 1",
                "INSERT INTO orders SELECT * FROM orders", "UPDATE orders SET id = id", "DROP TABLE orders",
                "TRUNCATE TABLE orders", "ALTER TABLE orders ADD COLUMN x INT", "CREATE TABLE more (id INT)",
                "SELECT NEXTVAL(counted)", "SELECT * FROM counted", "SELECT NEXTVAL(counted) FROM orders",
                "SHOW CREATE TABLE hidden", "SHOW COLUMNS FROM hidden",
            ):
                fails(narrow, statement, 1142)
            assert rows(narrow, "SHOW TABLES") == [("orders",)]
            assert rows(narrow, "SHOW DATABASES") == [("information_schema",), (schema,)]
            for table in ("TABLES", "COLUMNS", "STATISTICS"):
                ask = f"SELECT DISTINCT TABLE_NAME FROM information_schema.{table} WHERE TABLE_SCHEMA = '{schema}'"
                assert rows(narrow, ask) == [("orders",)]
            joined = "SELECT DISTINCT t.TABLE_NAME FROM information_schema.TABLES t, orders WHERE t.TABLE_SCHEMA = DATABASE()"
            assert rows(narrow, joined) == [("orders",)]
            privileges = "SELECT TABLE_SCHEMA, TABLE_NAME, PRIVILEGE_TYPE FROM information_schema.TABLE_PRIVILEGES"
            assert rows(narrow, privileges) == [(schema, "orders", "SELECT")]
    with shop.log_in("narrow", FIRST, shop.hosts[1], schema) as narrow:
        rows(admin, f"GRANT USAGE ON {schema}.hidden TO narrow")
        assert rows(narrow, "SHOW TABLES") == [("orders",)]
        rows(admin, f"GRANT INSERT, DELETE ON {schema}.hidden TO narrow")
        rows(admin, f"GRANT SELECT, INSERT ON {schema}.counted TO narrow")
        rows(narrow, "INSERT INTO hidden VALUES (1, NEXTVAL(counted)), (2, NEXTVAL(counted))")
        rows(narrow, "DELETE FROM hidden")
        assert fails(narrow, "SELECT * FROM hidden", 1142).startswith("SELECT command denied to user 'narrow'@")
        rows(admin, f"GRANT SELECT ON {schema}.hidden TO narrow")
        assert rows(narrow, "SELECT * FROM looked") == []
        assert rows(narrow, "SHOW GRANTS")[1:] == [
            (f"GRANT SELECT, INSERT ON {schema}.counted TO narrow",),
            (f"GRANT SELECT, INSERT, DELETE ON {schema}.hidden TO narrow",),
            (f"GRANT SELECT ON {schema}.orders TO narrow",)]
        rows(admin, f"REVOKE ALL ON {schema}.orders FROM narrow")
        fails(narrow, "SELECT COUNT(*) FROM orders", 1142)
        rows(admin, f"GRANT UPDATE ON {schema}.* TO narrow")
        rows(admin, f"REVOKE UPDATE ON {schema}.* FROM narrow")
        rows(narrow, "SELECT * FROM hidden")
    rows(admin, "DROP USER narrow")
    rows(admin, "DROP VIEW looked")
    rows(admin, "DROP TABLE hidden")
    rows(admin, "DROP SEQUENCE counted")


def test_rules_of_the_api_hold(admin):
    for statement in ("CREATE USER weak IDENTIFIED BY 'password'", "CREATE USER weak IDENTIFIED BY 'short1A'",
                      f"CREATE USER `1st` IDENTIFIED BY '{FIRST}'", f"CREATE USER `a-b` IDENTIFIED BY '{FIRST}'"):
        fails(admin, statement, 1819)
    fails(admin, "CREATE USER bare", 1064)
    fails(admin, "RENAME USER a TO b", 1235)


def test_no_password_shows(shop, admin):
    seen, over = [], threading.Event()

    def look():
        with shop.log_in(ADMIN, ADMIN_PASSWORD) as other:
            while not over.is_set():
                seen.extend(str(row) for row in rows(other, "SHOW FULL PROCESSLIST"))

    looker = threading.Thread(target=look)
    looker.start()
    for number in range(4):
        rows(admin, f"CREATE USER masked{number} IDENTIFIED BY '{FIRST}'")
        rows(admin, f"SET PASSWORD FOR masked{number} = '{SECOND}'")
        rows(admin, f"DROP USER masked{number}")
    over.set()
    looker.join()
    assert any("masked" in line for line in seen)
    for secret in (FIRST, SECOND):
        assert not any(secret in line for line in seen)
        for path in shop.system.root.rglob("*.log"):
            assert secret not in path.read_text(errors="replace"), path
