"""Read weights decide which server of a data node answers a read: measured by the servers' own
counters over many reads through the instance's address, at once after each call."""

import threading

import pytest
from huaweicloudsdkddm.v1 import (
    BatchModifyReadAndWriteStrategyRequest, BatchModifyReadWriteStrategyRequest, ModifyReadAndWriteStrategyReq,
    UpdateReadAndWriteStrategyRequest,
)
from instances import ask, buy, log_in, make_schema
from system import eventually, rows

READS = 10_000
CLIENTS = 4
KEYS = 400
SHARE_ERROR = 0.05
# Nodes look at every server now and then, which counts as SELECT too.
STRAY_READS_MAX = 150


@pytest.fixture(scope="module")
def shop(replicated):
    """An instance with a table on both data nodes, which every replica has."""
    system = replicated
    nodes = system.endpoints["data_nodes"]
    instance = buy(system, "weights")
    make_schema(system, instance, "weighed", nodes, 4)
    with log_in(system, instance, "weighed") as client:
        rows(client, "CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(20)) DBPARTITION BY MOD_HASH(id)")
        values = ", ".join(f"({key}, 'thing {key}')" for key in range(KEYS))
        rows(client, f"INSERT INTO things VALUES {values}")
    for node in nodes:
        databases = [name for (name,) in ask(node, "SHOW DATABASES LIKE 'weighed\\_%'")]
        count = " + ".join(f"(SELECT COUNT(*) FROM `{name}`.things)" for name in databases)
        for replica in node["replicas"]:
            eventually("the replica has the rows", lambda: ask(
                node, f"SELECT {count}", replica["port"]) == ask(node, f"SELECT {count}"))
    with log_in(system, instance, "weighed") as client:
        # Nodes read a replica once they have asked it how far behind it is.
        replicas = {one["id"] for node in nodes for one in node["replicas"]}

        def are_asked():
            before = counters(nodes)
            for key in range(KEYS):
                rows(client, "SELECT name FROM things WHERE id = %s", (key,))
            return all(after - before[name] > 50 for name, after in counters(nodes).items() if name in replicas)

        weights = {name: 100 if name in replicas else 0 for name in servers(nodes)}
        system.ctl("instances", "read-weights", instance, *[f"{name}={weight}" for name, weight in weights.items()])
        eventually("all replicas are read", are_asked)
    return system, instance, nodes


def servers(nodes):
    """Every server: id to data node and port."""
    found = {node["id"]: (node, node["port"]) for node in nodes}
    return {**found, **{one["id"]: (node, one["port"]) for node in nodes for one in node["replicas"]}}


def counters(nodes):
    """How many SELECTs each server has run."""
    sql = "SHOW GLOBAL STATUS LIKE 'Com_select'"
    return {name: int(ask(node, sql, port)[0][1]) for name, (node, port) in servers(nodes).items()}


def read(system, instance, count):
    """So many reads of one row each, evenly over the keys and so over the data nodes."""
    failures = []

    def reader(first):
        try:
            with log_in(system, instance, "weighed") as client:
                for number in range(first, count, CLIENTS):
                    key = number % KEYS
                    assert rows(client, "SELECT name FROM things WHERE id = %s", (key,)) == [(f"thing {key}",)]
        except Exception as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=reader, args=(first,)) for first in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def shares(system, instance, nodes, count):
    """The part of a data node's reads that each of its servers had."""
    before = counters(nodes)
    read(system, instance, count)
    made = {name: after - before[name] for name, after in counters(nodes).items()}
    parts = {}
    for node in nodes:
        own = [node["id"], *[one["id"] for one in node["replicas"]]]
        whole = sum(made[name] for name in own)
        assert whole >= count / len(nodes) * 0.9, (made, "each data node has its part of the rows")
        parts.update({name: made[name] / whole for name in own})
    return parts


def test_reads_follow_the_weights(shop):
    system, instance, nodes = shop
    first, second = nodes
    weights = [
        {first["id"]: 20, first["replicas"][0]["id"]: 50, first["replicas"][1]["id"]: 30},
        {second["id"]: 0, second["replicas"][0]["id"]: 75, second["replicas"][1]["id"]: 25},
    ]
    answer = system.sdk().batch_modify_read_write_strategy(BatchModifyReadWriteStrategyRequest(
        instance_id=instance, body=BatchModifyReadAndWriteStrategyRequest(read_weight_list=weights)))
    assert answer.success is True and len(answer.request_id) == 32
    measured = shares(system, instance, nodes, READS)
    wanted = {name: weight / 100 for entry in weights for name, weight in entry.items()}
    wrong = {name: (measured[name], part) for name, part in wanted.items() if abs(measured[name] - part) > SHARE_ERROR}
    assert not wrong, wrong


def test_a_change_acts_at_once_on_all_nodes(shop):
    system, instance, nodes = shop
    for which in (0, 1, 0):
        weights = {node["id"]: 0 for node in nodes}
        for node in nodes:
            for at, replica in enumerate(node["replicas"]):
                weights[replica["id"]] = 100 if at == which else 0
        answer = system.sdk().update_read_and_write_strategy(UpdateReadAndWriteStrategyRequest(
            instance_id=instance, body=ModifyReadAndWriteStrategyReq(read_weight=weights)))
        assert (answer.success, answer.instance_id) == (True, instance)
        # No wait: the call has answered, so every node follows it.
        before = counters(nodes)
        read(system, instance, 1_000)
        made = {name: after - before[name] for name, after in counters(nodes).items()}
        for name, weight in weights.items():
            if weight:
                assert made[name] >= 490, made
            else:
                assert made[name] <= STRAY_READS_MAX, made
    # In the end all reads go to the primaries again.
    primaries = {name: 100 if name in {node["id"] for node in nodes} else 0 for name in servers(nodes)}
    system.ctl("instances", "read-weights", instance, *[f"{name}={weight}" for name, weight in primaries.items()])
    measured = shares(system, instance, nodes, 1_000)
    assert all(measured[node["id"]] > 0.75 for node in nodes), measured
