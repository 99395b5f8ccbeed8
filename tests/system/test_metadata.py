"""Metadata by the official SDK: schemas exported from one instance and imported on another route the
rows that mysqldump brings as the old ones did; schemas dropped by mistake come back from a backup,
by its id and by time, with every row."""

import base64
import gzip
import json
import os
import subprocess
import time

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkddm.v1 import (
    CreateDatabaseDetail, CreateDatabaseReq, CreateDatabaseRequest, CreateInstanceDetail, CreateInstanceReq,
    CreateInstanceRequest, CreateUsersDatabases, CreateUsersInfo, CreateUsersReq, CreateUsersRequest,
    DatabaseInstabcesParam, DeleteBackupRequest, DeleteDatabaseRequest, DeleteInstanceRequest, DNInstance,
    DownloadSchemaMetadataRequest, ListBackupsRequest, ListEnginesRequest, ListFlavorsRequest, ListUsersRequest,
    LoadSchemaMetadataReq, RestoreMetaData2ExistReq, RestoreMetadataRequest, RestoreMetaDataSource,
    RestoreMetaDataTarget, ShowAvalibleDdmsRequest, ShowAvalibleRdsRequest, ShowAvalibleTimeRequest,
    ShowBackupRequest, ShowDatabaseRequest, ShowInstanceRequest, ShowRelatedDnsRequest,
    UploadSchemaMetadataRequest,
)
from system import JOB_SECONDS, System, connect, eventually, rows

PASSWORD = "T0ur-of_Zebras7"
ADMIN_PASSWORD = "R00t-of_Willow8"
SHARDS = 8
ROWS = 500

TABLES = {
    "orders": "CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, note VARCHAR(40), "
              "KEY (customer)) DBPARTITION BY MOD_HASH(customer)",
    "events": "CREATE TABLE events (id BIGINT NOT NULL, d DATE NOT NULL, PRIMARY KEY (id, d)) "
              "DBPARTITION BY HASH(id) TBPARTITION BY MM(d) TBPARTITIONS 12",
    "Colours": "CREATE TABLE Colours (id INT PRIMARY KEY, name VARCHAR(20) COMMENT 'it''s; a name') BROADCAST",
    "lone": "CREATE TABLE lone (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(20))",
}


@pytest.fixture(scope="module")
def world():
    system = System("--data-nodes", "4")
    try:
        system.start()
        system.client = system.sdk()
        yield system
    finally:
        system.remove()


def buy(system, name):
    """A running instance with an administrator."""
    client, ends = system.client, system.endpoints
    engine = client.list_engines(ListEnginesRequest()).engine_groups[0]
    flavor = client.list_flavors(ListFlavorsRequest(engine_id=engine.id)).compute_flavor_groups[0].compute_flavors[0]
    instance = client.create_instance(CreateInstanceRequest(body=CreateInstanceReq(instance=CreateInstanceDetail(
        name=name, flavor_id=flavor.id, node_num=2, engine_id=engine.id,
        available_zones=ends["availability_zones"][:1], vpc_id=ends["vpc_id"], subnet_id=ends["subnet_id"],
        security_group_id=ends["security_group_id"], admin_user_name="root_admin", admin_user_password=ADMIN_PASSWORD,
    )))).id
    eventually("the instance runs", lambda: status(system, instance) == "RUNNING", JOB_SECONDS)
    return instance


def status(system, instance):
    return system.client.show_instance(ShowInstanceRequest(instance_id=instance)).status


def settled(system, job_id):
    """Waits for a job; its end."""
    shown = system.ctl("jobs", "wait", job_id)
    assert shown["status"] == "Completed", shown
    return shown


def log_in(system, instance, schema="shop"):
    shown = system.client.show_instance(ShowInstanceRequest(instance_id=instance))
    return connect(shown.access_ip, int(shown.access_port), "root_admin", ADMIN_PASSWORD, schema)


def next_values(client):
    return rows(client, "SELECT NEXTVAL(numbers), NEXTVAL(down)")[0]


def physical_rows(nodes):
    """What lies in each physical table, by database and table."""
    found = {}
    for node in nodes:
        with connect(node["host"], node["port"], node["admin_user"], node["admin_password"]) as direct:
            for database, table in rows(direct, "SELECT table_schema, table_name FROM information_schema.tables "
                                        "WHERE table_schema LIKE 'shop\\_%' AND table_name NOT LIKE '\\_ddm%'"):
                found[database, table] = sorted(rows(direct, f"SELECT * FROM `{database}`.`{table}`"), key=repr)
    return found


def databases_of(node):
    with connect(node["host"], node["port"], node["admin_user"], node["admin_password"]) as direct:
        return [name for (name,) in rows(direct, "SHOW DATABASES LIKE 'shop\\_%'")]


@pytest.fixture(scope="module")
def shop(world):
    """An instance with a filled schema on the first two data nodes."""
    instance, nodes = buy(world, "shop-old"), world.endpoints["data_nodes"][:2]
    world.client.create_database(CreateDatabaseRequest(instance_id=instance, body=CreateDatabaseReq(databases=[
        CreateDatabaseDetail(name="shop", shard_mode="cluster", shard_number=SHARDS, used_rds=[
            DatabaseInstabcesParam(id=node["id"], admin_user=node["admin_user"], admin_password=node["admin_password"])
            for node in nodes
        ])
    ])))
    eventually("the schema runs", lambda: world.client.show_database(
        ShowDatabaseRequest(instance_id=instance, ddm_dbname="shop")).database.status == "RUNNING", JOB_SECONDS)
    with log_in(world, instance) as client, client.cursor() as cursor:
        for create in TABLES.values():
            cursor.execute(create)
        cursor.executemany("INSERT INTO orders (customer, note) VALUES (%s, %s)",
                           [(i * 37 % 1000, f"note {i}") for i in range(ROWS)])
        cursor.executemany("INSERT INTO events VALUES (%s, %s)",
                           [(i, f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}") for i in range(ROWS)])
        cursor.executemany("INSERT INTO Colours VALUES (%s, %s)", [(1, "red"), (2, "green")])
        cursor.executemany("INSERT INTO lone (name) VALUES (%s)", [("a",), ("b",)])
        cursor.execute("CREATE SEQUENCE numbers START WITH 100 CACHE 10")
        cursor.execute("CREATE SEQUENCE down START WITH -5 INCREMENT BY -5 CACHE 3")
    world.client.create_users(CreateUsersRequest(instance_id=instance, body=CreateUsersReq(users=[CreateUsersInfo(
        name="clerk", password=PASSWORD, base_authority=["SELECT"], databases=[CreateUsersDatabases(name="shop")])])))
    return instance


def refused(call):
    with pytest.raises(ClientRequestException) as error:
        call()
    return error.value.status_code, error.value.error_code


def is_gone(call):
    try:
        call()
    except ClientRequestException as error:
        return error.status_code == 404
    return False


def upload(system, instance, text, nodes):
    return system.client.upload_schema_metadata(UploadSchemaMetadataRequest(
        instance_id=instance, body=LoadSchemaMetadataReq(compressed_databases_info=text, dn_instance=[
            DNInstance(dn_instance_id=node["id"], admin_user=node["admin_user"], admin_password=node["admin_password"])
            for node in nodes])))


def restore(system, source, target, nodes, **point):
    return system.client.restore_metadata(RestoreMetadataRequest(
        instance_id=source, body=RestoreMetaData2ExistReq(
            source=RestoreMetaDataSource(**point),
            target=RestoreMetaDataTarget(instance_id=target, data_nodes=[node["id"] for node in nodes]))))


def test_exported_and_imported_elsewhere_rows_route_the_same(world, shop):
    with log_in(world, shop) as client:
        last = [next_values(client) for _ in range(5)][-1]
    old_nodes, new_nodes = world.endpoints["data_nodes"][:2], world.endpoints["data_nodes"][2:]
    exported = world.client.download_schema_metadata(DownloadSchemaMetadataRequest(instance_id=shop))
    packed = base64.b64decode(exported.compressed_databases_info)
    assert packed[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00"
    document = gzip.decompress(packed).decode()
    assert [schema["name"] for schema in json.loads(document)["schemas"]] == ["shop"]
    for node in world.endpoints["data_nodes"]:
        assert node["admin_password"] not in document
    assert [(one.instance_id, one.access_host, one.access_port, one.engine) for one in exported.data_nodes] == [
        (node["id"], node["host"], node["port"], "mysql") for node in old_nodes]

    new = buy(world, "shop-new")
    text = exported.compressed_databases_info
    assert refused(lambda: upload(world, new, "H4sIAAAAAAAA", new_nodes)) == (400, "DBS.280001")
    assert refused(lambda: upload(world, new, text, new_nodes[:1])) == (400, "DBS.300102")
    assert refused(lambda: upload(world, new, text, [new_nodes[0], old_nodes[0]])) == (400, "DBS.300110")
    answer = upload(world, new, text, new_nodes)
    assert (answer.instance_id, answer.instance_name) == (new, "shop-new")
    settled(world, answer.job_id)
    assert status(world, new) == "RUNNING"
    shown = [world.client.show_database(ShowDatabaseRequest(instance_id=one, ddm_dbname="shop")).database
             for one in (shop, new)]
    assert [[(shard.dbslot, shard.name) for shard in one.databases] for one in shown][0] == [
        (shard.dbslot, shard.name) for shard in shown[1].databases]
    with log_in(world, shop) as before, log_in(world, new) as after:
        for table in TABLES:
            assert rows(before, f"SHOW CREATE TABLE {table}") == rows(after, f"SHOW CREATE TABLE {table}")
            assert rows(after, f"SELECT COUNT(*) FROM {table}") == [(0,)]
    dump(world, shop, new)
    assert physical_rows(new_nodes) == physical_rows(old_nodes)
    with log_in(world, new) as client, client.cursor() as cursor:
        largest = rows(client, "SELECT MAX(id) FROM orders")[0][0]
        cursor.execute("INSERT INTO orders (customer) VALUES (1)")
        assert cursor.lastrowid > largest, "generated values go on"
        after = next_values(client)
        assert after[0] > last[0] and after[1] < last[1], "sequences go on"
    with log_in(world, shop) as before, log_in(world, new) as after:
        for name in ("numbers", "down"):
            assert rows(before, f"SHOW CREATE SEQUENCE {name}") == rows(after, f"SHOW CREATE SEQUENCE {name}")
    delete(world, new, "true")
    assert [databases_of(node) for node in new_nodes] == [[], []]


def delete(system, instance, delete_data):
    system.client.delete_instance(DeleteInstanceRequest(instance_id=instance, delete_rds_data=delete_data))
    eventually("the instance is gone", lambda: is_gone(lambda: status(system, instance)), JOB_SECONDS)


def dump(system, old, new):
    """mysqldump from one instance, the mysql client into the other."""
    ends = [system.client.show_instance(ShowInstanceRequest(instance_id=one)) for one in (old, new)]
    login = [[f"--host={one.access_ip}", f"--port={one.access_port}", "--user=root_admin", "--protocol=TCP"] for one in ends]
    environment = {**os.environ, "MYSQL_PWD": ADMIN_PASSWORD}
    done = subprocess.run(
        ["mysqldump", *login[0], "--no-create-info", "--skip-lock-tables", "--skip-add-locks", "--skip-triggers",
         "--skip-disable-keys", "--no-tablespaces", "shop", *TABLES],
        capture_output=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert b"INSERT INTO" in done.stdout
    loaded = subprocess.run(["mariadb", *login[1], "shop"], input=done.stdout, capture_output=True, timeout=120,
                            env=environment)
    assert loaded.returncode == 0, loaded.stderr


def drop(system, instance):
    """Deletes the schema by mistake: its data stay."""
    system.client.delete_database(DeleteDatabaseRequest(instance_id=instance, ddm_dbname="shop", delete_rds_data="false"))
    eventually("the schema is gone", lambda: is_gone(lambda: system.client.show_database(
        ShowDatabaseRequest(instance_id=instance, ddm_dbname="shop"))), JOB_SECONDS)


def everything(system, instance):
    with log_in(system, instance) as client:
        return {table: sorted(rows(client, f"SELECT * FROM {table}")) for table in TABLES}


def test_dropped_schemas_come_back_by_id_and_by_time(world, shop):
    client, nodes = world.client, world.endpoints["data_nodes"][:2]
    before, physical = everything(world, shop), physical_rows(nodes)
    with log_in(world, shop) as connection:
        last = next_values(connection)
    then_ms = time.time() * 1000
    drop(world, shop)
    listed = client.list_backups(ListBackupsRequest(instance_id=shop))
    assert (listed.total, listed.offset, listed.limit) == (1, 0, 128)
    backup = listed.backups[0]
    assert backup.id.endswith("br09") and len(backup.id) == 36 and backup.name.startswith("Backup-shop-old-")
    assert (backup.status, backup.backup_type, backup.instance_name, backup.instance_status) == (
        "normal", "metadata", "shop-old", "RUNNING")
    assert backup.file_size > 0
    assert client.list_backups(ListBackupsRequest(backup_name=backup.name)).total == 1
    assert client.list_backups(ListBackupsRequest(instance_name="no such")).total == 0
    shown = client.show_backup(ShowBackupRequest(instance_id=shop, backup_id=backup.id))
    assert [one.instance_id for one in shown.related_data_nodes] == [node["id"] for node in nodes]

    interval = client.show_avalible_time(ShowAvalibleTimeRequest(instance_id=shop)).restorable_time_intervals[0]
    assert int(interval.start_time) < then_ms < int(interval.end_time)
    target = client.show_avalible_ddms(ShowAvalibleDdmsRequest(instance_id=shop)).instances[0]
    assert (target.instance_id, target.available) == (shop, True)
    places = client.show_avalible_rds(ShowAvalibleRdsRequest(
        instance_id=shop, target_instance_id=shop, source_dn_instance_id=nodes[1]["id"], restore_time=str(int(then_ms))))
    assert [one.instance_id for one in places.target_data_nodes if one.available] == [nodes[1]["id"]]
    related = client.show_related_dns(ShowRelatedDnsRequest(instance_id=shop, restore_time=str(int(then_ms))))
    assert {one.instance_id for one in related.related_data_nodes} == {node["id"] for node in nodes}
    assert related.latest_restorable_time == interval.end_time

    assert refused(lambda: restore(world, shop, shop, nodes)) == (400, "DBS.280001")
    strangers = [nodes[0], world.endpoints["data_nodes"][3]]
    assert refused(lambda: restore(world, shop, shop, strangers, backup_id=backup.id)) == (400, "DBS.300336")
    settled(world, restore(world, shop, shop, nodes, backup_id=backup.id).job_id)
    assert status(world, shop) == "RUNNING"
    assert everything(world, shop) == before and physical_rows(nodes) == physical
    clerk = client.list_users(ListUsersRequest(instance_id=shop)).users
    assert [[one.name for one in user.databases] for user in clerk if user.name == "clerk"] == [["shop"]]
    with log_in(world, shop) as connection, connection.cursor() as cursor:
        largest = rows(connection, "SELECT MAX(id) FROM orders")[0][0]
        cursor.execute("INSERT INTO orders (customer) VALUES (1)")
        assert cursor.lastrowid > largest, "generated values go on"
        after = next_values(connection)
        assert after[0] > last[0] and after[1] < last[1], "sequences go on"

    before = everything(world, shop)
    drop(world, shop)
    settled(world, restore(world, shop, shop, nodes[::-1], restore_time=time.time() * 1000).job_id)
    assert everything(world, shop) == before

    settled(world, client.delete_backup(DeleteBackupRequest(backup_id=backup.id)).job_id)
    assert client.list_backups(ListBackupsRequest(instance_id=shop)).total == 1
    assert refused(lambda: client.delete_backup(DeleteBackupRequest(backup_id=backup.id)))[0] == 404


def test_a_deleted_instance_comes_back_on_another(world, shop):
    nodes = world.endpoints["data_nodes"][:2]
    before = everything(world, shop)
    delete(world, shop, "false")
    backups = world.client.list_backups(ListBackupsRequest(instance_id=shop)).backups
    assert {one.instance_status for one in backups} == {"DELETED"}
    again = buy(world, "shop-again")
    assert backups[0].id in [one["id"] for one in world.ctl("backups", "list")]
    ids = ",".join(node["id"] for node in nodes)
    world.ctl("backups", "restore", "shop-again", backups[0].id, "--data-node", ids)
    assert everything(world, again) == before

    # The same by the command line: the tables come empty, the old ones go with their backup.
    file = world.root / "shop.json"
    file.write_text(json.dumps(world.ctl("metadata", "export", "shop-again")))
    copy, free = buy(world, "shop-copy"), [node["id"] for node in world.endpoints["data_nodes"][2:]]
    world.ctl("metadata", "import", "shop-copy", str(file), "--data-node", ",".join(free))
    assert everything(world, copy) == {table: [] for table in TABLES}
    world.ctl("backups", "delete", backups[0].id)
    assert backups[0].id not in [one["id"] for one in world.ctl("backups", "list")]
