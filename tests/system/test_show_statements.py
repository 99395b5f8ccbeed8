"""SHOW and KILL of DDM's own, with their columns, filters and rights; the catalogue of accounts with few rights."""

import threading
import time
from pathlib import Path

import pymysql
import pytest
from prepared import Prepared
from system import System, connect, eventually, rows

ADMIN, ADMIN_PASSWORD = "shop_admin", "R00t-of_Willow8"
PASSWORD = "Reader-of_9Willows"
SYSTEM_SCHEMAS = ("mysql", "performance_schema", "sys")


class Shop:
    """A system with its demo, whose instance has an administrator and an account that only reads."""

    def __init__(self):
        self.system = System("--demo", "--replicas", "1")
        self.system.start()
        self.ends = self.system.endpoints["demo"]
        self.schema = self.ends["schema"]
        instance = self.ends["instance_id"]
        self.system.ctl("accounts", "create", instance, "reader", "--password", PASSWORD,
                        "--schema", self.schema, "--permission", "SELECT")
        # Sessions of one node see each other.
        self.host = self.system.ctl("instances", "show", instance)["nodes"][0]["ip"]
        self.system.ctl("accounts", "set-administrator", instance, ADMIN, "--password", ADMIN_PASSWORD)

    def log_in(self, user=None, password=None):
        ends = self.ends
        return connect(self.host, ends["port"], user or ends["user"], password or ends["password"], self.schema)


@pytest.fixture(scope="module")
def shop():
    one = Shop()
    try:
        with one.log_in() as client:
            rows(client, "CREATE TABLE st (id INT NOT NULL, v INT, name VARCHAR(20), PRIMARY KEY (id), KEY kv (v)) "
                         "COMMENT 'both' DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(v) TBPARTITIONS 2")
            rows(client, "CREATE TABLE sr (id INT NOT NULL PRIMARY KEY) DBPARTITION BY RANGE(id) {0-9=0, 10-19=1, default=2}")
            rows(client, "CREATE TABLE sb (id INT NOT NULL PRIMARY KEY) BROADCAST")
            rows(client, "CREATE TABLE ss (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY)")
            rows(client, "INSERT INTO st VALUES " + ",".join(f"({i}, {i % 7}, 'n{i}')" for i in range(200)))
            rows(client, "INSERT INTO sb VALUES (1), (2), (3)")
        yield one
    finally:
        one.system.remove()


@pytest.fixture
def client(shop):
    with shop.log_in() as session:
        yield session


@pytest.fixture
def admin(shop):
    with shop.log_in(ADMIN, ADMIN_PASSWORD) as session:
        yield session


@pytest.fixture
def reader(shop):
    with shop.log_in("reader", PASSWORD) as session:
        yield session


def columns(client, sql):
    with client.cursor() as cursor:
        cursor.execute(sql)
        return [column[0] for column in cursor.description]


def fails(client, sql, number):
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(client, sql)
    assert caught.value.args[0] == number, (sql, caught.value)
    return caught.value.args[1]


def test_rule(client):
    names = ["ID", "TABLE_NAME", "BROADCAST", "DB_PARTITION_KEY", "DB_PARTITION_POLICY", "DB_PARTITION_COUNT",
             "DB_PARTITION_OFFSET", "PARTITION_RANGE", "TB_PARTITION_KEY", "TB_PARTITION_POLICY", "TB_PARTITION_COUNT",
             "TB_PARTITION_OFFSET"]
    assert columns(client, "SHOW RULE") == names
    shards = len(rows(client, "SHOW DATA NODE"))
    assert rows(client, "SHOW RULE FROM st") == [
        (1, "st", 0, "id", "mod_hash", shards, "", "", "v", "mod_hash", 2, "")]
    assert rows(client, "SHOW RULE FROM sr")[0][4:9] == ("range", shards, "", "0-9=0, 10-19=1, default=2", "")
    assert rows(client, "SHOW RULE FROM sb") == [(1, "sb", 1, "", "", shards, "", "", "", "", 1, "")]
    assert rows(client, "SHOW RULE FROM ss") == [(1, "ss", 0, "", "", 1, "", "", "", "", 1, "")]
    listed = rows(client, "SHOW RULE")
    assert [row[0] for row in listed] == list(range(len(listed)))
    fails(client, "SHOW RULE FROM nosuch", 1146)


def test_topology_and_data_nodes(shop, client):
    assert columns(client, "SHOW TOPOLOGY FROM st") == ["Rds_instance_id", "Host", "Port", "Database", "Table", "Row_count"]
    shards = rows(client, "SHOW DATA NODE")
    assert columns(client, "SHOW DATA NODE") == ["RDS_instance_id", "PHYSICAL_NODE", "HOST", "PORT"]
    assert [row[1] for row in shards] == [f"{shop.schema}_{number:04}" for number in range(len(shards))]
    listed = rows(client, "SHOW TOPOLOGY FROM st")
    assert [(row[3], row[4]) for row in listed] == [(shard[1], f"st_{n}") for shard in shards for n in range(2)]
    assert [(row[0], row[1], row[2]) for row in rows(client, "SHOW TOPOLOGY FROM sb")] == [
        (shard[0], shard[2], shard[3]) for shard in shards]
    assert [row[3] for row in rows(client, "SHOW TOPOLOGY FROM ss")] == [shards[0][1]]
    fails(client, "SHOW TOPOLOGY FROM nosuch", 1146)


def test_db_status(client):
    assert columns(client, "SHOW DB STATUS") == [
        "Rds_instance_id", "Host", "Port", "Database", "Table_count", "Row_count", "Data_size", "Index_size", "Total_size"]
    shards = rows(client, "SHOW DATA NODE")
    listed = rows(client, "SHOW DB STATUS")
    assert [(row[0], row[3], row[1], row[2]) for row in listed] == list(shards)
    assert all(row[6] + row[7] == row[8] > 0 for row in listed)
    assert rows(client, f"SHOW DB STATUS LIKE '%{shards[1][1][-4:]}'")[0][3] == shards[1][1]


def test_physical_sessions(shop, admin, client):
    names = ["Ip", "Port", "Instance_id", "Type", "Physical_thread_id", "User", "Host", "Db", "Command", "Time", "State", "Info"]
    assert columns(admin, "SHOW PHYSICAL PROCESSLIST") == names
    listed = rows(admin, "SHOW PHYSICAL PROCESSLIST")
    assert {row[3] for row in listed} == {"master", "readreplica"}
    ports = {(node["host"], node["port"]) for node in shop.system.endpoints["data_nodes"]}
    assert {(row[0], row[1]) for row in listed if row[3] == "master"} == ports
    assert all(row[11] for row in rows(admin, "SHOW PHYSICAL PROCESSLIST WITH INFO"))
    fails(client, "SHOW PHYSICAL PROCESSLIST", 1227)
    fails(client, "KILL PHYSICAL 1@127.0.0.1:3306", 1227)
    fails(admin, "KILL PHYSICAL 1@127.9.9.9:3306", 1094)
    fails(admin, "KILL PHYSICAL 1", 1064)

    outcome = []

    def sleep():
        try:
            with shop.log_in() as other:
                outcome.append(rows(other, "DELETE FROM st WHERE id = 1 AND v = 1 AND SLEEP(30)"))
        except pymysql.MySQLError as error:
            outcome.append(error)

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    find = lambda: [row for row in rows(admin, "SHOW PHYSICAL PROCESSLIST WITH INFO") if "SLEEP(30)" in row[11]]  # noqa: E731
    [found] = eventually("the statement", find)
    rows(admin, f"KILL PHYSICAL {found[4]}@{found[0]}:{found[1]}")
    sleeper.join(20)
    assert isinstance(outcome[0], pymysql.MySQLError)


def test_process_list_and_kill(shop, admin, client):
    assert columns(client, "SHOW PROCESSLIST") == ["Id", "User", "Host", "db", "Command", "Time", "State", "Info", "Progress"]
    user = shop.ends["user"]
    assert {row[1] for row in rows(client, "SHOW PROCESSLIST")} == {user}
    assert {user, ADMIN} <= {row[1] for row in rows(admin, "SHOW PROCESSLIST")}
    one, two, three = (shop.log_in() for _ in range(3))
    me = rows(client, "SELECT CONNECTION_ID()")[0][0]
    ids = [rows(session, "SELECT CONNECTION_ID()")[0][0] for session in (one, two, three)]
    chosen = f"SHOW PROCESSLIST WHERE Command = 'Sleep' AND Id IN ({ids[0]}, {ids[1]})"
    eventually("both sleep", lambda: sorted(row[0] for row in rows(client, chosen)) == sorted(ids[:2]))
    assert [row[0] for row in rows(client, "SHOW FULL PROCESSLIST LIKE '%FULL PROCESSLIST LIKE%'")] == [me]
    long = f"SHOW FULL PROCESSLIST WHERE Id = {me} /* {'x' * 200} */"
    assert len(rows(client, long)[0][7]) > 200
    assert len(rows(client, long.replace("FULL ", ""))[0][7]) == 100
    with client.cursor() as cursor:
        assert cursor.execute(f"KILL WHERE Id IN ({ids[0]}, {ids[1]}, {me})") == 2
    for gone in (one, two):
        with pytest.raises(pymysql.MySQLError):
            rows(gone, "SELECT 1")
    assert rows(three, "SELECT 1") == [(1,)]
    with client.cursor() as cursor:
        assert cursor.execute("KILL QUERY WHERE db = 'nosuch'") == 0
    rows(client, f"KILL {ids[2]}")
    fails(client, f"KILL {ids[2] + 100000}", 1094)
    fails(client, "KILL WHERE nosuch = 1", 1054)
    fails(client, f"KILL {rows(admin, 'SELECT CONNECTION_ID()')[0][0]}", 1095)


def test_kill_query_where(shop, client):
    ended = []

    def sleep():
        with shop.log_in() as other:
            try:
                ended.append(rows(other, "SELECT SLEEP(30)"))
            except pymysql.MySQLError as error:
                ended.append(error.args[0])
            ended.append(rows(other, "SELECT 7"))

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    eventually("the sleeper", lambda: rows(client, "SHOW PROCESSLIST WHERE Info LIKE 'SELECT SLEEP%'"))
    began = time.monotonic()
    rows(client, "KILL QUERY WHERE Info LIKE 'SELECT SLEEP%' AND Time >= 0")
    sleeper.join(20)
    assert time.monotonic() - began < 10
    assert ended[0] in (1317, [(1,)]) and ended[1] == [(7,)]


def test_status_is_the_nodes_own(shop, client):
    def status(name, scope=""):
        [(_, value)] = rows(client, f"SHOW {scope} STATUS LIKE '{name}'")
        return int(value)

    open_now, ever = status("Threads_connected"), status("Connections")
    with shop.log_in():
        assert (status("Threads_connected"), status("Connections")) == (open_now + 1, ever + 1)
        assert status("Max_used_connections") >= open_now + 1
    eventually("it is closed", lambda: status("Threads_connected") == open_now)
    asked, everyone = status("Questions"), status("Queries", "GLOBAL")
    rows(client, "SELECT 1")
    assert status("Questions") == asked + 3, "the SHOW before, SELECT, and this one"
    assert status("Queries", "GLOBAL") >= everyone + 3
    assert 0 <= status("Uptime") < 3600


def test_innodb_and_migrate_status(shop, admin, client):
    for statement in ("SHOW FULL INNODB STATUS", "SHOW ENGINE INNODB STATUS"):
        assert columns(admin, statement) == ["Type", "Name", "Status"]
        listed = rows(admin, statement)
        assert {row[1] for row in listed} == {node["id"] for node in shop.system.endpoints["data_nodes"]}
        assert all("INNODB MONITOR OUTPUT" in row[2] for row in listed)
        fails(client, statement, 1227)
    assert columns(client, "SHOW MIGRATE STATUS") == [
        "ID", "SOURCE_RDS", "MIGRATE_ID", "SUCCEED_TABLE_STRUCTURE", "TOTAL_TABLE_STRUCTURE", "SUCCEED_TABLE_DATA",
        "TOTAL_TABLE_DATA", "SUCCEED_INDEX_DATA", "TOTAL_INDEX_DATA", "FULL_SUCCEED_COUNT", "FULL_TOTAL_COUNT",
        "FULL_PERCENTAGE", "LEFT_INCREMENT"]
    assert rows(client, "SHOW MIGRATE STATUS") == []


def test_table_status_is_of_all_physical_tables(client):
    names = columns(client, "SHOW TABLE STATUS")
    assert names[:5] == ["Name", "Engine", "Version", "Row_format", "Rows"]

    def status(name):
        return dict(zip(names, rows(client, f"SHOW TABLE STATUS LIKE '{name}'")[0]))

    eventually("estimates", lambda: 150 <= status("st")["Rows"] <= 250)
    assert status("st")["Comment"] == "both"
    assert eventually("estimates", lambda: status("sb")["Rows"]) == 3, "copies count once"
    listed = [row[0] for row in rows(client, "SHOW TABLE STATUS WHERE Engine = 'InnoDB' AND Name LIKE 's_'")]
    assert listed == ["sb", "sr", "ss", "st"]
    assert status("st")["Data_length"] == rows(
        client, "SELECT DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_NAME = 'st'")[0][0]
    assert {row[1] for row in rows(client, "SHOW OPEN TABLES LIKE 's_'")} <= {"sb", "sr", "ss", "st"}


def test_grants(shop, admin, client, reader):
    user, schema = shop.ends["user"], shop.schema
    for statement in ("SHOW GRANTS", "SHOW GRANTS FOR CURRENT_USER", "SHOW GRANTS FOR CURRENT_USER()", f"SHOW GRANTS FOR {user}",
                      f"SHOW GRANTS FOR '{user}'@'%'"):
        assert columns(client, statement) == [f"Grants for {user}"]
        assert rows(client, statement)[0] == (f"GRANT USAGE ON *.* TO {user}",)
    assert rows(reader, "SHOW GRANTS") == [("GRANT USAGE ON *.* TO reader",), (f"GRANT SELECT ON {schema}.* TO reader",)]
    assert rows(admin, "SHOW GRANTS FOR reader") == rows(reader, "SHOW GRANTS")
    assert rows(admin, "SHOW GRANTS") == [(
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, FILE, GRANT, REFERENCES, INDEX, ALTER, LOCK TABLES, "
        f"SHOW DATABASES, SUPER, CREATE USER ON *.* TO {ADMIN}",)]
    fails(reader, f"SHOW GRANTS FOR {user}", 1044)
    fails(admin, "SHOW GRANTS FOR nosuch", 1141)
    assert rows(reader, "SELECT * FROM information_schema.SCHEMA_PRIVILEGES") == [
        ("'reader'@'%'", "def", schema, "SELECT", "NO")]
    assert ("'reader'@'%'",) in rows(admin, "SELECT DISTINCT GRANTEE FROM information_schema.USER_PRIVILEGES")


def test_a_servers_own_schemas_are_closed(client):
    for schema in SYSTEM_SCHEMAS:
        fails(client, f"USE {schema}", 1044)
        fails(client, f"SHOW TABLES FROM {schema}", 1044)
        fails(client, f"SELECT * FROM {schema}.user", 1142)
    fails(client, "SELECT * FROM information_schema.INNODB_SYS_TABLES", 1227)
    for statement in ("BINARY LOGS", "MASTER STATUS", "SLAVE STATUS", "BINLOG EVENTS", "SLAVE HOSTS", "RELAYLOG EVENTS"):
        fails(client, f"SHOW {statement}", 1227)
    assert [row[0] for row in rows(client, "SHOW DATABASES")] == sorted(["information_schema", "shop"])


def has_plugins(client):
    return Path(rows(client, "SELECT @@plugin_dir")[0][0]).is_dir()


def test_no_physical_name_shows(shop, client):
    """Whatever information_schema is asked for, it names logical schemas and tables only."""
    tables = [row[0] for row in rows(client, "SHOW TABLES FROM information_schema")]
    assert len(tables) > 50
    for table in tables:
        # A server's own package alone has no directory of plugins, which the server says then.
        if table.startswith("INNODB_") or (table == "ALL_PLUGINS" and not has_plugins(client)):
            continue
        for row in rows(client, f"SELECT * FROM information_schema.{table}"):
            for value in row:
                text = str(value)
                assert f"{shop.schema}_00" not in text and "_ddm" not in text and "st_0" not in text, (table, row)
    for statement in ("SHOW TABLES", "SHOW TABLE STATUS", "SHOW OPEN TABLES", "SHOW CREATE TABLE st", "SHOW INDEX FROM st",
                      "SHOW FULL COLUMNS FROM st"):
        assert f"{shop.schema}_00" not in str(rows(client, statement))


def test_the_counter_of_a_single_table(client):
    rows(client, "CREATE TABLE counted (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY)")
    rows(client, "INSERT INTO counted VALUES (7)")
    rows(client, "DELETE FROM counted")
    create = rows(client, "SHOW CREATE TABLE counted")[0][1]
    assert " AUTO_INCREMENT=8 " in create
    # A dump goes on where the table was, a table that is alike begins anew.
    rows(client, create.replace("`counted`", "`counted_again`"))
    rows(client, "INSERT INTO counted_again VALUES ()")
    assert rows(client, "SELECT id FROM counted_again") == [(8,)]
    rows(client, "CREATE TABLE counted_like LIKE counted")
    assert " AUTO_INCREMENT=" not in rows(client, "SHOW CREATE TABLE counted_like")[0][1]
    rows(client, "DROP TABLE counted, counted_again, counted_like")


def test_what_an_account_does_not_see(shop, admin, reader):
    shop.system.ctl("schemas", "create", shop.ends["instance_id"], "hidden", "--mode", "cluster", "--shards", "2")
    eventually("the schema", lambda: ("hidden",) in rows(admin, "SHOW DATABASES"))
    rows(admin, "CREATE TABLE hidden.h (id INT NOT NULL PRIMARY KEY) DBPARTITION BY HASH(id)")
    assert rows(admin, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'hidden'") == [("h",)]
    assert rows(reader, "SELECT * FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'hidden'") == []
    assert rows(reader, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'hidden'") == []
    assert "hidden" not in str(rows(reader, "SELECT * FROM information_schema.COLUMNS"))
    both = "SELECT TABLE_SCHEMA, COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ('shop', 'hidden') GROUP BY 1 ORDER BY 1"
    assert [row[0] for row in rows(admin, both)] == ["hidden", "shop"]


def test_prepared_on_the_catalogue(client):
    one = Prepared(client, "SELECT TABLE_NAME, TABLE_ROWS IS NULL FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND "
                           "TABLE_NAME LIKE ? ORDER BY 1")
    assert (one.columns, one.params) == (2, 2)
    assert [row[0] for row in one.execute("shop", "s_")] == ["sb", "sr", "ss", "st"]
    assert one.execute("nosuch", "%") == []
    assert [row[0] for row in Prepared(client, "SHOW TABLES WHERE Tables_in_shop = 'st'").execute()] == ["st"]
