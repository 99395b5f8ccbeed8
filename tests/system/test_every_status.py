"""Every status that an instance, its nodes and its schemas pass through is seen from outside while it
lasts: a watcher asks the API without pause while the calls are made one after the other."""

import os
import signal
import threading

import pytest
import requests
from system import System, eventually

SMALL, LARGE = "ddm.c6.large.2", "ddm.c6.xlarge.2"
PASSWORD = "Wat3hed-by_Herons"


class Watcher:
    """Asks for an instance's details and its schemas all the time; keeps the statuses that it saw."""

    def __init__(self, system):
        self.instances, self.nodes, self.schemas = set(), set(), set()
        self.project, self.api = system.endpoints["project_id"], system.endpoints["api"]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = system.endpoints["ca_file"]
        self.session.headers["X-Auth-Token"] = self.token(system.endpoints)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def token(self, ends):
        user = {"name": ends["username"], "password": ends["password"], "domain": {"name": ends["domain_name"]}}
        answer = self.session.post(f"{self.api}/v3/auth/tokens", timeout=10, json={"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": self.project}}}})
        assert answer.status_code == 201, answer.text
        return answer.headers["X-Subject-Token"]

    def get(self, path):
        answer = self.session.get(f"{self.api}/v1/{self.project}/instances{path}", timeout=10)
        return answer.json() if answer.status_code == 200 else {}

    def watch(self):
        while not self.stopped.is_set():
            for one in self.get("").get("instances", []):
                shown = self.get(f"/{one['id']}")
                self.instances |= {one["status"], shown.get("status")} - {None}
                self.nodes |= {node["status"] for node in self.get(f"/{one['id']}/nodes").get("nodes", [])}
                schemas = self.get(f"/{one['id']}/databases").get("databases", [])
                self.schemas |= {schema["status"] for schema in schemas}

    def stop(self):
        self.stopped.set()
        self.thread.join(30)


@pytest.fixture(scope="module")
def system():
    one = System("--data-nodes", "2", "--user-calls-per-minute", "0", "--api-calls-per-minute", "0")
    try:
        yield one.start()
    finally:
        one.remove()


@pytest.fixture
def watcher(system):
    one = Watcher(system)
    yield one
    one.stop()


def test_every_status_is_seen(system, watcher):

    def seen(where, *statuses):
        missing = set(statuses) - where
        assert not missing, f"{missing} of {where} was not seen"

    ctl = system.ctl
    ctl("instances", "create", "watched", "--nodes", "2", "--flavor", SMALL)
    eventually("the instance is seen to run", lambda: "RUNNING" in watcher.instances)
    seen(watcher.instances, "CREATING", "RUNNING")
    eventually("its nodes are seen", lambda: "normal" in watcher.nodes)
    seen(watcher.nodes, "creating", "normal")
    ids = [node["id"] for node in system.endpoints["data_nodes"]]
    shards = [word for node in ids for word in ("--data-node", node)]
    ctl("schemas", "create", "watched", "pond", *shards)
    eventually("the schema is seen to run", lambda: "RUNNING" in watcher.schemas)
    seen(watcher.schemas, "CREATING", "RUNNING")

    ctl("instances", "enlarge", "watched", "1")
    seen(watcher.instances, "GROWING")
    ctl("instances", "reduce", "watched", "1")
    seen(watcher.instances, "REDUCING")
    ctl("instances", "change-class", "watched", LARGE)
    seen(watcher.instances, "RESIZING")
    seen(watcher.nodes, "resizing")
    ctl("instances", "restart", "watched")
    seen(watcher.instances, "RESTARTING")
    ctl("instances", "rename", "watched", "observed")
    seen(watcher.instances, "MODIFY_NAME")
    ctl("parameters", "set", "observed", "long_query_time=0.5")
    seen(watcher.instances, "SET_CONFIGURATION")
    ctl("accounts", "create", "observed", "heron", "--password", PASSWORD, "--permission", "SELECT")
    ctl("accounts", "reset-password", "observed", "heron", "--password", PASSWORD[::-1])
    seen(watcher.instances, "RESET_PASSWORD")

    [node, *_] = system.children("node.toml")
    os.kill(node, signal.SIGSTOP)
    try:
        eventually("a node that hangs is seen", lambda: "abnormal" in watcher.nodes, 60)
    finally:
        os.kill(node, signal.SIGCONT)

    ctl("schemas", "delete", "observed", "pond")
    seen(watcher.schemas, "DELETING")
    [backup] = ctl("backups", "list")
    ctl("backups", "restore", "observed", backup["id"], *shards)
    seen(watcher.instances, "RESTORE")
    ctl("instances", "delete", "observed")
    assert watcher.instances <= {
        "CREATING", "RUNNING", "GROWING", "REDUCING", "RESIZING", "RESTARTING", "MODIFY_NAME", "SET_CONFIGURATION",
        "RESET_PASSWORD", "RESTORE", "DELETING"}
    assert watcher.nodes <= {"creating", "normal", "abnormal", "resizing", "restarting", "deleting"}
    assert watcher.schemas <= {"CREATING", "RUNNING", "DELETING"}


def test_what_fails_is_seen_too(system, watcher):
    """A file where the nodes' folder should be: the machine cannot make nodes."""
    nodes, aside = system.data_dir / "nodes", system.data_dir / "nodes.aside"
    nodes.rename(aside)
    nodes.write_text("in the way")
    try:
        with pytest.raises(AssertionError):
            system.ctl("instances", "create", "doomed", "--nodes", "1", "--flavor", SMALL)
        eventually("the failure is seen", lambda: "CREATEFAILED" in watcher.instances)
        eventually("its node's failure is seen", lambda: "createfail" in watcher.nodes)
    finally:
        nodes.unlink()
        aside.rename(nodes)
    system.ctl("instances", "delete", "doomed")
    assert "doomed" not in [one["name"] for one in system.ctl("instances", "list")]
