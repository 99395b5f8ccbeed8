"""Reads on replicas, in a whole system whose data nodes have two replicas each: weights set by the API, the
nodes of a read-only group, and a replica that dies. Counted by the data nodes' own counters."""

import os
import signal
import threading

import pymysql
import pytest
from huaweicloudsdkddm.v1 import (
    CreateGroupRequest, CreateGroupRequestBody, ListFlavorsRequest, ListGroupRequest, NodeInfo,
)
from huaweicloudsdkddm.v1 import ListEnginesRequest
from system import JOB_SECONDS, System, connect, eventually, rows

IDS = 64
READS = 4_000
TOLERANCE = 5


class Split:
    """The demo's instance, with what a test needs to count reads."""

    def __init__(self, system):
        self.system, self.ends = system, system.endpoints["demo"]
        self.instance = self.ends["instance_id"]
        with self.log_in() as client:
            rows(client, "CREATE TABLE shared (id INT PRIMARY KEY, v INT) DBPARTITION BY HASH(id)")
            rows(client, "INSERT INTO shared VALUES " + ",".join(f"({i}, {i})" for i in range(IDS)))

    def log_in(self, host=None):
        ends = self.ends
        return connect(host or ends["host"], ends["port"], ends["user"], ends["password"], ends["schema"])

    def weigh(self, primary, *replicas):
        """Every data node's servers get these weights."""
        for node in self.system.endpoints["data_nodes"]:
            weights = [(node["id"], primary), *((one["id"], w) for one, w in zip(node["replicas"], replicas))]
            self.system.ctl("instances", "read-weights", self.instance, *(f"{i}={w}" for i, w in weights))

    def selects(self):
        """The counters of all servers: those of primaries, of first replicas, of second ones."""
        sums = [0, 0, 0]
        for node in self.system.endpoints["data_nodes"]:
            for at, server in enumerate([node, *node["replicas"]]):
                with connect(server["host"], server["port"], node["admin_user"], node["admin_password"]) as direct:
                    sums[at] += int(rows(direct, "SHOW GLOBAL STATUS LIKE 'Com_select'")[0][1])
        return sums

    def shares(self, host=None, count=READS, hint=""):
        """The shares of the reads that each place of a data node's servers got, in percent."""
        with self.log_in(host) as client:
            before = self.selects()
            for number in range(count):
                assert rows(client, f"{hint}SELECT v FROM shared WHERE id = {number % IDS}") == [(number % IDS,)]
        return [100 * (after - old) / count for after, old in zip(self.selects(), before)]

    def reads_as(self, *wanted, host=None):
        """Waits until some reads are shared so."""
        near = lambda shares: all(abs(a - b) < 15 for a, b in zip(shares, wanted))  # noqa: E731
        eventually(f"shares {wanted}", lambda: near(self.shares(host, 200)))


@pytest.fixture(scope="module")
def split():
    system = System("--demo", "--replicas", "2")
    try:
        yield Split(system.start())
    finally:
        system.remove()


def test_weights_of_the_api_share_the_reads(split):
    split.reads_as(100, 0, 0)
    split.weigh(20, 30, 50)
    split.reads_as(20, 30, 50)
    shares = split.shares()
    print(shares)
    assert all(abs(share - wanted) <= TOLERANCE for share, wanted in zip(shares, (20, 30, 50))), shares
    for hint, wanted in [("/*+db_type=master*/ ", (100, 0, 0)), ("/*!mycat:db_type=slave*/ ", (0, 37.5, 62.5))]:
        shares = split.shares(hint=hint, count=1_000)
        assert all(abs(share - want) <= TOLERANCE for share, want in zip(shares, wanted)), (hint, shares)


def test_a_read_only_group_reads_replicas_and_writes_nothing(split):
    split.weigh(100, 0, 0)
    client = split.system.sdk()
    zone = split.system.endpoints["availability_zones"][0]
    engine = client.list_engines(ListEnginesRequest()).engine_groups[0]
    flavors = client.list_flavors(ListFlavorsRequest(engine_id=engine.id)).compute_flavor_groups
    flavor = flavors[0].compute_flavors[0].code
    made = client.create_group(CreateGroupRequest(instance_id=split.instance, body=CreateGroupRequestBody(
        name="reports", type="r", flavor_ref=flavor, nodes=[NodeInfo(available_zone=zone)])))
    eventually("the group is there", lambda: split.system.ctl("jobs", "show", made.job_id)["status"] == "Completed",
               JOB_SECONDS)
    groups = client.list_group(ListGroupRequest(instance_id=split.instance, offset=0, limit=128)).group_list
    host = next(group.endpoint for group in groups if group.name == "reports").split(":")[0]
    split.reads_as(0, 50, 50, host=host)
    split.reads_as(100, 0, 0)
    with split.log_in(host) as there:
        for sql in ("UPDATE shared SET v = 0 WHERE id = 1", "DROP TABLE shared", "SELECT v FROM shared WHERE id = 1 FOR UPDATE"):
            with pytest.raises(pymysql.err.MySQLError) as error:
                rows(there, sql)
            assert error.value.args[0] == 1290, sql
        assert rows(there, "SELECT COUNT(*), SUM(v) FROM shared") == [(IDS, sum(range(IDS)))]
        assert ("shared",) in rows(there, "SHOW TABLES")


def test_a_replica_that_dies_costs_no_client_an_error(split):
    split.weigh(10, 45, 45)
    split.reads_as(10, 45, 45)
    stop, errors, done = threading.Event(), [], []

    def read(start):
        try:
            with split.log_in() as client:
                number = start
                while not stop.is_set():
                    number += 1
                    assert rows(client, f"SELECT v FROM shared WHERE id = {number % IDS}") == [(number % IDS,)]
                    if number % 50 == 0:
                        assert rows(client, "SELECT COUNT(*) FROM shared") == [(IDS,)]
            done.append(number - start)
        except Exception as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    killed = split.system.children("replica-1")
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    try:
        with split.log_in() as client:
            eventually("reads go on without it", lambda: rows(client, "SELECT COUNT(*) FROM shared") == [(IDS,)])
        threading.Event().wait(3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors, errors
    assert len(done) == 8 and sum(done) > 100
