"""What several tests do with instances, by the official SDK: buy one, make schemas on data nodes, log
in; and the calls that the SDK does not have, by plain HTTP."""

import json
import ssl
import urllib.error
import urllib.request

from huaweicloudsdkddm.v1 import (
    CreateDatabaseDetail, CreateDatabaseReq, CreateDatabaseRequest, CreateInstanceDetail, CreateInstanceReq,
    CreateInstanceRequest, DatabaseInstabcesParam, ListEnginesRequest, ListFlavorsRequest, ShowDatabaseRequest,
    ShowInstanceRequest,
)
from system import JOB_SECONDS, connect, eventually, rows

ADMIN = "root_admin"
ADMIN_PASSWORD = "R00t-of_Willow8"


class Api:
    """Calls by plain HTTP with a token; each gives status and body."""

    def __init__(self, system):
        self.ends = ends = system.endpoints
        user = {"name": ends["username"], "password": ends["password"], "domain": {"name": ends["domain_name"]}}
        self.headers = {"X-Language": "en-us", "Content-Type": "application/json"}
        self.headers["X-Auth-Token"] = self._send("POST", "/v3/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": ends["project_name"]}}}})[2]["X-Subject-Token"]

    def _send(self, method, path, body):
        context = ssl.create_default_context(cafile=self.ends["ca_file"]) if self.ends["api"].startswith("https") else None
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.ends["api"] + path, data, self.headers, method=method)
        try:
            with urllib.request.urlopen(request, context=context, timeout=60) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None, answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read()), error.headers

    def call(self, method, path, body=None):
        """One call below `/{version}/{project_id}`: `v3/data-nodes`."""
        version, rest = path.split("/", 1)
        return self._send(method, f"/{version}/{self.ends['project_id']}/{rest}", body)[:2]

    def data_node(self, data_node_id):
        """A registered data node."""
        status, body = self.call("GET", f"v3/data-nodes/{data_node_id}")
        assert status == 200, body
        return body


def buy(system, name, nodes=2):
    """A running instance with an administrator."""
    client, ends = system.sdk(), system.endpoints
    engine = client.list_engines(ListEnginesRequest()).engine_groups[0]
    flavor = client.list_flavors(ListFlavorsRequest(engine_id=engine.id)).compute_flavor_groups[0].compute_flavors[0]
    instance = client.create_instance(CreateInstanceRequest(body=CreateInstanceReq(instance=CreateInstanceDetail(
        name=name, flavor_id=flavor.id, node_num=nodes, engine_id=engine.id,
        available_zones=ends["availability_zones"][:1], vpc_id=ends["vpc_id"], subnet_id=ends["subnet_id"],
        security_group_id=ends["security_group_id"], admin_user_name=ADMIN, admin_user_password=ADMIN_PASSWORD,
    )))).id
    running(system, instance)
    return instance


def running(system, instance):
    """Waits until an instance is RUNNING."""
    shown = ShowInstanceRequest(instance_id=instance)
    eventually("the instance runs", lambda: system.sdk().show_instance(shown).status == "RUNNING", JOB_SECONDS)


def make_schema(system, instance, name, data_nodes, shards):
    """A running schema on these data nodes, which are as `endpoints` or a registration names them."""
    used = [DatabaseInstabcesParam(id=node["id"], admin_user=node["admin_user"], admin_password=node["admin_password"])
            for node in data_nodes]
    client = system.sdk()
    client.create_database(CreateDatabaseRequest(instance_id=instance, body=CreateDatabaseReq(databases=[
        CreateDatabaseDetail(name=name, shard_mode="cluster", shard_number=shards, used_rds=used)])))
    shown = ShowDatabaseRequest(instance_id=instance, ddm_dbname=name)
    eventually("the schema runs", lambda: client.show_database(shown).database.status == "RUNNING", JOB_SECONDS)


def log_in(system, instance, schema=None):
    """A connection to the instance's address as its administrator."""
    shown = system.sdk().show_instance(ShowInstanceRequest(instance_id=instance))
    return connect(shown.access_ip, int(shown.access_port), ADMIN, ADMIN_PASSWORD, schema)


def ask(node, sql, port=None):
    """Rows that a data node, or its replica at `port`, gives its administrator."""
    with connect(node["host"], port or node["port"], node["admin_user"], node["admin_password"]) as server:
        return rows(server, sql)
