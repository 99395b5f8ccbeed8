"""kill -9 of the control plane in the middle of a job of each kind: at its next start the job goes on and
completes, and in the end everything agrees. The moments are random; DDM_TEST_SEED chooses others."""

import os
import random
import re
import threading
import time
from pathlib import Path

import fire_calls
import invariants
from fire_calls import LARGE, SMALL, V1, V3
from system import UNTHROTTLED, System, eventually

ROUNDS = 4 if os.environ.get("DDM_TEST_FORM") == "long" else 1
SEED = int(os.environ.get("DDM_TEST_SEED", "1").split(",")[0])
JOBS = Path(__file__).parents[2] / "crates/control-app/src/jobs/mod.rs"
# The kill comes so many seconds after the call, at most, and rather sooner than later.
MOMENT_SECONDS = 0.25
# A call that was cut off before its job was stored is made again so often.
TRIES_MAX = 5
JOB_SECONDS = 60
PASSWORD = fire_calls.PASSWORDS[0]


def kinds():
    """The kinds of jobs that the product has."""
    return set(re.findall(r'^pub const [A-Z_]+: &str = "(\w+)";', JOBS.read_text(), re.M))


class Killer:
    """A system whose control plane dies in every job."""

    def __init__(self, system, rng):
        self.system, self.rng = system, rng
        self.api = invariants.Api(system)
        self.caught, self.killed = [], set()

    def jobs(self, kind):
        return {job["id"]: job for job in self.api.all("/v3/{project_id}/jobs", "jobs") if job["name"] == kind}

    def ok(self, method, path, body=None):
        status, answer, _ = self.api.send(method, path, body)
        assert status < 300, (method, path, status, answer)
        return answer

    def die_in(self, kind, method, path, body=None):
        """Makes the call, kills the control plane, starts it, and waits until the call's job has ended."""
        before = self.jobs(kind)
        for _ in range(TRIES_MAX):
            # Some calls answer when their job is over; the kill cuts them off.
            answers = []
            caller = threading.Thread(target=self.send, args=(answers, self.api, method, path, body), daemon=True)
            caller.start()
            time.sleep(self.rng.random() ** 2 * MOMENT_SECONDS)
            self.system.process.kill()
            self.system.process.wait()
            caller.join()
            unfinished = [key for key in invariants.stored(self.system) if key.startswith("jobs-unfinished/")]
            self.system.start()
            self.api = invariants.Api(self.system)
            assert not answers or answers[0][0] < 300, answers
            new = [job for id, job in self.jobs(kind).items() if id not in before]
            if new:
                break
        assert len(new) == 1, (kind, new, answers)
        self.caught += [kind] if f"jobs-unfinished/{new[0]['id']}" in unfinished else []
        self.killed.add(kind)
        eventually(f"the job {kind} ends", lambda: self.jobs(kind)[new[0]["id"]]["status"] != "Running", JOB_SECONDS)
        job = self.jobs(kind)[new[0]["id"]]
        assert job["status"] == "Completed", job

    @staticmethod
    def send(answers, api, method, path, body):
        try:
            answers.append(api.send(method, path, body)[:2])
        except Exception:  # noqa: BLE001 - it died before it answered
            pass

    def wait(self, path, status="RUNNING"):
        eventually(f"{path} is {status}", lambda: self.api.get(path)["status"] == status, JOB_SECONDS)

    def instances(self):
        return self.api.all(V1, "instances")


def buy(killer, name):
    ends, flavor = killer.system.endpoints, killer.flavors[SMALL]
    return {"instance": {"name": name, "node_num": 2, "available_zones": ["az1"], "vpc_id": ends["vpc_id"],
                         "subnet_id": ends["subnet_id"], "security_group_id": ends["security_group_id"],
                         "flavor_id": flavor["id"], "engine_id": flavor["engine"]}}


def schema(name, nodes):
    return {"databases": [{"name": name, "shard_mode": "cluster", "shard_number": 4, "used_rds": fire_calls.logins(nodes)}]}


def changes_of_an_instance(killer, v1, v3):
    die, get = killer.die_in, killer.api.get
    die("ModifyName", "PUT", v3 + "/name", {"name": f"killed-{killer.rng.randrange(10_000)}"})
    killer.ok("POST", v3 + "/users", {"name": "ann", "password": PASSWORD, "base_authority": ["SELECT"]})
    die("ResetPassword", "POST", v3 + "/users/ann/password", {"password": fire_calls.PASSWORDS[1]})
    die("SetConfiguration", "PUT", v3 + "/configurations", {"values": {"max_connections": "12345"}})
    die("RestartInstance", "POST", v3 + "/restart")
    get = killer.api.get
    node = get(v1 + "/nodes?offset=0&limit=1")["nodes"][0]["node_id"]
    die("RestartNode", "POST", f"{v3}/nodes/{node}/restart")
    die("EnlargeNode", "POST", v3 + "/nodes", {"nodes": [{"available_zone": "az1"}]})
    die("ReduceNode", "POST", v1.replace("/v1/", "/v2/") + "/action/reduce", {"node_number": 2})
    die("ResizeFlavor", "PUT", v3 + "/flavor", {"spec_code": LARGE})
    die("CreateGroup", "POST", v3 + "/groups", {
        "name": "reports", "type": "r", "flavor_ref": SMALL, "nodes": [{"available_zone": "az1"}]})
    groups = killer.api.get(v3 + "/groups")["group_list"]
    assert [len(group["node_list"]) for group in groups] == [1, 1], groups
    die("DeleteGroup", "DELETE", f"{v3}/groups/{groups[1]['id']}")


def changes_of_schemas(killer, id, nodes):
    die, v1, v3 = killer.die_in, f"{V1}/{id}", f"{V3}/{id}"
    die("createLogicDb", "POST", v1 + "/databases", schema("kept_a", nodes[:2]))
    die("synRdsinfo", "POST", v1 + "/rds/sync")
    exported = killer.api.get(v3 + "/schema-metadata")
    die("deleteLogicDb", "DELETE", v3 + "/databases/kept_a")
    backup = killer.api.get(f"/v3/{{project_id}}/backups?instance_id={id}")["backups"][0]["id"]
    die("RestoreInstance", "POST", v3 + "/backups/metadata-recovery", {
        "source": {"backup_id": backup}, "target": {"instance_id": id, "data_nodes": [node["id"] for node in nodes[:2]]}})
    assert killer.api.get(v1 + "/databases/kept_a")["database"]["status"] == "RUNNING"
    die("deleteBackup", "DELETE", f"/v3/{{project_id}}/backups/{backup}")
    other = killer.ok("POST", V1, buy(killer, "killed-too"))["id"]
    killer.wait(f"{V1}/{other}")
    die("loadMetadata", "POST", f"{V3}/{other}/schema-metadata", {
        "compressed_databases_info": exported["compressed_databases_info"],
        "dn_instance": [{"dn_instance_id": node["id"], "admin_user": node["admin_user"],
                         "admin_password": node["admin_password"]} for node in nodes[2:]]})
    die("DeleteInstance", "DELETE", f"{V3}/{other}?delete_dn_data=true")
    killer.ok("DELETE", f"{v3}/databases/kept_a?delete_dn_data=true")


def test_a_job_of_every_kind_outlives_the_control_plane():
    print("seed", SEED)
    system = System("--data-nodes", "4", environment=UNTHROTTLED)
    try:
        before = invariants.baseline(system.start())
        killer = Killer(system, random.Random(SEED))
        killer.flavors = fire_calls.flavors(killer.api)
        nodes = system.endpoints["data_nodes"]
        for number in range(ROUNDS):
            killer.die_in("CreateInstance", "POST", V1, buy(killer, f"killed-{number}"))
            id = killer.instances()[0]["id"]
            killer.wait(f"{V1}/{id}")
            changes_of_an_instance(killer, f"{V1}/{id}", f"{V3}/{id}")
            changes_of_schemas(killer, id, nodes)
            eventually("everything comes to rest", lambda: not invariants.busy(killer.api), JOB_SECONDS)
            found, _ = invariants.problems(system, killer.api, before)
            assert not found, "\n".join(found)
            killer.ok("DELETE", f"{V3}/{id}?delete_dn_data=true")
            eventually("the instance is gone", lambda: not killer.instances(), JOB_SECONDS)
        print(f"{len(killer.caught)} of {len(killer.killed) * ROUNDS} kills met the job unfinished: {sorted(set(killer.caught))}")
        assert killer.killed == kinds(), f"not killed: {kinds() - killer.killed}"
        assert len(killer.caught) * 3 >= len(killer.killed) * ROUNDS, killer.caught
        assert invariants.problems(system, killer.api, before)[0] == []
    finally:
        system.remove()
