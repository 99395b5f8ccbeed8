"""What must be true of a whole system at rest, whatever calls and deaths it went through: the API's
objects, the processes, the listening addresses and the data nodes say the same. Problems are texts;
a consistent system has none."""

import re
import json
import socket
import sqlite3
import ssl
import struct
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import closing
from pathlib import Path

import pymysql

MYSQL_PORT = 5066
LIMIT = 128
HEARD_SECONDS = 5
INSTANCE_AT_REST = {"RUNNING", "CREATEFAILED", "ERROR"}
SCHEMA_AT_REST = {"RUNNING", "CREATE_FAILED"}
HELPER_DATABASE = "_ddm"
ACCOUNT_PREFIX = "DDMRW"
SYSTEM_DATABASES = {"information_schema", "performance_schema", "mysql", "sys"}


class NotAnswered(Exception):
    """A call that was to succeed did not."""


class Api:
    """Plain HTTP with a token; what the SDK would hide (status, code) is seen here."""

    def __init__(self, system, timeout=60):
        self.ends, self.timeout = system.endpoints, timeout
        self.context = None
        if self.ends["api"].startswith("https"):
            self.context = ssl.create_default_context(cafile=self.ends["ca_file"])
        ends = self.ends
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": ends["username"], "password": ends["password"], "domain": {"name": ends["domain_name"]}}}},
            "scope": {"project": {"name": ends["project_name"]}}}}
        self.token = None
        status, answer, headers = self.send("POST", "/v3/auth/tokens", body)
        assert status == 201, (status, answer)
        self.token = headers["X-Subject-Token"]

    def send(self, method, path, body=None):
        """Status, parsed body and headers of one call."""
        request = urllib.request.Request(self.ends["api"] + path.replace("{project_id}", self.ends["project_id"]),
                                         method=method, data=None if body is None else json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("X-Auth-Token", self.token)
        try:
            with urllib.request.urlopen(request, context=self.context, timeout=self.timeout) as answer:
                return answer.status, json.loads(answer.read() or b"null"), answer.headers
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text or b"null"), error.headers
            except ValueError:
                return error.code, text.decode(errors="replace"), error.headers

    def get(self, path):
        """The body of a call that must succeed."""
        status, answer, _ = self.send("GET", path)
        if status != 200:
            raise NotAnswered(path, status, answer)
        return answer

    def all(self, path, key):
        """Every row of a list, page by page."""
        rows = []
        while True:
            page = self.get(f"{path}{'&' if '?' in path else '?'}offset={len(rows)}&limit={LIMIT}")[key]
            rows += page
            if len(page) < LIMIT:
                return rows


def data_node_state(node):
    """Databases and accounts of a data node, without the server's own."""
    with pymysql.connect(host=node["host"], port=node["port"], user=node["admin_user"],
                         password=node["admin_password"], connect_timeout=10) as direct, direct.cursor() as cursor:
        cursor.execute("SHOW DATABASES")
        databases = {name for (name,) in cursor.fetchall()} - SYSTEM_DATABASES
        cursor.execute("SELECT user, host FROM mysql.user")
        return databases, {f"{user}@{host}" for user, host in cursor.fetchall()}


def baseline(system):
    """What the data nodes have before any call: what is there later beside it was made by the system."""
    return {node["id"]: data_node_state(node) for node in system.endpoints["data_nodes"]}


def listeners(port):
    """IPv4 addresses on which somebody listens at this port."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        address, at = fields[1].split(":")
        if fields[3] == "0A" and int(at, 16) == port:
            found.add(socket.inet_ntoa(struct.pack("<I", int(address, 16))))
    return found


def in_subnet(address, subnet):
    network, bits = subnet.split("/")
    number = lambda text: struct.unpack(">I", socket.inet_aton(text))[0]  # noqa: E731
    return number(address) >> (32 - int(bits)) == number(network) >> (32 - int(bits))


class Observed:
    """Everything that the API says, read once."""

    def __init__(self, api):
        self.jobs = api.all("/v3/{project_id}/jobs", "jobs")
        self.instances = {}
        for row in api.all("/v1/{project_id}/instances", "instances"):
            path = f"/v1/{{project_id}}/instances/{row['id']}"
            row["nodes"] = api.all(path + "/nodes", "nodes")
            row["schemas"] = api.all(path + "/databases", "databases")
            for schema in row["schemas"]:
                schema["detail"] = api.get(f"{path}/databases/{schema['name']}")["database"]
            row["accounts"] = api.all(path + "/users", "users")
            row["groups"] = api.get(f"/v3/{{project_id}}/instances/{row['id']}/groups")["group_list"]
            # Where it serves: the shared address of each group, and each node's own.
            shared = {group["endpoint"].rsplit(":", 1)[0] for group in row["groups"]}
            row["addresses"] = shared | {node["ip"] for node in row["nodes"]}
            self.instances[row["id"]] = row

    def running(self):
        return [one for one in self.instances.values() if one["status"] == "RUNNING"]

    def schemas(self):
        return [(one, schema) for one in self.instances.values() for schema in one["schemas"]]


def busy(api):
    """What is still going on: jobs that run, objects in a status in between."""
    found = [f"job {job['id']} {job['name']}" for job in api.all("/v3/{project_id}/jobs", "jobs") if job["status"] == "Running"]
    for row in api.all("/v1/{project_id}/instances", "instances"):
        if row["status"] not in INSTANCE_AT_REST:
            found.append(f"instance {row['id']} {row['status']}")
        elif row["status"] == "RUNNING" and row["node_status"] != "RUNNING":
            found.append(f"nodes of {row['id']} {row['node_status']}")
        for schema in api.all(f"/v1/{{project_id}}/instances/{row['id']}/databases", "databases"):
            if schema["status"] not in SCHEMA_AT_REST:
                found.append(f"schema {schema['name']} {schema['status']}")
    return found


def check_jobs(seen):
    for job in seen.jobs:
        if job["status"] not in ("Completed", "Failed"):
            yield f"job {job['id']} ({job['name']}) is {job['status']}"
        if job["status"] == "Failed" and not job["fail_reason"]:
            yield f"job {job['id']} ({job['name']}) failed without a reason"
        if "left behind" in job["fail_reason"]:
            yield f"job {job['id']} ({job['name']}) left something behind: {job['fail_reason']}"


def check_instances(seen):
    addresses = Counter()
    for one in seen.instances.values():
        if one["status"] not in INSTANCE_AT_REST:
            yield f"instance {one['id']} is {one['status']}"
        addresses.update(one["addresses"])
        if one["access_ip"] not in one["addresses"]:
            yield f"the address {one['access_ip']} of instance {one['id']} is no group's"
        nodes = sorted(node["id"] for group in one["groups"] for node in group["node_list"])
        if nodes != sorted(node["node_id"] for node in one["nodes"]):
            yield f"the groups of instance {one['id']} have other nodes than it lists: {nodes}"
        if int(one["node_count"]) != len(one["nodes"]):
            yield f"instance {one['id']} says {one['node_count']} nodes and lists {len(one['nodes'])}"
        names = Counter(schema["name"] for schema in one["schemas"]) + Counter(user["name"] for user in one["accounts"])
        yield from (f"instance {one['id']}: {name} is there twice" for name, count in names.items() if count > 2)
        for schema in one["schemas"]:
            if schema["status"] not in SCHEMA_AT_REST:
                yield f"schema {schema['name']} of {one['id']} is {schema['status']}"
    yield from (f"{address} is given {count} times" for address, count in addresses.items() if count > 1)


def check_processes(system, seen):
    running = Counter()
    for pid in system.children("node.toml"):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        running[re.search(r"/nodes/([^/]+)/", line).group(1)] += 1
    wanted = {node["node_id"] for one in seen.running() for node in one["nodes"]}
    maybe = {node["node_id"] for one in seen.instances.values() if one["status"] == "ERROR" for node in one["nodes"]}
    yield from (f"node {node} has {running[node]} processes" for node in sorted(wanted) if running[node] != 1)
    yield from (f"node {node} has a process and no instance that runs" for node in sorted(running) if node not in wanted | maybe)
    known = {node["node_id"] for one in seen.instances.values() for node in one["nodes"]}
    directory = system.data_dir / "nodes"
    there = {entry.name for entry in directory.iterdir() if re.fullmatch(r"[0-9a-f]{32}\w*", entry.name)} if directory.exists() else set()
    yield from (f"the directory of node {node} is left" for node in sorted(there - known))


def check_addresses(system, seen):
    subnet = system.command[system.command.index("--node-subnet") + 1]
    listening = {address for address in listeners(MYSQL_PORT) if in_subnet(address, subnet)}
    wanted = {ip for one in seen.running() for ip in one["addresses"]}
    maybe = {ip for one in seen.instances.values() if one["status"] == "ERROR" for ip in one["addresses"]}
    yield from (f"nobody listens on {address}" for address in sorted(wanted - listening))
    yield from (f"somebody listens on {address}, which no instance has" for address in sorted(listening - wanted - maybe))


def check_data_nodes(system, seen, before, kept):
    wanted, maybe, owners_of = {}, {}, {}
    for one, schema in seen.schemas():
        if schema["status"] != "RUNNING":
            continue  # Of a schema that could not be made nothing may be left.
        # Of an instance that failed to be deleted something may be.
        certain = one["status"] != "ERROR"
        for shard in schema["detail"]["databases"]:
            (wanted if certain else maybe).setdefault(shard["id"], set()).add(shard["name"])
            if certain:
                owners_of.setdefault(shard["id"], set()).add(one["id"])
    for node in system.endpoints["data_nodes"]:
        databases, accounts = data_node_state(node)
        databases -= before[node["id"]][0]
        accounts -= before[node["id"]][1]
        name, id = node["name"], node["id"]
        owners = owners_of.get(id, set())
        if len(owners) > 1:
            yield f"{name} belongs to several instances: {owners}"
        needed = wanted.get(id, set()) | ({HELPER_DATABASE} if owners else set())
        yield from (f"{name} lacks the database {one}" for one in sorted(needed - databases))
        left = {one for one in databases - needed - maybe.get(id, set()) if one.rsplit("_", 1)[0] not in kept}
        if kept or maybe.get(id):
            left.discard(HELPER_DATABASE)
        yield from (f"{name} has the database {one}, which is no schema's" for one in sorted(left))
        own = {one for one in accounts if one.startswith(ACCOUNT_PREFIX)}
        if own != accounts:
            yield f"{name} has accounts that nobody knows: {sorted(accounts - own)}"
        if len(own) != (1 if owners else 0) and not (len(own) <= 1 and maybe.get(id)):
            yield f"{name} has the accounts {sorted(own)} for the instances {sorted(owners)}"


def stored(system):
    """Every key of the control plane's store with its value, read beside it."""
    path = system.data_dir / "meta" / "store.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT key, value FROM entry"))


def check_store(system, seen):
    """The store has no more and no less than what the API shows."""
    entries = stored(system)
    of = lambda prefix: {key[len(prefix):] for key in entries if key.startswith(prefix)}  # noqa: E731
    for prefix in ("locks/", "jobs-unfinished/", "ddl-locks/"):
        yield from (f"{prefix}{rest} is left in the store" for rest in sorted(of(prefix)))
    known = set(seen.instances)
    if of("instances/") != known or {key.rsplit("/", 1)[1] for key in of("instances-by-project/")} != known:
        yield f"the store has the instances {sorted(of('instances/'))}, the API {sorted(known)}"
    expected = {
        "nodes/": {f"{id}/{node['node_id']}" for id, one in seen.instances.items() for node in one["nodes"]},
        "groups/": {f"{id}/{group['id']}" for id, one in seen.instances.items()
                    for group in one["groups"] if not group["is_default_group"]},
        "addresses/": {ip for one in seen.instances.values() for ip in one["addresses"]},
        "schemas/": {f"{id}/{schema['name'].lower()}" for id, one in seen.instances.items() for schema in one["schemas"]},
    }
    for prefix, wanted in expected.items():
        yield from (f"{prefix}{rest} is in the store and belongs to nothing" for rest in sorted(of(prefix) - wanted))
        yield from (f"{prefix}{rest} is not in the store" for rest in sorted(wanted - of(prefix)))
    for prefix in ("accounts/", "tables/", "ddl/"):
        yield from (f"{prefix}{rest} is of no instance" for rest in sorted(of(prefix)) if rest.split("/")[0] not in known)
    documents, backups = of("metadata-documents/"), {key.rsplit("/", 1)[-1] for key in of("backups/")}
    yield from (f"the document {one} belongs to no backup" for one in sorted(documents - backups))
    yield from (f"the backup {one} has no document" for one in sorted(backups - documents))

def shows_other(node, name, password, schemas):
    """What is wrong with what an account sees at a node."""
    try:
        with pymysql.connect(host=node["ip"], port=int(node["port"]), user=name, password=password,
                             connect_timeout=10) as client, client.cursor() as cursor:
            cursor.execute("SHOW DATABASES")
            shown = {schema for (schema,) in cursor.fetchall()} - {"information_schema"}
            return None if shown == schemas else f"node {node['ip']} shows {sorted(shown)} and not {sorted(schemas)}"
    except pymysql.Error as error:
        return f"node {node['ip']} does not serve: {error}"


def until_none(problem):
    """The problem that there still is when nodes have had the time to hear of a change."""
    deadline = time.monotonic() + HEARD_SECONDS
    while (found := problem()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def check_nodes_serve(api, seen, security_group):
    """An account made now can log in at every node and sees exactly the schemas that run. Instances
    are given the first security group for that, which lets everybody in."""
    name, password = "invariants", "Zebra-of_Night9"
    for one in seen.running():
        status, answer, _ = api.send("PUT", f"/v1/{{project_id}}/instances/{one['id']}/modify-security-group",
                                     {"security_group_id": security_group})
        if status != 200:
            yield f"{one['id']} cannot be given the first security group: {status} {answer}"
        schemas = {schema["name"] for schema in one["schemas"] if schema["status"] == "RUNNING"}
        path = f"/v1/{{project_id}}/instances/{one['id']}/users"
        status, answer, _ = api.send("POST", path, {"users": [{"name": name, "password": password, "base_authority": ["SELECT"],
                                                            "databases": [{"name": schema} for schema in sorted(schemas)]}]})
        if status != 200:
            yield f"no account can be made on {one['id']}: {status} {answer}"
            continue
        for node in one["nodes"]:
            problem = until_none(lambda: shows_other(node, name, password, schemas))  # noqa: B023 - called here
            if problem:
                yield problem
        api.send("DELETE", f"{path}/{name}")


def problems(system, api, before, kept=frozenset()):
    """All that is wrong. `before` is the `baseline`; `kept` names schemas whose data were left on purpose."""
    seen = Observed(api)
    found = [*check_jobs(seen), *check_instances(seen), *check_processes(system, seen), *check_addresses(system, seen),
             *check_data_nodes(system, seen, before, kept), *check_store(system, seen)]
    return found + list(check_nodes_serve(api, seen, system.endpoints["security_group_id"])), seen
