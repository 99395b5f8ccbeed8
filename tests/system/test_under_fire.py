"""Random calls from many clients at once while the control plane is killed again and again: whatever
happens, each call gets a documented answer, every job ends, and in the end the API, the processes, the
addresses and the data nodes agree.

The calls are chosen by operation id out of the OpenAPI document: a call that reads joins by itself, one
that changes joins when `CHANGES` knows how to make its body. DDM_TEST_FORM=long makes many more calls;
DDM_TEST_SEED chooses others."""

import json
import os
import random
import threading
import time
from pathlib import Path

import invariants
from system import System, eventually

LONG = os.environ.get("DDM_TEST_FORM") == "long"
CALLS = 5_000 if LONG else 500
KILLS = 20 if LONG else 4
CLIENTS = 8
SEED = int(os.environ.get("DDM_TEST_SEED", "20261121"))
SETTLE_SECONDS = 600 if LONG else 180
INSTANCES_MAX = 3
DATA_NODES = 3
PASSWORDS = ["Zebra-of_Night7", "Willow+of-Day8", "Otter_of^Dawn9"]
# Answers that a call may get; 409, 400 and 404 because others change the same objects meanwhile.
ALLOWED = {200, 201, 202, 204, 400, 404, 409, 413, 429}
OPENAPI = Path(__file__).parents[2] / "api" / "openapi.json"


class Fire:
    """The system under fire and what its clients know of it."""

    def __init__(self, system):
        self.system, self.lock = system, threading.Lock()
        self.api = invariants.Api(system)
        self.up = threading.Event()
        self.up.set()
        self.done, self.answers, self.wrong, self.kept = 0, {}, [], set()
        self.ids = {"instance_id": [], "job_id": [], "node_id": [], "backup_id": [], "order_id": [], "group_id": []}

    def learn(self, answer):
        """Keeps ids that answers tell, so that later calls can name them."""
        if not isinstance(answer, dict):
            return
        if "instances" in answer and answer.get("instance_num") is not None:
            self.ids["instance_id"] = [one["id"] for one in answer["instances"]]
        for key, found in (("job_id", answer.get("job_id")), ("instance_id", answer.get("id") if "job_id" in answer else None)):
            if isinstance(found, str):
                self.ids[key] = [*self.ids[key][-30:], found]
        for node in answer.get("nodes") or []:
            if isinstance(node, dict) and node.get("node_id"):
                self.ids["node_id"] = [*self.ids["node_id"][-10:], node["node_id"]]


def new_instance(fire, rng, v3=False):
    if len(fire.ids["instance_id"]) >= INSTANCES_MAX and rng.random() < 0.9:
        return None
    ends = fire.system.endpoints
    detail = {"name": f"fire-{rng.randrange(1000)}", "node_num": rng.choice([1, 1, 2]), "available_zones": ["az1"],
              "vpc_id": ends["vpc_id"], "subnet_id": ends["subnet_id"], "security_group_id": ends["security_group_id"]}
    if v3:
        flavor = fire.flavor_code
        return {**detail, "flavor_ref": flavor}
    return {"instance": {**detail, "flavor_id": fire.flavor, "engine_id": fire.engine}}


def schema_name(rng):
    return f"fire_{rng.choice('abcde')}"


def used(fire, rng, user="admin_user", password="admin_password"):
    nodes = rng.sample(fire.system.endpoints["data_nodes"], rng.choice([1, 1, 2]))
    return [{"id": node["id"], user: node["admin_user"], password: node["admin_password"]} for node in nodes]


def new_schema(fire, rng):
    nodes = used(fire, rng)
    return {"databases": [{"name": schema_name(rng), "shard_mode": "cluster", "shard_number": 2 * len(nodes), "used_rds": nodes}]}


def new_schema_v3(fire, rng):
    nodes = used(fire, rng)
    return {"name": schema_name(rng), "shard_mode": "cluster", "shard_number": 2 * len(nodes), "dn_instances": nodes}


def account(rng):
    body = {"name": rng.choice(["ann", "bob", "eve"]), "password": rng.choice(PASSWORDS), "base_authority": ["SELECT", "INSERT"]}
    if rng.random() < 0.5:
        body["databases"] = [{"name": schema_name(rng)}]
    return body


def account_change(rng):
    return {"base_authority": rng.sample(["SELECT", "INSERT", "UPDATE", "DELETE"], 2), "description": f"d{rng.randrange(9)}"}


# operation id: (how often, body); a body of None leaves the call out this time.
CHANGES = {
    "create_instance": (6, lambda fire, rng: new_instance(fire, rng)),
    "create_instance_v3": (3, lambda fire, rng: new_instance(fire, rng, v3=True)),
    "delete_instance": (2, lambda fire, rng: {}),
    "delete_instance_v3": (1, lambda fire, rng: {}),
    "restart_instance": (2, lambda fire, rng: {"restart": {"type": rng.choice(["soft", "hard"])}}),
    "restart_instance_v3": (1, lambda fire, rng: {}),
    "rename_instance": (3, lambda fire, rng: {"name": f"fire-{rng.randrange(1000)}"}),
    "rename_instance_v3": (2, lambda fire, rng: {"name": f"fire-{rng.randrange(1000)}"}),
    "create_schema": (10, new_schema),
    "create_schema_v3": (5, new_schema_v3),
    "delete_schema": (6, lambda fire, rng: {}),
    "delete_schema_v3": (3, lambda fire, rng: {}),
    "create_accounts": (6, lambda fire, rng: {"users": [account(rng)]}),
    "create_account_v3": (4, lambda fire, rng: account(rng)),
    "update_account": (4, lambda fire, rng: {"user": account_change(rng)}),
    "update_account_v3": (3, lambda fire, rng: account_change(rng)),
    "delete_account": (3, lambda fire, rng: {}),
    "delete_account_v3": (2, lambda fire, rng: {}),
    "reset_password": (3, lambda fire, rng: {"password": rng.choice(PASSWORDS)}),
    "reset_password_v3": (2, lambda fire, rng: {"password": rng.choice(PASSWORDS)}),
    "set_administrator": (3, lambda fire, rng: {"name": "boss", "password": rng.choice(PASSWORDS)}),
    "verify_password": (1, lambda fire, rng: {"password": rng.choice(PASSWORDS)}),
    "pay_order": (1, lambda fire, rng: {}),
    # These join when the system serves them.
    "enlarge_instance": (2, lambda fire, rng: {"flavor_id": fire.flavor, "node_number": 1, "group_id": ""}),
    "reduce_instance": (2, lambda fire, rng: {"node_number": 1, "group_id": ""}),
    "modify_configurations": (2, lambda fire, rng: {"values": {"long_query_time": rng.choice(["1", "2", "5"])}}),
    "change_configuration": (2, lambda fire, rng: {"values": {"long_query_time": rng.choice(["1", "2", "5"])}}),
    "set_read_weights": (2, lambda fire, rng: {"read_weight": {node["id"]: 100 for node in fire.system.endpoints["data_nodes"][:1]}}),
    "synchronize_data_nodes": (2, lambda fire, rng: {}),
    "reload_configuration": (1, lambda fire, rng: {}),
}


def operations():
    """Every call of the document: method, path, operation id, names of its query parameters."""
    document = json.loads(OPENAPI.read_text())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            query = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
            yield method.upper(), path, operation["operationId"], query


def fill(path, fire, rng):
    """The path with ids that are known, mostly; None when one cannot be named."""
    values = {"ddm_dbname": schema_name(rng), "database_name": schema_name(rng), "username": rng.choice(["ann", "bob", "eve"])}
    for part in path.split("/"):
        name = part.strip("{}")
        if part.startswith("{") and name != "project_id":
            value = values.get(name)
            if value is None:
                known = fire.ids.get(name) or []
                value = rng.choice(known) if known else None
            if value is None:
                return None
            path = path.replace(part, value)
    return path


def query_of(method, names, rng):
    if method == "DELETE":
        return "".join(f"?{name}=true" for name in names if name.startswith("delete_"))
    if "limit" in names and rng.random() < 0.5:
        return f"?offset={rng.randrange(3)}&limit={rng.choice([1, 10, 128])}"
    return ""


def choose(fire, rng, table):
    """A call: method, path, body, operation id."""
    while True:
        method, path, operation, names = rng.choices([one for one, _ in table], [weight for _, weight in table])[0]
        filled = fill(path, fire, rng)
        if filled is None:
            continue
        body = None
        if method != "GET":
            body = CHANGES[operation][1](fire, rng)
            if body is None:
                continue
        return method, filled + query_of(method, names, rng), body if method in ("POST", "PUT") else None, operation


def client(fire, number, table):
    """One client: takes calls until all are made. One that the death of the control plane cut off is lost."""
    rng = random.Random(SEED * 100 + number)
    while True:
        with fire.lock:
            if fire.done >= CALLS:
                return
            fire.done += 1
            method, path, body, operation = choose(fire, rng, table)
        fire.up.wait(120)
        api = fire.api
        try:
            status, answer, _ = api.send(method, path, body)
        except OSError:
            status, answer = "lost", None
        except Exception as error:  # noqa: BLE001 - an answer that is cut off in mid-text
            status, answer = f"lost ({type(error).__name__})", None
        with fire.lock:
            fire.answers[(operation, status)] = fire.answers.get((operation, status), 0) + 1
            if isinstance(status, int) and status < 300:
                fire.learn(answer)
            # While it stops or begins it may say that it cannot.
            if isinstance(status, int) and status not in ALLOWED and not (status == 503 and fire.api is not api):
                fire.wrong.append((operation, path, status, answer))
        if status == "lost":
            time.sleep(0.05)


def kill_now_and_then(fire):
    """kill -9 of the control plane after each part of the calls, and a start on the same directory."""
    rng = random.Random(SEED)
    for kill in range(KILLS):
        while fire.done < (kill + 1) * CALLS // (KILLS + 1):
            time.sleep(0.01)
        fire.up.clear()
        fire.system.process.kill()
        fire.system.process.wait()
        time.sleep(rng.random())
        fire.system.start()
        fire.api = invariants.Api(fire.system)
        fire.up.set()


def test_under_fire():
    print(f"seed {SEED}, {CALLS} calls, {KILLS} kills")
    os.environ["DDM_API_CALLS_PER_MINUTE_USER"] = os.environ["DDM_API_CALLS_PER_MINUTE_API"] = "0"
    system = System("--data-nodes", str(DATA_NODES))
    try:
        system.start()
        before = invariants.baseline(system)
        fire = Fire(system)
        engine = fire.api.get("/v2/{project_id}/engines")["engineGroups"][0]
        flavor = fire.api.get(f"/v2/{{project_id}}/flavors?engine_id={engine['id']}")["computeFlavorGroups"][0]["computeFlavors"][0]
        fire.engine, fire.flavor, fire.flavor_code = engine["id"], flavor["id"], flavor["code"]
        table = []
        for method, path, operation, names in operations():
            weight = 1 if method == "GET" else CHANGES.get(operation, (0, None))[0]
            if weight and "data-nodes/" not in path:
                table.append(((method, path, operation, names), weight * (1 if method == "GET" else 3)))
        threads = [threading.Thread(target=client, args=(fire, number, table)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        kill_now_and_then(fire)
        for thread in threads:
            thread.join()
        for (operation, status), count in sorted(fire.answers.items(), key=str):
            print(f"{count:5} {operation} {status}")
        eventually("everything comes to rest", lambda: not invariants.busy(fire.api) or
                   print(invariants.busy(fire.api)), SETTLE_SECONDS)
        found, seen = invariants.problems(system, fire.api, before, fire.kept)
        for one in seen.instances.values():
            print(one["status"], one["name"], [(schema["name"], schema["status"]) for schema in one["schemas"]])
        print(len(seen.jobs), "jobs,", sum(job["status"] == "Failed" for job in seen.jobs), "failed:",
              {job["fail_reason"] for job in seen.jobs if job["status"] == "Failed"})
        assert not fire.wrong, fire.wrong
        assert not found, "\n".join(found)
        made = {operation for operation, status in fire.answers if isinstance(status, int) and status < 300}
        assert {"create_instance", "create_schema", "create_accounts"} <= made, made
    finally:
        system.remove()
