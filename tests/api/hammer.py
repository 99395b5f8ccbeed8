"""Random calls made by schemathesis from the declared API: values that the document allows and values
that it does not, on objects that exist and on ones that do not, blended with good bodies so that they
get deep; destructive calls too. What may be destroyed are instances that were bought for it, on a data
node of their own."""

import copy
import random
import time

import requests
import schemathesis
from document import DOCUMENT, OPERATIONS
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi import checks as of_openapi
from servers import foreign_server

INSTANCES_MAX = 3
NODES_MAX = 9
NO_MORE = "no-more"
FIXED = ("node_num", "node_number", "nodes", "node_ids", "instance_ids", "target")
LOOK_EVERY = 40
TELL_EVERY = 1_000
FAILURES_SHOWN = 10
CHECKS = [
    of_openapi.status_code_conformance, of_openapi.content_type_conformance,
    of_openapi.response_headers_conformance, of_openapi.response_schema_conformance,
]


class Hammer:
    """Makes calls and keeps what was wrong about the answers."""

    def __init__(self, world, requests_max, seconds, first_seed):
        self.world, self.caller = world, world.caller
        self.requests_max, self.deadline, self.seed = requests_max, time.monotonic() + seconds, first_seed
        self.made, self.failures, self.statuses, self.answered = 0, [], {}, {}
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = world.ends["ca_file"]
        self.operations = {operation.key: operation for operation in OPERATIONS}
        schema = schemathesis.openapi.from_dict(copy.deepcopy(DOCUMENT))
        self.strategies = []
        for result in schema.get_all_operations():
            operation = result.ok()
            for mode, share in ((GenerationMode.POSITIVE, 2), (GenerationMode.NEGATIVE, 1)):
                self.strategies += [operation.as_strategy(generation_mode=mode)] * share
        self.live = {"project_id": [world.caller.project]}
        self.exported = None

    def run(self):
        """Makes the calls; returns what was wrong."""
        with foreign_server("--lower-case-table-names=1", "--log-bin=binlog", "--binlog-format=ROW",
                            "--local-infile=ON", "--server-id=4712") as server:
            self.server = server

            chance = random.Random(self.seed)

            @seed(self.seed)
            @settings(max_examples=self.requests_max, database=None, deadline=None, phases=[Phase.generate],
                      suppress_health_check=list(HealthCheck))
            @given(st.sampled_from(self.strategies).flatmap(lambda strategy: strategy))
            def make(case):
                if time.monotonic() < self.deadline:
                    self.call(case, chance)

            make()
        return self.failures

    def call(self, case, chance):
        """One call, blended with what exists, and a look at its answer."""
        if self.made % LOOK_EVERY == 0:
            self.look()
        self.made += 1
        if self.made % TELL_EVERY == 0:
            print(f"{self.made} requests, {len(self.failures)} wrong answers, {self.statuses}", flush=True)
        operation = self.operations[f"{case.method.upper()} {case.path}"]
        for name, ids in self.live.items():
            if name in case.path_parameters and ids and (name == "project_id" or chance.random() < 0.9):
                case.path_parameters[name] = chance.choice(ids)
        if isinstance(case.body, dict):
            case.body = self.blend(case.body, self.good_body(operation), chance)
        for name, value in self.world.query(operation).items():
            if chance.random() < 0.7:
                case.query[name] = value
        language = chance.choice(["zh-cn", "en-us"])
        try:
            response = case.call(base_url=self.world.ends["api"], session=self.session, timeout=60, verify=self.session.verify, headers={
                "X-Auth-Token": self.caller.token, "X-Language": language})
        except requests.exceptions.RequestException as error:
            return self.failed(case, f"no answer: {error!r}")
        self.statuses[response.status_code] = self.statuses.get(response.status_code, 0) + 1
        self.answered.setdefault(operation.id, set()).add(response.status_code)
        if response.status_code >= 500:
            return self.failed(case, f"{response.status_code} {response.text[:300]}")
        if response.status_code == 405:
            return None
        try:
            case.validate_response(response, checks=CHECKS)
        except (Failure, FailureGroup) as error:
            shown = getattr(error, "exceptions", [error])
            self.failed(case, f"{response.status_code} {response.text[:300]}: {' '.join(str(one)[:300] for one in shown)}")
        return None

    def failed(self, case, what):
        """Keeps a failure with the command that shows it again; passwords are of this run only."""
        self.failures.append(f"{case.method.upper()} {case.path}: {what}\n    {case.as_curl_command()[:1500]}")
        print(self.failures[-1], flush=True)

    def good_body(self, operation):
        """A body that would be taken, on objects that may be destroyed."""
        body = self.world.body(operation) if operation.request else {}
        login = {"id": self.data_node, "user": self.server["admin_user"], "password": self.server["admin_password"]}
        instances, nodes = self.live["instance_id"], self.live["node_id"]
        zone = self.world.ends["availability_zones"][0] if len(nodes) < NODES_MAX else NO_MORE
        if len(instances) >= INSTANCES_MAX and operation.id in ("create_instance", "create_instance_v3"):
            (body.get("instance") or body)["available_zones"] = [NO_MORE]
        makers = {
            "create_data_node": lambda: body.update(self.server, name=f"hammer-{self.made}"),
            "create_accounts": lambda: body["users"][0].update(name=f"user_{self.made}", databases=[]),
            "create_account_v3": lambda: body.update(name=f"user_{self.made}", databases=[]),
            "update_account": lambda: body["user"].update(databases=[]),
            "update_account_v3": lambda: body.update(databases=[]),
            "create_schema": lambda: body["databases"][0].update(name=f"schema_{self.made}", shard_number=1, used_rds=[
                {"id": login["id"], "adminUser": login["user"], "adminPassword": login["password"]}]),
            "create_schema_v3": lambda: body.update(name=f"schema_{self.made}", shard_number=1, dn_instances=[
                {"id": login["id"], "user_name": login["user"], "user_password": login["password"]}]),
            "import_metadata": lambda: body.update(
                compressed_databases_info=self.exported or body["compressed_databases_info"], dn_instance=[
                    {"dn_instance_id": login["id"], "admin_user": login["user"], "admin_password": login["password"]}]),
            "restore_metadata": lambda: body.update(
                source={"backup_id": next(iter(self.live["backup_id"]), NO_MORE)},
                target={"instance_id": next(iter(instances), NO_MORE), "data_nodes": [login["id"]]}),
            "apply_configuration": lambda: body.update(instance_ids=instances[:1] or [NO_MORE]),
            "enlarge_instance": lambda: body.update(group_id=None, node_number=1 if zone != NO_MORE else 33),
            "reduce_instance": lambda: body.update(group_id=None),
            "change_flavor": lambda: body.update(group_id=None),
            "add_nodes_v3": lambda: body.update(group_id=None, nodes=[{"available_zone": zone}]),
            "create_group": lambda: body.update(nodes=[{"available_zone": zone, "subnet_id": self.world.ends["subnet_id"]}]),
            "update_data_node": lambda: body.update(self.server, replicas=[]),
            "set_read_weights": lambda: body.update(read_weight={login["id"]: 100}),
            "set_read_weights_v3": lambda: body.update(read_weight_list=[{login["id"]: 100}]),
            "check_data_node_connections": lambda: body.update(infos=[{
                "endpoint": f"{self.server['host']}:{self.server['port']}", "username": login["user"],
                "password": login["password"], "rds_instance_id": login["id"]}]),
            "delete_nodes_v3": lambda: body.update(node_ids=nodes[-1:]),
            "batch_delete_nodes_v3": lambda: body.update(node_ids=nodes[-1:]),
        }
        makers.get(operation.id, lambda: None)()
        return body

    def blend(self, made, good, chance):
        """The generated value with parts of the good one; often the whole good one."""
        if chance.random() < 0.4:
            return good
        out = dict(made)
        for name, value in good.items():
            inner = made.get(name)
            if isinstance(value, dict) and isinstance(inner, dict):
                out[name] = self.blend(inner, value, chance)
            elif name in FIXED or chance.random() < 0.7:
                out[name] = value
        return out

    def look(self):
        """Learns what exists, and buys or registers what is missing."""
        call, path = self.caller.call, self.caller.path
        demo = self.world.ends["demo"]["instance_id"]
        nodes = call("GET", path("/v3/{project_id}/data-nodes")).body["data_nodes"]
        own = [node["id"] for node in nodes if node["port"] == self.server["port"]]
        if not own:
            answer = call("POST", path("/v3/{project_id}/data-nodes"), {"name": f"hammer-{self.made}", **self.server})
            assert answer.status == 201, answer
            own = [answer.body["id"]]
        self.data_node = own[0]
        instances = call("GET", path("/v1/{project_id}/instances"), query={"limit": 128}).body["instances"]
        mine = [one for one in instances if one["id"] not in (demo, self.world._spare)]
        if not [one for one in mine if one["status"] == "RUNNING"] and len(mine) < INSTANCES_MAX:
            call("POST", path("/v1/{project_id}/instances"), self.world.instance_body(f"hammered-{self.made}"))
        ids = [one["id"] for one in mine]
        self.live["instance_id"] = ids
        self.live["order_id"] = [one["order_id"] for one in mine if one.get("order_id")]
        self.live["job_id"] = [one["id"] for one in call("GET", path("/v3/{project_id}/jobs")).body["jobs"]]
        self.live["data_node_id"] = own
        self.learn("config_id", "configurations", "configurations", user_defined=True)
        self.learn("backup_id", "backups", "backups")
        self.learn("security_group_id", "security-groups", "security_groups")
        own_groups = self.live["security_group_id"] = [
            one for one in self.live["security_group_id"] if one != self.world.ends["security_group_id"]]
        self.live["rule_id"] = [row["id"] for group in own_groups[:5] for row in call(
            "GET", path("/v3/{project_id}/security-groups/{group}/rules", group=group)).body.get("rules", [])]
        schemas, accounts, nodes, groups = set(), set(), set(), set()
        for one in ids:
            base = path("/v1/{project_id}/instances/{instance_id}", instance_id=one)
            nodes |= {row["node_id"] for row in (call("GET", f"{base}/nodes").body or {}).get("nodes", [])}
            groups |= {row["id"] for row in (call("GET", f"/v3{base[3:]}/groups").body or {}).get("group_list", [])}
            exported = call("GET", f"/v3{base[3:]}/schema-metadata")
            self.exported = exported.body["compressed_databases_info"] if exported.status == 200 else self.exported
            schemas |= {row["name"] for row in (call("GET", f"{base}/databases").body or {}).get("databases", [])}
            accounts |= {row["name"] for row in (call("GET", f"{base}/users").body or {}).get("users", [])}
        for names, values in ((("ddm_dbname", "database_name", "db_name"), schemas), (("username",), accounts),
                              (("node_id",), nodes), (("group_id",), groups)):
            for name in names:
                self.live[name] = sorted(values)

    def learn(self, name, path, word, **those):
        """The ids of a list's rows."""
        rows = self.caller.call("GET", self.caller.path(f"/v3/{{project_id}}/{path}"), query={"limit": 128}).body[word]
        self.live[name] = [row["id"] for row in rows if all(row[key] == value for key, value in those.items())]

    def never_good(self):
        """Calls of which none succeeded."""
        return sorted(one.id for one in OPERATIONS if not self.answered.get(one.id, set()) & {200, 201, 202, 204})
