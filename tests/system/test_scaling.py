"""Growing, shrinking and changing the class of an instance while clients work: what each client may
notice is counted, sums show what was really done, and the processes show that the nodes are real."""

import os
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pymysql
import pytest
import requests
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkddm.v1 import (
    BatchDeleteNodesRequest, CreateGroupRequest, CreateGroupRequestBody, CreateInstanceDetail,
    CreateInstanceExtendParam, CreateInstanceReq, CreateInstanceRequest, CreateUsersDatabases, CreateUsersInfo,
    CreateUsersReq, CreateUsersRequest, DatabaseInstabcesParam, CreateDatabaseDetail, CreateDatabaseReq,
    CreateDatabaseRequest, DeleteGroupRequest, DeleteInstanceRequest, DeleteNodesRequest, EnlargeNodeInfo,
    ElbIpGroupOpsReq, EnlargeRequest, ExpandDdmInstanceNodesRequest, ExpandDdmInstanceNodesRequestBody, ExpandInstanceNodesRequest,
    IpGroupItem, ListEnginesRequest, ListFlavorsRequest, ListGroupRequest, NodeInfo, ReduceNodeOpenRequest, ReduceRequest,
    ResizeFlavorReq, ResizeFlavorRequest, RestartNodeRequest, ShowDatabaseRequest, ShowInstanceRequest,
    ShowIpGroupRequest, ShrinkInstanceNodesRequest, SwitchIpGroupRequest,
)
from system import JOB_SECONDS, UNTHROTTLED, System, connect, eventually, rows

PASSWORD = "Sc4ling-of_Zebras"
ACCOUNTS = 64
SMALL, LARGE = "ddm.c6.large.2", "ddm.c6.xlarge.2"
WORKERS, MEMORY_MB = {SMALL: 2, LARGE: 4}, {SMALL: 4096, LARGE: 8192}
TRANSACTION_SECONDS = 0.2
# A first packet that meets a closing socket is sent again by the client's kernel after 1 s, then 2 s.
CONNECT_SECONDS = 8
# What a client is told, or learns from the socket, when a node that goes ends its session between two
# statements: shutdown in progress, and the two ways of finding that the connection was closed.
ENDED = {1053, 2006, 2013}


class Scaled:
    """An instance of one node with a schema on two data nodes, which the tests grow and shrink."""

    def __init__(self, system):
        self.system, self.client = system, system.sdk()
        self.engine = self.client.list_engines(ListEnginesRequest()).engine_groups[0]
        groups = self.client.list_flavors(ListFlavorsRequest(engine_id=self.engine.id)).compute_flavor_groups
        self.flavors = {one.code: one.id for group in groups for one in group.compute_flavors}
        self.instance = self.buy("scaled", 1)
        shown = self.show()
        self.host, self.port = shown.access_ip, int(shown.access_port)
        self.build()

    def buy(self, name, nodes, **extend):
        ends = self.system.endpoints
        answer = self.client.create_instance(CreateInstanceRequest(body=CreateInstanceReq(
            instance=CreateInstanceDetail(
                name=name, flavor_id=self.flavors[SMALL], node_num=nodes, engine_id=self.engine.id,
                available_zones=ends["availability_zones"], vpc_id=ends["vpc_id"], subnet_id=ends["subnet_id"],
                security_group_id=ends["security_group_id"]),
            extend_param=CreateInstanceExtendParam(**extend) if extend else None)))
        eventually(f"{name} runs", lambda: self.show(answer.id).status == "RUNNING", JOB_SECONDS)
        return answer.id

    def build(self):
        client, instance = self.client, self.instance
        client.create_database(CreateDatabaseRequest(instance_id=instance, body=CreateDatabaseReq(databases=[
            CreateDatabaseDetail(name="bank", shard_mode="cluster", shard_number=8, used_rds=[
                DatabaseInstabcesParam(id=node["id"], admin_user=node["admin_user"], admin_password=node["admin_password"])
                for node in self.system.endpoints["data_nodes"]])])))
        eventually("the schema runs", lambda: client.show_database(ShowDatabaseRequest(
            instance_id=instance, ddm_dbname="bank")).database.status == "RUNNING", JOB_SECONDS)
        client.create_users(CreateUsersRequest(instance_id=instance, body=CreateUsersReq(users=[CreateUsersInfo(
            name="teller", password=PASSWORD, base_authority=["CREATE", "INSERT", "UPDATE", "SELECT"],
            databases=[CreateUsersDatabases(name="bank")])])))
        self.settled()
        # A node may take a moment to know the account.
        with eventually("the account can log in", self.log_in) as one:
            rows(one, "CREATE TABLE accounts (id INT PRIMARY KEY, amount INT NOT NULL) DBPARTITION BY HASH(id)")
            rows(one, "INSERT INTO accounts VALUES " + ",".join(f"({i}, 0)" for i in range(ACCOUNTS)))

    def show(self, instance=None):
        return self.client.show_instance(ShowInstanceRequest(instance_id=instance or self.instance))

    def log_in(self, host=None):
        return connect(host or self.host, self.port, "teller", PASSWORD, "bank")

    def total(self):
        with self.log_in() as one:
            return int(rows(one, "SELECT SUM(amount) FROM accounts")[0][0])

    def settled(self):
        eventually("the instance runs", lambda: self.show().status == "RUNNING", JOB_SECONDS)

    def finish(self, job_id):
        """Waits for a job; the statuses that the instance had meanwhile."""
        seen, deadline = set(), time.monotonic() + JOB_SECONDS
        while True:
            seen.add(self.show().status)
            if "RUNNING" in seen:
                job = self.system.ctl("jobs", "show", job_id)
                assert job["status"] == "Completed", job
                return seen
            assert time.monotonic() < deadline, seen
            time.sleep(0.01)

    def nodes(self):
        """The nodes' ids with their addresses."""
        return {node.node_id: node.ip for node in self.show().nodes}

    def process(self, node):
        """The node's process: pid, worker threads, and the memory that it holds itself to."""
        [pid] = self.system.children(f"{node}/node.toml")
        names = [(task / "comm").read_text().strip() for task in Path(f"/proc/{pid}/task").iterdir()]
        metrics = requests.get(f"http://{self.nodes()[node]}:{self.port + 1}/metrics", timeout=5).text
        limit = next(line for line in metrics.splitlines() if line.startswith("ddm_memory_limit_bytes "))
        return pid, sum(name.startswith("worker-") for name in names), int(limit.split()[1]) >> 20

    def grow(self, number):
        return self.client.expand_instance_nodes(ExpandInstanceNodesRequest(
            instance_id=self.instance, body=EnlargeRequest(flavor_id=self.flavors[self.show().flavor_ref], node_number=number)))

    def shrink(self, number):
        return self.client.shrink_instance_nodes(ShrinkInstanceNodesRequest(
            instance_id=self.instance, body=ReduceRequest(node_number=number)))

    def have(self, nodes, code=SMALL):
        """Brings the instance to so many nodes of this class, whatever an earlier test left."""
        more = nodes - len(self.nodes())
        if more:
            self.finish((self.grow(more) if more > 0 else self.shrink(-more)).job_id)
        if self.show().flavor_ref != code:
            self.finish(self.resize(code).job_id)
        return self.nodes()

    def resize(self, code):
        return self.client.resize_flavor(ResizeFlavorRequest(
            instance_id=self.instance, body=ResizeFlavorReq(spec_code=code)))


@pytest.fixture(scope="module")
def scaled():
    system = System(environment=UNTHROTTLED)
    try:
        yield Scaled(system.start())
    finally:
        system.remove()


class Load:
    """Clients at the instance's address that do not connect again by themselves: two whose statements
    commit each for itself, two with transactions, and one that only connects."""

    def __init__(self, scaled):
        self.scaled, self.over = scaled, threading.Event()
        self.lock, self.statements, self.transactions, self.connects = threading.Lock(), 0, 0, 0
        self.ended, self.wrong, self.longest = Counter(), [], 0.0
        self.threads = [threading.Thread(target=self.work, args=(one,)) for one in (
            self.single, self.single, self.transaction, self.transaction)] + [threading.Thread(target=self.connect_only)]

    def __enter__(self):
        self.before = self.scaled.total()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads), "a client hangs"

    def note(self, what, error):
        """An error that no client should meet."""
        with self.lock:
            self.wrong.append((what, repr(error)))

    def log_in(self):
        begun = time.monotonic()
        try:
            client = self.scaled.log_in()
        except (pymysql.MySQLError, OSError) as error:
            self.note("connecting", error)
            return None
        with self.lock:
            self.connects += 1
            self.longest = max(self.longest, time.monotonic() - begun)
        return client

    def work(self, unit):
        number = 0
        while not self.over.is_set():
            client = self.log_in()
            while client and not self.over.is_set():
                number += 1
                if not unit(client, number % ACCOUNTS):
                    break
            if client and client.open:
                client.close()

    def between(self, what, error):
        """The session ended before the statement ran, or this is an error."""
        if error.args and error.args[0] in ENDED:
            with self.lock:
                self.ended[what, error.args[0]] += 1
        else:
            self.note(what, error)
        return False

    def single(self, client, number):
        try:
            rows(client, f"UPDATE accounts SET amount = amount + 1 WHERE id = {number}")
        except pymysql.MySQLError as error:
            return self.between("statement", error)
        with self.lock:
            self.statements += 1
        return True

    def transaction(self, client, number):
        try:
            rows(client, "BEGIN")
        except pymysql.MySQLError as error:
            return self.between("begin", error)
        try:
            first, second = sorted((number, (number * 7 + 3) % ACCOUNTS))
            rows(client, f"UPDATE accounts SET amount = amount + 1 WHERE id = {first}")
            time.sleep(TRANSACTION_SECONDS)
            rows(client, f"UPDATE accounts SET amount = amount + 1 WHERE id = {second}")
            rows(client, "COMMIT")
        except pymysql.MySQLError as error:
            if error.args[0] in (1205, 1213):  # another transaction's lock: the data node's word, not the node's
                rows(client, "ROLLBACK")
                return True
            self.note("in a transaction", error)
            return False
        with self.lock:
            self.transactions += 1
        return True

    def connect_only(self):
        while not self.over.is_set():
            client = self.log_in()
            if client:
                try:
                    rows(client, "SELECT 1")
                except pymysql.MySQLError as error:
                    self.between("first statement", error)
                client.close()
            time.sleep(0.005)

    def check(self):
        """Nothing that was acknowledged is missing, and nothing else was done."""
        print({"statements": self.statements, "transactions": self.transactions, "connects": self.connects,
               "longest connect": round(self.longest, 2), "ended": dict(self.ended)})
        assert not self.wrong, Counter(self.wrong)
        assert self.statements > 100 and self.transactions > 10 and self.connects > 30
        assert self.scaled.total() - self.before == self.statements + 2 * self.transactions
        assert self.longest < CONNECT_SECONDS, "the address was not served for a while"


def test_clients_are_served_while_nodes_come_and_go(scaled):
    first = scaled.have(1)
    with Load(scaled) as load:
        time.sleep(1)
        answer = scaled.grow(2)
        assert "GROWING" in scaled.finish(answer.job_id)
        grown = scaled.nodes()
        assert len(grown) == 3 and set(first) < set(grown)
        before = {node: scaled.process(node) for node in grown}
        assert {one[1:] for one in before.values()} == {(WORKERS[SMALL], MEMORY_MB[SMALL])}
        time.sleep(1)

        assert "RESIZING" in scaled.finish(scaled.resize(LARGE).job_id)
        assert scaled.nodes() == grown, "the nodes are the same, with other processes"
        after = {node: scaled.process(node) for node in grown}
        assert {one[1:] for one in after.values()} == {(WORKERS[LARGE], MEMORY_MB[LARGE])}
        assert not {one[0] for one in before.values()} & {one[0] for one in after.values()}
        shown = scaled.show()
        assert (shown.flavor_ref, shown.core_count, shown.ram_capacity) == (LARGE, "4", "8")

        one = next(iter(grown))
        restart = scaled.client.restart_node(RestartNodeRequest(instance_id=scaled.instance, node_id=one))
        assert "RESTARTING" in scaled.finish(restart.job_id)
        again = {node: scaled.process(node)[0] for node in grown}
        assert {node for node in grown if again[node] != after[node][0]} == {one}

        assert "REDUCING" in scaled.finish(scaled.shrink(2).job_id)
        left = scaled.nodes()
        assert set(left) == set(first), "the youngest went"

        # The last one's clients wait for it.
        [last] = left
        before = scaled.process(last)
        assert "RESIZING" in scaled.finish(scaled.resize(SMALL).job_id)
        after = scaled.process(last)
        assert before[0] != after[0] and after[1:] == (WORKERS[SMALL], MEMORY_MB[SMALL])
        time.sleep(1)
    load.check()
    assert load.ended, "clients of the nodes that went were told"
    for node in set(grown) - set(left):
        assert not Path(f"/proc/{again[node]}").exists() and not scaled.system.children(node)
        assert not Path(scaled.system.data_dir, "nodes", node).exists()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((grown[node], scaled.port), 5)


def test_transactions_get_their_time_and_no_more(scaled):
    """A node that leaves: idle sessions end at once, a transaction may end within its time, and one that
    does not is rolled back."""
    grace = 1  # live_transaction_timeout_on_shutdown, which cannot be edited
    zones = scaled.system.endpoints["availability_zones"]
    known = scaled.have(1)
    scaled.finish(scaled.client.expand_ddm_instance_nodes(ExpandDdmInstanceNodesRequest(
        instance_id=scaled.instance, body=ExpandDdmInstanceNodesRequestBody(
            nodes=[EnlargeNodeInfo(available_zone=zones[-1])]))).job_id)
    [(node, host)] = set(scaled.nodes().items()) - set(known.items())
    before = scaled.total()
    quick, slow, idle = (scaled.log_in(host) for _ in range(3))
    for client, account in ((quick, 1), (slow, 2)):
        rows(client, "BEGIN")
        rows(client, f"UPDATE accounts SET amount = amount + 1 WHERE id = {account}")
    rows(idle, "SELECT 1")
    answer = scaled.client.batch_delete_nodes(BatchDeleteNodesRequest(
        instance_id=scaled.instance, body=ReduceNodeOpenRequest(node_ids=[node])))
    begun = time.monotonic()
    # An idle session ends although transactions go on.
    idle._sock.settimeout(2)
    idle._sock.recv(1)
    with pytest.raises(pymysql.MySQLError) as error:
        rows(idle, "SELECT 1")
    assert error.value.args[0] in ENDED and time.monotonic() - begun < 2
    with pytest.raises(ConnectionRefusedError):
        eventually_refused(host, scaled.port)
    assert scaled.show().status == "REDUCING"
    rows(quick, "UPDATE accounts SET amount = amount + 1 WHERE id = 3")
    rows(quick, "COMMIT")
    slow._sock.settimeout(grace + 5)
    slow._sock.recv(1)
    lasted = time.monotonic() - begun
    assert grace - 0.5 < lasted < grace + 2, lasted
    scaled.finish(answer.job_id)
    assert scaled.total() == before + 2, "what committed is there, what did not is not"
    assert node not in scaled.nodes()


def eventually_refused(host, port):
    """Connects until that is refused."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        socket.create_connection((host, port), 5).close()
        time.sleep(0.05)


def refused(call, *arguments, **fields):
    with pytest.raises(ClientRequestException) as error:
        call(*arguments, **fields)
    return error.value.status_code, error.value.error_msg + str(error.value.error_code)


def test_what_is_refused(scaled):
    """At least one node stays; a class must be another one; only while the instance is RUNNING."""
    everything = list(scaled.have(2, LARGE))
    for status, text in (
        refused(scaled.shrink, len(everything)),
        refused(scaled.resize, scaled.show().flavor_ref),
        refused(scaled.resize, "ddm.c9.large.2"),
        refused(scaled.grow, 33),
        refused(scaled.client.delete_nodes, DeleteNodesRequest(
            instance_id=scaled.instance, body=ReduceNodeOpenRequest(node_ids=everything))),
    ):
        assert status == 400 and "DBS.280001" in text
    job = scaled.resize(SMALL).job_id
    for status, text in (refused(scaled.shrink, 1), refused(scaled.grow, 1), refused(scaled.resize, LARGE)):
        assert status == 409 and "DBS.200076" in text
    scaled.finish(job)


def test_only_what_is_well_grows_shrinks_and_changes(scaled):
    """A data node that does not answer holds up growing and shrinking; a node that does not, a change
    of class, which would stop the others one by one."""
    nodes = scaled.have(2)
    server = scaled.system.children("mariadbd")[0]
    os.kill(server, signal.SIGSTOP)
    try:
        for call, number in ((scaled.grow, 1), (scaled.shrink, 1)):
            status, text = refused(call, number)
            assert status == 400 and "DBS.300356" in text
    finally:
        os.kill(server, signal.SIGCONT)
    dead, pid = (lambda node: (node, scaled.process(node)[0]))(next(iter(nodes)))
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually("the node is not heard", lambda: abnormal(scaled, dead))
        status, text = refused(scaled.resize, LARGE)
        assert status == 409 and "DBS.200076" in text
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually("the node is heard again", lambda: not abnormal(scaled, dead))
    scaled.have(2, LARGE)


def abnormal(scaled, node):
    return next(one.status for one in scaled.show().nodes if one.node_id == node) != "RUNNING"


def test_one_node_named_by_its_id_goes(scaled):
    gone = sorted(scaled.have(2))[0]
    answer = scaled.client.delete_nodes(DeleteNodesRequest(
        instance_id=scaled.instance, body=ReduceNodeOpenRequest(node_ids=[gone])))
    assert "REDUCING" in scaled.finish(answer.job_id)
    assert gone not in scaled.nodes() and not scaled.system.children(f"{gone}/node.toml")
    with scaled.log_in() as client:
        assert rows(client, "SELECT COUNT(*) FROM accounts") == [(ACCOUNTS,)], "the rest serve"


def test_a_group_has_nodes_and_an_address_of_its_own(scaled):
    scaled.have(1)
    client, instance = scaled.client, scaled.instance
    zone = scaled.system.endpoints["availability_zones"][0]
    listed = lambda: {one.name: one for one in client.list_group(  # noqa: E731
        ListGroupRequest(instance_id=instance, offset=0, limit=128)).group_list}
    made = client.create_group(CreateGroupRequest(instance_id=instance, body=CreateGroupRequestBody(
        name="reports", type="r", flavor_ref=LARGE, nodes=[NodeInfo(available_zone=zone)] * 2)))
    assert "GROWING" in scaled.finish(made.job_id)
    group = listed()["reports"]
    assert (group.id, group.role, group.is_default_group, len(group.node_list)) == (made.group_id, "r", False, 2)
    host, port = group.endpoint.split(":")
    assert host != scaled.host and int(port) == scaled.port
    assert {scaled.process(node.id)[1:] for node in group.node_list} == {(WORKERS[LARGE], MEMORY_MB[LARGE])}
    own = {node.id: scaled.nodes()[node.id] for node in group.node_list}
    with scaled.log_in(host) as there, scaled.log_in(next(iter(own.values()))) as direct:
        for one in (there, direct):
            assert rows(one, "SELECT 1") == [(1,)]
            with pytest.raises(pymysql.MySQLError) as error:
                rows(one, "UPDATE accounts SET amount = 0")
            assert error.value.args[0] == 1290, "nodes of a read-only group write nothing"
    scaled.system.ctl("instances", "enlarge", instance, "1", "--group", "reports")
    assert [len(one.node_list) for one in listed().values()] == [1, 3], "the group's class is found"
    scaled.system.ctl("instances", "reduce", instance, "1", "--group", "reports")
    status, text = refused(scaled.shrink, 1)
    assert status == 400 and "group_id" in text, "with two groups a call says which it means"
    assert "REDUCING" in scaled.finish(client.delete_group(
        DeleteGroupRequest(instance_id=instance, group_id=made.group_id)).job_id)
    assert list(listed()) == ["group-default"]
    assert not any(scaled.system.children(f"{node}/node.toml") for node in own)
    for address in (host, *own.values()):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, scaled.port), 5)


def test_an_access_list_decides_which_clients_a_group_takes(scaled):
    """White and black lists, at once, on one group alone; sessions of those who are out are ended."""
    scaled.have(1)
    client, instance = scaled.client, scaled.instance
    group = client.list_group(ListGroupRequest(instance_id=instance)).group_list[0].id
    elsewhere = "127.9.9.9"

    def switch(**fields):
        return client.switch_ip_group(SwitchIpGroupRequest(
            instance_id=instance, group_id=group, body=ElbIpGroupOpsReq(**fields))).enable_ipgroup

    def shown():
        return client.show_ip_group(ShowIpGroupRequest(instance_id=instance, group_id=group))

    def log_in(source):
        return connect(scaled.host, scaled.port, "teller", PASSWORD, "bank", bind_address=source)

    def turned_away(source):
        with pytest.raises(pymysql.MySQLError) as error:
            log_in(source)
        return error.value.args[0] == 1130

    assert (shown().enable_ipgroup, shown().type) == (False, "white")
    with log_in(elsewhere) as outside, log_in("127.0.0.1") as inside:
        assert switch(type="white", enable_ip_group=True, ip_list=[IpGroupItem(ip="127.0.0.1", description="here")])
        assert turned_away(elsewhere)
        log_in("127.0.0.1").close()
        outside._sock.settimeout(5)
        assert outside._sock.recv(1) == b"", "whoever is out is ended"
        assert rows(inside, "SELECT 1") == [(1,)]
    # A node that joins the group has its list from the start.
    new = scaled.have(2)
    with pytest.raises(pymysql.MySQLError):
        connect(max(new.values()), scaled.port, "teller", PASSWORD, "bank", bind_address=elsewhere)
    assert switch(type="black")
    assert turned_away("127.0.0.1")
    log_in(elsewhere).close()
    assert (shown().type, shown().ipgroup["ip_list"]) == ("black", [{"ip": "127.0.0.1", "description": "here"}])
    status, text = refused(switch, ip_list=[])
    assert status == 400 and "DBS.280001" in text and "ip_list" in text
    assert switch(enable_ip_group=False) is False
    for source in (elsewhere, "127.0.0.1"):
        log_in(source).close()


def test_what_is_paid_for_a_time_is_ordered_first(scaled):
    client = scaled.client
    instance = scaled.buy("ordered", 1, charge_mode="prePaid", period_type="month", period_num=1, is_auto_pay="true")
    try:
        answer = client.expand_instance_nodes(ExpandInstanceNodesRequest(instance_id=instance, body=EnlargeRequest(
            flavor_id=scaled.flavors[SMALL], node_number=1)))
        assert answer.order_id and answer.job_id is None
        assert scaled.show(instance).status == "RUNNING" and scaled.show(instance).node_count == 1
        paid = pay(scaled.system, answer.order_id)
        assert scaled.system.ctl("jobs", "wait", paid["job_id"])["status"] == "Completed"
        assert scaled.show(instance).node_count == 2
        at_once = client.resize_flavor(ResizeFlavorRequest(
            instance_id=instance, body=ResizeFlavorReq(spec_code=LARGE, is_auto_pay=True)))
        assert at_once.order_id and at_once.job_id is None
        eventually("the class is another", lambda: (scaled.show(instance).flavor_ref, scaled.show(instance).status) == (
            LARGE, "RUNNING"))
    finally:
        client.delete_instance(DeleteInstanceRequest(instance_id=instance))


def pay(system, order):
    """A call of our own, through the SDK's transport."""
    import json

    answer = system.sdk()._call_api(
        method="POST", resource_path=f"/v3/{{project_id}}/orders/{order}/pay", request_type="Call",
        response_type="RebuildDdmConfigResponse", cname=None, collection_formats={}, path_params={}, query_params=[],
        header_params={"Content-Type": "application/json"}, post_params={}, body=None, response_headers=[])
    return json.loads(answer.raw_content)


def test_a_hard_killed_node_comes_back_with_its_class(scaled):
    """The class belongs to the node, not to the moment of its change."""
    scaled.have(1)
    node = next(iter(scaled.have(1, LARGE)))
    pid = scaled.process(node)[0]
    os.kill(pid, signal.SIGKILL)
    again = eventually("it is started again", lambda: (
        lambda now: now if now[0] != pid and now[1] else None)(scaled.process(node)))
    assert again[1:] == (WORKERS[LARGE], MEMORY_MB[LARGE])
