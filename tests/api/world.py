"""What exists in the system under test, by the names that paths give it, and valid bodies for its
calls. Bodies are complete (every optional field is there), so that each field can be made wrong."""

import time
import uuid
from collections import namedtuple

from caller import Caller
from document import bare, example, find
from servers import foreign_server
from system import JOB_SECONDS, System, eventually

Order = namedtuple("Order", "order_id instance_id")

PASSWORD = "Qu4rtz-of_Walnut"
OTHER_PASSWORD = "M4rble-of_Tamarind"
AUTHORITIES = ["CREATE", "DROP", "ALTER", "INDEX", "INSERT", "DELETE", "UPDATE", "SELECT"]
SUFFIXES = {
    "instance_id": "in09", "node_id": "no09", "group_id": "gr09", "config_id": "pr09", "backup_id": "br09",
    "data_node_id": "in01",
}
NAMES = {"ddm_dbname": "no_such_schema", "database_name": "no_such_schema", "username": "no_such_account",
         "db_name": "no_such_schema"}


class World:
    """Objects of the demo, which stay as they are, and makers of others, which need not."""

    def __init__(self, plane, caller):
        self.plane, self.caller, self.ends = plane, caller, plane.endpoints
        demo = self.ends["demo"]
        node = caller.call("GET", caller.path(
            "/v1/{project_id}/instances/{instance_id}/nodes", instance_id=demo["instance_id"])).body["nodes"][0]
        jobs = caller.call("GET", caller.path("/v3/{project_id}/jobs")).body["jobs"]
        self.engine = caller.call("GET", caller.path("/v2/{project_id}/engines")).body["engineGroups"][0]
        groups = caller.call("GET", caller.path("/v2/{project_id}/flavors"), query={"engine_id": self.engine["id"]})
        self.flavors = [one for group in groups.body["computeFlavorGroups"] for one in group["computeFlavors"]]
        self.known = {
            "project_id": caller.project, "instance_id": demo["instance_id"], "node_id": node["node_id"],
            "group_id": node["group_id"], "ddm_dbname": demo["schema"], "database_name": demo["schema"],
            "db_name": demo["schema"], "username": demo["user"], "job_id": jobs[0]["id"],
            "data_node_id": self.ends["data_nodes"][0]["id"], "security_group_id": self.ends["security_group_id"],
        }
        self._spare = self._past = self._throttled = None
        self._empty, self.logins = [], {}
        self.discover()

    def discover(self):
        """Ids of what is there from the start, of nouns that may not be served."""
        lists = [("config_id", "GET /v3/{project_id}/configurations", ("configurations",)),
                 ("backup_id", "GET /v3/{project_id}/backups", ("backups", "metadata_backups"))]
        for name, key, words in lists:
            operation = find(key)
            answer = operation and self.caller.call("GET", self.caller.path(operation.path))
            for word in words if answer is not None and answer.status == 200 else ():
                for row in (answer.body.get(word) or [])[:1]:
                    self.known[name] = row.get("id") or row.get("backup_id")

    def unknown(self, name):
        """A well-formed name of nothing."""
        return NAMES.get(name) or uuid.uuid4().hex + SUFFIXES.get(name, "")

    def names(self, operation, **instead):
        """Values for the path's parameters: objects that exist, where one is known."""
        return {name: instead.get(name) or self.known.get(name) or self.unknown(name) for name in operation.path_names}

    def path(self, operation, **instead):
        """The operation's path for `names`."""
        return self.caller.path(operation.path, **self.names(operation, **instead))

    def query(self, operation):
        """The query parameters that must be given, with good values."""
        good = {"engine_id": self.engine["id"], "curPage": "1", "perPage": "10", "startDate": "1700000000000",
                "endDate": "1700000060000"}
        return {one["name"]: good.get(one["name"], example(one["schema"])) for one in operation.query if one["required"]}

    def body(self, operation):
        """A complete, valid body: the one that is written down here, or what the document allows."""
        maker = BODIES.get(operation.bare)
        return maker(self) if maker else example(operation.request)

    def written_down(self, operation):
        """Whether the operation's body is one that the product, not only the document, takes."""
        return operation.request is None or operation.bare in BODIES

    def instance_body(self, name="conformity-1", **more):
        """What buys an instance of one node (v1)."""
        ends = self.ends
        return {"instance": {
            "name": name, "flavor_id": self.flavors[0]["id"], "node_num": 1, "engine_id": self.engine["id"],
            "enterprise_project_id": "0", "available_zones": ends["availability_zones"][:1],
            "vpc_id": ends["vpc_id"], "security_group_id": ends["security_group_id"],
            "subnet_id": ends["subnet_id"], "time_zone": "UTC", "admin_username": "keeper",
            "admin_password": PASSWORD, **more}}

    def schema_body(self, name="conformity", nodes=None, **more):
        """What makes a schema of one shard a data node (v1)."""
        nodes = nodes or self.ends["data_nodes"]
        return {"databases": [{
            "name": name, "shard_mode": "cluster", "shard_number": len(nodes), "shard_unit": 1, "used_rds": [
                {"id": node["id"], "adminUser": node["admin_user"], "adminPassword": node["admin_password"]}
                for node in nodes], **more}]}

    def connection(self, node, **more):
        """A data node as the call names it that tries connections."""
        return {"endpoint": f"{node['host']}:{node['port']}", "username": node["admin_user"],
                "password": node["admin_password"], "rds_instance_id": node["id"], **more}

    def buy(self, name, **more):
        """An instance of one node; returns its id once it runs."""
        answer = self.caller.call("POST", self.caller.path("/v1/{project_id}/instances"), self.instance_body(name, **more))
        assert answer.status == 200, answer
        self.settled(answer.body["id"])
        return answer.body["id"]

    def instance(self, instance_id):
        """The instance's detail."""
        path = self.caller.path("/v1/{project_id}/instances/{instance_id}", instance_id=instance_id)
        return self.caller.call("GET", path)

    def spare(self):
        """A second instance of one node, without schemas; bought when it is first asked for."""
        if not self._spare:
            self._spare = self.buy("conformity-spare")
        return self._spare

    def order(self):
        """An order that waits to be paid, with its instance."""
        body = self.instance_body("conformity-order")
        body["extend_param"] = {"charge_mode": "prePaid", "period_type": "month", "period_num": 1}
        answer = self.caller.call("POST", self.caller.path("/v1/{project_id}/instances"), body)
        assert answer.status == 200 and answer.body["job_id"] is None, answer
        return Order(answer.body["order_id"], answer.body["id"])

    def throttled(self):
        """A caller of a second system, which has the documents' limits and no data nodes."""
        if not self._throttled:
            self._throttled = System("--data-nodes", "0").start()
        return Caller(self._throttled.endpoints)

    def restore(self, target, data_nodes):
        """Restores the newest metadata of `past` onto an instance and data nodes."""
        path = self.caller.path("/v3/{project_id}/instances/{instance_id}/backups/metadata-recovery", instance_id=self.past())
        return self.caller.call("POST", path, {
            "source": {"restore_time": int(time.time() * 1000)}, "target": {"instance_id": target, "data_nodes": data_nodes}})

    def past(self):
        """An instance that had a schema: there is a backup of it, and its databases are gone."""
        if not self._past:
            self._past = self.buy("conformity-past")
            node_id = self.empty_data_node(2)
            node = {"id": node_id, **self.logins[node_id]}
            path = self.caller.path("/v1/{project_id}/instances/{instance_id}/databases", instance_id=self._past)
            answer = self.caller.call("POST", path, self.schema_body("past", [node]))
            assert answer.status == 200, answer
            self.schema_settled("past", self._past)
            self.unbind(self._past, "past", "true")
        return self._past

    def empty_data_node(self, which=0):
        """A registered data node of the tests' own, empty at first; each number is another one."""
        while len(self._empty) <= which:
            context = foreign_server(
                "--lower-case-table-names=1", "--log-bin=binlog", "--binlog-format=ROW", "--local-infile=ON",
                f"--server-id={4711 + len(self._empty)}")
            server = context.__enter__()
            answer = self.caller.call("POST", self.caller.path("/v3/{project_id}/data-nodes"),
                                      {"name": f"empty-{len(self._empty)}", **server})
            assert answer.status == 201, answer
            self.logins[answer.body["id"]] = server
            self._empty.append((context, answer.body["id"]))
        return self._empty[which][1]

    def close(self):
        """Stops what was started beside the plane."""
        if self._throttled:
            self._throttled.remove()
        for context, _ in self._empty:
            context.__exit__(None, None, None)

    def unbind(self, instance_id, schema, data_too="false"):
        """Deletes an instance's schema; its databases stay unless they are to go too."""
        path = self.caller.path("/v1/{project_id}/instances/{instance_id}/databases/{schema}",
                                instance_id=instance_id, schema=schema)
        assert self.caller.call("DELETE", path, query={"delete_rds_data": data_too}).status == 200
        eventually(f"{schema} is forgotten", lambda: self.caller.call("GET", path).status == 404, JOB_SECONDS)

    def schema_settled(self, name, instance_id=None):
        """Waits until a schema runs, or is no more."""
        path = self.caller.path("/v1/{project_id}/instances/{instance_id}/databases/{name}",
                                instance_id=instance_id or self.known["instance_id"], name=name)

        def settled():
            answer = self.caller.call("GET", path)
            return answer.status == 404 or answer.body["database"]["status"] == "RUNNING"

        eventually(f"the schema {name} is settled", settled, JOB_SECONDS)

    def settled(self, instance_id):
        """Waits until the instance runs and nothing is being done with it."""
        eventually(f"{instance_id} runs", lambda: self.instance(instance_id).body["status"] == "RUNNING", JOB_SECONDS)

    def done(self, job_id):
        """Waits until a job has ended; returns it."""
        path = self.caller.path("/v3/{project_id}/jobs/{job_id}", job_id=job_id)
        return eventually(f"the job {job_id} ends", lambda: (
            lambda job: job if job["status"] != "Running" else None)(self.caller.call("GET", path).body["job"]), JOB_SECONDS)


def account(world):
    return {"name": "conformist", "password": PASSWORD, "base_authority": AUTHORITIES, "description": "of a test",
            "databases": [{"name": world.ends["demo"]["schema"]}]}


def instance_v1(world):
    body = world.instance_body(admin_user_name=None, admin_user_password=None, param_group_id=None)
    return {**body, "extend_param": {"charge_mode": "prePaid", "period_type": "month", "period_num": 1,
                                     "is_auto_renew": "false", "is_auto_pay": "false"}}


def instance_v3(world):
    ends = world.ends
    return {"name": "conformity_3", "available_zones": ends["availability_zones"][:1], "node_num": 1,
            "engine_version": world.engine["version"], "flavor_ref": world.flavors[0]["code"], "vpc_id": ends["vpc_id"],
            "subnet_id": ends["subnet_id"], "security_group_id": ends["security_group_id"], "time_zone": "UTC",
            "enterprise_project_id": "0", "admin_user_name": "keeper", "admin_user_password": PASSWORD,
            "charge_info": {"charge_mode": "prePaid", "period_num": 1, "period_type": "month", "is_auto_pay": False,
                            "is_auto_renew": False}}


def schema_v3(world):
    nodes = world.ends["data_nodes"]
    return {"name": "conformity", "shard_mode": "cluster", "shard_number": len(nodes), "dn_instances": [
        {"id": node["id"], "user_name": node["admin_user"], "user_password": node["admin_password"]} for node in nodes]}


def changed_data_node(world):
    node = world.ends["data_nodes"][0]
    return {"host": node["host"], "port": node["port"], "admin_user": node["admin_user"],
            "admin_password": node["admin_password"], "replicas": [
                {"id": world.unknown("data_node_id"), "host": "127.0.0.1", "port": 9}]}


def change(world):
    return {key: value for key, value in account(world).items() if key not in ("name", "password")}


BODIES = {bare(key): maker for key, maker in {
    "POST /v1/{project_id}/instances": instance_v1,
    "POST /v3/{project_id}/instances": instance_v3,
    "PUT /v1/{project_id}/instances/{instance_id}/modify-name": lambda world: {"name": "conformity-2"},
    "PUT /v3/{project_id}/instances/{instance_id}/name": lambda world: {"name": "conformity-2"},
    "PUT /v1/{project_id}/instances/{instance_id}/modify-security-group":
        lambda world: {"security_group_id": world.ends["security_group_id"]},
    "PUT /v3/{project_id}/instances/{instance_id}/security-group":
        lambda world: {"security_group_id": world.ends["security_group_id"]},
    "POST /v1/{project_id}/instances/{instance_id}/action": lambda world: {"restart": {"type": "soft"}},
    "POST /v2/{project_id}/instances/{instance_id}/action/enlarge":
        lambda world: {"flavor_id": world.flavors[0]["id"], "node_number": 1, "group_id": world.known["group_id"],
                       "is_auto_pay": False},
    "POST /v2/{project_id}/instances/{instance_id}/action/reduce":
        lambda world: {"node_number": 1, "group_id": world.known["group_id"]},
    "POST /v3/{project_id}/instances/{instance_id}/nodes":
        lambda world: {"group_id": world.known["group_id"], "subnet_id": world.ends["subnet_id"], "is_auto_pay": False,
                       "nodes": [{"available_zone": world.ends["availability_zones"][0]}]},
    "POST /v3/{project_id}/instances/{instance_id}/nodes/batch-delete":
        lambda world: {"node_ids": [world.known["node_id"]]},
    "DELETE /v3/{project_id}/instances/{instance_id}/nodes": lambda world: {"node_ids": [world.known["node_id"]]},
    "POST /v3/{project_id}/instances/{instance_id}/groups":
        lambda world: {"name": "conformity", "type": "r", "flavor_id": world.flavors[0]["id"],
                       "flavor_ref": world.flavors[0]["code"], "nodes": [
                           {"available_zone": world.ends["availability_zones"][0], "subnet_id": world.ends["subnet_id"]}]},
    "POST /v3/{project_id}/instances/{instance_id}/groups/{group_id}/acls":
        lambda world: {"name": "conformity", "type": "white", "enable_ip_group": False, "group_id": world.known["group_id"],
                       "ip_list": [{"ip": "127.0.0.0/8", "description": "of a test"}]},
    "PUT /v2/{project_id}/instances/{instance_id}/action/read-write-strategy":
        lambda world: {"read_weight": {node["id"]: 100 for node in world.ends["data_nodes"]}},
    "PUT /v3/{project_id}/instances/{instance_id}/action/batch-modify-read-write-strategy":
        lambda world: {"read_weight_list": [{node["id"]: 100} for node in world.ends["data_nodes"]]},
    "PUT /v3/{project_id}/data-nodes/{data_node_id}": changed_data_node,
    "POST /v3/{project_id}/instances/{instance_id}/rds/connection":
        lambda world: {"infos": [world.connection(node) for node in world.ends["data_nodes"]]},
    "PUT /v3/{project_id}/instances/{instance_id}/flavor":
        lambda world: {"spec_code": world.flavors[1]["code"], "group_id": world.known["group_id"], "is_auto_pay": False},
    "POST /v3/{project_id}/instances/{instance_id}/nodes": lambda world: {
        "group_id": world.known["group_id"], "subnet_id": world.ends["subnet_id"], "is_auto_pay": False,
        "nodes": [{"available_zone": world.ends["availability_zones"][0]}]},
    "POST /v3/{project_id}/instances/{instance_id}/nodes/batch-delete": lambda world: {"node_ids": [world.known["node_id"]]},
    "DELETE /v3/{project_id}/instances/{instance_id}/nodes": lambda world: {"node_ids": [world.known["node_id"]]},
    "POST /v3/{project_id}/instances/{instance_id}/groups": lambda world: {
        "name": "conformity", "type": "r", "flavor_id": None, "flavor_ref": world.flavors[0]["code"], "nodes": [
            {"available_zone": world.ends["availability_zones"][0], "subnet_id": world.ends["subnet_id"]}]},
    "POST /v3/{project_id}/instances/{instance_id}/groups/{group_id}/acls": lambda world: {
        "name": "conformity", "type": "black", "enable_ip_group": True, "group_id": world.known["group_id"],
        "ip_list": [{"ip": "192.0.2.1", "description": "of a test"}]},
    "POST /v1/{project_id}/instances/{instance_id}/databases": lambda world: world.schema_body(),
    "POST /v3/{project_id}/instances/{instance_id}/databases": schema_v3,
    "POST /v1/{project_id}/instances/{instance_id}/users": lambda world: {"users": [account(world)]},
    "POST /v3/{project_id}/instances/{instance_id}/users": account,
    "PUT /v1/{project_id}/instances/{instance_id}/users/{username}": lambda world: {"user": change(world)},
    "PUT /v3/{project_id}/instances/{instance_id}/users/{username}": change,
    "POST /v2/{project_id}/instances/{instance_id}/users/{username}/password": lambda world: {"password": OTHER_PASSWORD},
    "POST /v3/{project_id}/instances/{instance_id}/users/{username}/password": lambda world: {"password": OTHER_PASSWORD},
    "PUT /v3/{project_id}/instances/{instance_id}/admin-user":
        lambda world: {"name": "keeper", "password": OTHER_PASSWORD},
    "PUT /v3/{project_id}/instances/{instance_id}/configurations": lambda world: {"values": {"long_query_time": "2"}},
    "PUT /v3.1/{project_id}/instances/{instance_id}/configurations": lambda world: {"values": {"long_query_time": "2"}},
    "POST /v3/{project_id}/configurations":
        lambda world: {"name": "conformity", "description": "of a test", "values": {"long_query_time": "2"}},
    "PUT /v3/{project_id}/configurations/{config_id}":
        lambda world: {"name": "conformity", "description": "of a test", "values": {"long_query_time": "2"}},
    "POST /v3/{project_id}/configurations/{config_id}/copy":
        lambda world: {"name": "conformity-copy", "new_name": "conformity-copy", "description": "of a test"},
    "PUT /v3/{project_id}/configurations/diff":
        lambda world: {"source_id": world.known.get("config_id", ""), "target_id": world.known.get("config_id", "")},
    "PUT /v3/{project_id}/configurations/{config_id}/apply":
        lambda world: {"instance_ids": [world.known["instance_id"]]},
    "POST /v3/{project_id}/security-groups": lambda world: {"name": "conformity", "description": "of a test"},
    "POST /v3/{project_id}/security-groups/{security_group_id}/rules":
        lambda world: {"cidr": "10.0.0.0/8", "remote_ip_prefix": "10.0.0.0/8", "port_range_min": 5066,
                       "port_range_max": 5066, "protocol": "tcp", "direction": "ingress", "description": "of a test"},
    "POST /v3/{project_id}/instances/{instance_id}/schema-metadata": lambda world: {
        "compressed_databases_info": "H4sIAAAAAAAAA6uuBQBDv6ajAgAAAA==", "dn_instance": [
            {"dn_instance_id": node["id"], "admin_user": node["admin_user"], "admin_password": node["admin_password"]}
            for node in world.ends["data_nodes"]]},
    "POST /v3/{project_id}/instances/{instance_id}/backups/metadata-recovery": lambda world: {
        "source": {"backup_id": world.known.get("backup_id") or world.unknown("backup_id")},
        "target": {"instance_id": world.known["instance_id"],
                   "data_nodes": [node["id"] for node in world.ends["data_nodes"]]}},
    "POST /v3/{project_id}/weak-password-verification": lambda world: {"password": PASSWORD},
}.items()}
