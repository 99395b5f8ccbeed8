"""The main job, end to end, as its users do it: the official SDK buys and builds, PyMySQL and the
`mariadb` client write and read, direct connections to the data nodes show where the rows lie, and
nothing is lost when processes die."""

import os
import signal
import subprocess
import time

import pytest
from formulas import ALGORITHMS
from huaweicloudsdkddm.v1 import (
    CreateDatabaseDetail,
    CreateDatabaseReq,
    CreateDatabaseRequest,
    CreateInstanceDetail,
    CreateInstanceReq,
    CreateInstanceRequest,
    CreateUsersInfo,
    CreateUsersDatabases,
    CreateUsersReq,
    CreateUsersRequest,
    DatabaseInstabcesParam,
    ListAvailableRdsListRequest,
    ListDatabasesRequest,
    ListEnginesRequest,
    ListFlavorsRequest,
    ListInstancesRequest,
    ListNodesRequest,
    ListUsersRequest,
    ShowDatabaseRequest,
    ShowInstanceRequest,
    ShowNodeRequest,
)
from system import JOB_SECONDS, connect, eventually, rows

ROWS = 10_000
BATCH = 1_000
PASSWORD = "T0ur-of_Zebras7"
ADMIN_PASSWORD = "R00t-of_Willow8"


def build(system):
    """Instance of 2 nodes, schema of 8 shards on 2 data nodes, account: all by the official SDK."""
    client, ends = system.sdk(), system.endpoints
    engine = client.list_engines(ListEnginesRequest()).engine_groups[0]
    flavors = client.list_flavors(ListFlavorsRequest(engine_id=engine.id)).compute_flavor_groups
    flavor = flavors[0].compute_flavors[0]
    answer = client.create_instance(CreateInstanceRequest(body=CreateInstanceReq(instance=CreateInstanceDetail(
        name="tour-1", flavor_id=flavor.id, node_num=2, engine_id=engine.id,
        available_zones=ends["availability_zones"][:1], vpc_id=ends["vpc_id"], subnet_id=ends["subnet_id"],
        security_group_id=ends["security_group_id"], admin_user_name="root_admin", admin_user_password=ADMIN_PASSWORD,
    ))))
    instance = answer.id
    shown = eventually("the instance runs", lambda: (
        lambda detail: detail if detail.status == "RUNNING" else None
    )(client.show_instance(ShowInstanceRequest(instance_id=instance))), JOB_SECONDS)
    available = client.list_available_rds_list(ListAvailableRdsListRequest(instance_id=instance)).instances
    assert {node.id for node in available} == {node["id"] for node in ends["data_nodes"]}
    client.create_database(CreateDatabaseRequest(instance_id=instance, body=CreateDatabaseReq(databases=[
        CreateDatabaseDetail(name="tour", shard_mode="cluster", shard_number=8, used_rds=[
            DatabaseInstabcesParam(id=node["id"], admin_user=node["admin_user"], admin_password=node["admin_password"])
            for node in ends["data_nodes"]
        ])
    ])))
    eventually("the schema runs", lambda: client.show_database(
        ShowDatabaseRequest(instance_id=instance, ddm_dbname="tour")).database.status == "RUNNING", JOB_SECONDS)
    client.create_users(CreateUsersRequest(instance_id=instance, body=CreateUsersReq(users=[CreateUsersInfo(
        name="tourist", password=PASSWORD,
        base_authority=["CREATE", "DROP", "ALTER", "INDEX", "INSERT", "DELETE", "UPDATE", "SELECT"],
        databases=[CreateUsersDatabases(name="tour")],
    )])))
    eventually("the account is there", lambda: [
        user for user in client.list_users(ListUsersRequest(instance_id=instance)).users if user.status == "RUNNING"
    ])
    return instance, shown


@pytest.fixture(scope="module")
def tour(request):
    from system import System

    system = System()
    request.addfinalizer(system.remove)
    system.start()
    system.instance, detail = build(system)
    system.host, system.port = detail.access_ip, int(detail.access_port)
    return system


def log_in(system, **more):
    return connect(system.host, system.port, "tourist", PASSWORD, "tour", **more)


def data_node(node):
    return connect(node["host"], node["port"], node["admin_user"], node["admin_password"])


def test_the_api_shows_what_was_built(tour):
    client, instance = tour.sdk(), tour.instance
    assert [one.id for one in client.list_instances(ListInstancesRequest()).instances] == [instance]
    nodes = client.list_nodes(ListNodesRequest(instance_id=instance)).nodes
    assert len(nodes) == 2 and len({node.ip for node in nodes}) == 2
    for node in nodes:
        shown = client.show_node(ShowNodeRequest(instance_id=instance, node_id=node.node_id))
        assert shown.status == "normal" and shown.private_ip == node.ip
        with connect(node.ip, 5066, "tourist", PASSWORD, "tour") as direct:
            assert rows(direct, "SELECT 1") == [(1,)]
    listed = client.list_databases(ListDatabasesRequest(instance_id=instance)).databases
    assert [one.name for one in listed] == ["tour"]
    physical = {}
    for node in tour.endpoints["data_nodes"]:
        with data_node(node) as direct:
            names = [name for (name,) in rows(direct, "SHOW DATABASES LIKE 'tour\\_%'")]
            physical[node["id"]] = sorted(names)
    assert sorted(sum(physical.values(), [])) == [f"tour_{i:04}" for i in range(8)]
    assert sorted(len(names) for names in physical.values()) == [4, 4]


@pytest.mark.parametrize("name, columns, clause, key, place", ALGORITHMS, ids=[one[0] for one in ALGORITHMS])
def test_rows_lie_where_the_formulas_say(tour, name, columns, clause, key, place):
    with log_in(tour) as client:
        rows(client, f"CREATE TABLE {name} ({columns}, n INT NOT NULL, KEY (k)) ENGINE=InnoDB {clause}")
        with client.cursor() as cursor:
            for start in range(0, ROWS, BATCH):
                batch = [(key(i), i) for i in range(start, start + BATCH)]
                assert cursor.executemany(f"INSERT INTO {name} (k, n) VALUES (%s, %s)", batch) == BATCH
        assert rows(client, f"SELECT COUNT(*), SUM(n), MIN(n), MAX(n) FROM {name}") == [
            (ROWS, ROWS * (ROWS - 1) // 2, 0, ROWS - 1)]
        for i in range(0, ROWS, 997):
            found = {n for (n,) in rows(client, f"SELECT n FROM {name} WHERE k = %s", (key(i),))}
            assert i in found and all(key(n) == key(i) for n in found)
        everything = rows(client, f"SELECT n FROM {name} ORDER BY n")
        assert everything == [(n,) for n in range(ROWS)]
    seen = 0
    for node in tour.endpoints["data_nodes"]:
        with data_node(node) as direct:
            tables = rows(direct, "SELECT table_schema, table_name FROM information_schema.tables "
                          f"WHERE table_schema LIKE 'tour\\_%' AND table_name REGEXP '^{name}(_[0-9]+)?$'")
            for schema, table in tables:
                suffix = int(table[len(name) + 1:]) if len(table) > len(name) else None
                for (n,) in rows(direct, f"SELECT n FROM {schema}.{table}"):
                    assert place(key(n)) == (int(schema[-4:]), suffix), (schema, table, n, key(n))
                    seen += 1
    assert seen == ROWS


def test_broadcast_and_single_tables(tour):
    with log_in(tour) as client:
        rows(client, "CREATE TABLE colours (id INT PRIMARY KEY, name VARCHAR(20)) BROADCAST")
        rows(client, "CREATE TABLE lone (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20))")
        with client.cursor() as cursor:
            assert cursor.execute("INSERT INTO colours VALUES (1, 'red'), (2, 'green')") == 2
            assert cursor.execute("INSERT INTO lone (name) VALUES ('a'), ('b')") == 2
            assert cursor.lastrowid == 1
        assert rows(client, "SELECT name FROM colours ORDER BY id") == [("red",), ("green",)]
    copies = 0
    for node in tour.endpoints["data_nodes"]:
        with data_node(node) as direct:
            for (schema,) in rows(direct, "SHOW DATABASES LIKE 'tour\\_%'"):
                assert rows(direct, f"SELECT COUNT(*) FROM {schema}.colours") == [(2,)]
                copies += 1
                lone = rows(direct, f"SHOW TABLES FROM {schema} LIKE 'lone'")
                assert bool(lone) == (schema == "tour_0000")
    assert copies == 8


def test_global_sequences_are_unique_over_nodes(tour):
    with log_in(tour) as client:
        rows(client, "CREATE TABLE ids (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT) DBPARTITION BY MOD_HASH(id)")
    nodes = tour.sdk().list_nodes(ListNodesRequest(instance_id=tour.instance)).nodes
    given = []
    for node in nodes:
        with connect(node.ip, 5066, "tourist", PASSWORD, "tour") as client, client.cursor() as cursor:
            for n in range(50):
                cursor.execute("INSERT INTO ids (n) VALUES (%s)", (n,))
                given.append(cursor.lastrowid)
    assert len(set(given)) == 100
    with log_in(tour) as client:
        assert sorted(given) == [one for (one,) in rows(client, "SELECT id FROM ids ORDER BY id")]


def test_the_mariadb_client_works(tour):
    done = subprocess.run(
        ["mariadb", "-h", tour.host, "-P", str(tour.port), "-u", "tourist", "-t", "tour"],
        input="SHOW TABLES; SHOW CREATE TABLE a_range; DESC a_hash; SHOW RULE FROM a_range; SHOW TOPOLOGY FROM a_mod_hash; "
              "SHOW DATA NODE; EXPLAIN SELECT * FROM a_hash WHERE k = 5; SELECT COUNT(*) FROM a_hash;\nstatus\n",
        capture_output=True, text=True, timeout=60, env={**os.environ, "MYSQL_PWD": PASSWORD},
    )
    assert done.returncode == 0, done.stderr
    for word in ("a_yyyyweek", "DBPARTITION BY RANGE", "default=7", "tour_0007", "Logical Execution Plan", "10000"):
        assert word in done.stdout, f"{word} is not in\n{done.stdout}"
    assert not [line for line in done.stdout.splitlines() if "tour_0000" in line and "CREATE" in line]


def counts(tour):
    with log_in(tour) as client:
        return {name: rows(client, f"SELECT COUNT(*), SUM(n) FROM {name}") for name, *_ in ALGORITHMS}


def test_a_killed_node_comes_back_and_loses_nothing(tour):
    before = counts(tour)
    victim = tour.children("node.toml")[0]
    os.kill(victim, signal.SIGKILL)
    # The other node serves at the same address at once.
    with log_in(tour) as client:
        assert rows(client, "SELECT COUNT(*) FROM a_hash") == [(ROWS,)]
    eventually("the node is back", lambda: len(tour.children("node.toml")) == 2 and victim not in tour.children("node.toml"))
    for node in tour.sdk().list_nodes(ListNodesRequest(instance_id=tour.instance)).nodes:
        eventually("it answers", lambda: connect(node.ip, 5066, "tourist", PASSWORD, "tour").close() is None)
    assert counts(tour) == before


def test_nodes_serve_while_the_control_plane_is_down(tour):
    before = counts(tour)
    nodes = sorted(tour.children("node.toml"))
    tour.process.kill()
    tour.process.wait()
    assert counts(tour) == before
    with log_in(tour) as client:
        assert rows(client, "INSERT INTO a_hash (k, n) VALUES (424242, 424242)") == []
        assert rows(client, "DELETE FROM a_hash WHERE k = 424242") == []
        with pytest.raises(Exception, match="(?i)control plane"):
            rows(client, "CREATE TABLE while_down (a INT)")
    # A node that dies meanwhile starts from its own snapshot when the control plane is back.
    tour.start()
    assert sorted(tour.children("node.toml")) == nodes, "running nodes are adopted, not replaced"
    assert counts(tour) == before
    with log_in(tour) as client:
        rows(client, "CREATE TABLE after_return (a INT PRIMARY KEY) DBPARTITION BY HASH(a)")


def test_everything_killed_everything_there(tour):
    before = counts(tour)
    tour.kill_everything()
    tour.start()
    eventually("it serves", lambda: counts(tour) == before, JOB_SECONDS)
    with log_in(tour) as client:
        assert ("after_return",) in rows(client, "SHOW TABLES")


def test_an_orderly_stop_leaves_nothing_running(tour):
    before = counts(tour)
    tour.stop()
    assert tour.children() == []
    tour.start()
    assert counts(tour) == before
