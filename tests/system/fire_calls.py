"""The calls of the test under fire: for each operation that changes something, how to make one out of
what was last seen of the system. Most go to an object in the state that the call needs, the others to
any object, so that each kind succeeds sometimes and is refused sometimes."""

import threading

import invariants

FITTING = 0.8
INSTANCES_MAX = 4
NODES_MAX = 3
GROUPS_MAX = 2
TEMPLATES_MAX = 4
SECURITY_GROUPS_MAX = 4
SCHEMAS_MAX = 3
PASSWORDS = ["Zebra-of_Night7", "Willow+of-Day8", "Otter_of^Dawn9"]
ACCOUNTS = ["ann", "bob", "eve"]
SCHEMAS = ["fire_a", "fire_b", "fire_c"]
# Some instances have schemas of these names alone. They are deleted without their data, so that every
# backup of these instances can be restored.
KEPT_SCHEMAS = ["kept_a", "kept_b"]
SMALL, LARGE = "ddm.c6.large.2", "ddm.c6.xlarge.2"
V1, V3 = "/v1/{project_id}/instances", "/v3/{project_id}/instances"


class Seen:
    """The system's objects as they were last seen, and what only answers tell."""

    def __init__(self, endpoints):
        self.ends, self.lock = endpoints, threading.Lock()
        self.instances, self.backups, self.templates, self.security_groups = {}, {}, [], []
        self.jobs, self.orders, self.exports, self.flavors = [], [], [], {}
        # Instances whose schemas keep their data.
        self.keepers = set()

    def look(self, api):
        """Reads all anew. What goes away meanwhile is left out."""
        instances = {}
        for row in api.all(V1, "instances"):
            path, one = f"{V1}/{row['id']}", dict(row)
            try:
                one["schemas"] = api.all(path + "/databases", "databases")
                one["accounts"] = [user["name"] for user in api.all(path + "/users", "users")]
                one["free"] = [node["id"] for node in api.all(path + "/rds", "instances")]
                one["used"] = [node["id"] for schema in one["schemas"] if schema["status"] == "RUNNING"
                               for node in api.get(f"{path}/databases/{schema['name']}")["database"]["used_rds"]]
                one["groups"] = api.get(f"{V3}/{row['id']}/groups")["group_list"]
            except invariants.NotAnswered:
                continue
            instances[row["id"]] = one
            if not {schema["name"] for schema in one["schemas"]}.isdisjoint(KEPT_SCHEMAS):
                self.keepers.add(row["id"])
        templates = [one["id"] for one in api.all("/v3/{project_id}/configurations", "configurations") if one["user_defined"]]
        groups = api.all("/v3/{project_id}/security-groups", "security_groups")
        groups = [one for one in groups if one["id"] != self.ends["security_group_id"]]
        backups = {}
        for row in api.all("/v3/{project_id}/backups", "backups"):
            try:
                shown = self.backups.get(row["id"]) or api.get(f"{V3}/{row['instance_id']}/backups/{row['id']}")
            except invariants.NotAnswered:
                continue
            backups[row["id"]] = shown
        with self.lock:
            self.instances, self.backups, self.templates, self.security_groups = instances, backups, templates, groups

    def learn(self, operation, answer):
        """Keeps what a successful answer tells and no list shows."""
        if not isinstance(answer, dict):
            return
        with self.lock:
            if operation == "export_metadata":
                self.exports = [*self.exports[-4:], answer]
            if isinstance(answer.get("job_id"), str):
                self.jobs = [*self.jobs[-20:], answer["job_id"]]
            order = answer.get("order_id") or answer.get("orderId")
            if order:
                self.orders = [*self.orders[-5:], order]


def flavors(api):
    """Node classes by code, each with its id and its engine's."""
    engine = api.get("/v2/{project_id}/engines")["engineGroups"][0]["id"]
    groups = api.get(f"/v2/{{project_id}}/flavors?engine_id={engine}")["computeFlavorGroups"]
    return {one["code"]: {"id": one["id"], "engine": engine} for group in groups for one in group["computeFlavors"]}


class Chooser:
    """Chooses by one generator of random numbers out of what was seen."""

    def __init__(self, seen, rng):
        self.seen, self.rng = seen, rng

    def one(self, values):
        values = list(values)
        return self.rng.choice(values) if values else None

    def instance(self, fits=lambda one: True, running=True):
        """An instance that fits, or sometimes any; None when there is none."""
        every = list(self.seen.instances.values())
        if self.rng.random() > FITTING:
            return self.one(every)
        return self.one(one for one in every if (not running or one["status"] == "RUNNING") and fits(one))

    def node(self, instance):
        return self.one(node["id"] for group in instance["groups"] for node in group["node_list"])

    def group(self, instance, fits=lambda group: True):
        return self.one(group for group in instance["groups"] if fits(group)) or self.one(instance["groups"])

    def schema(self, instance):
        """A schema's name and whether its data go with it."""
        running = [one["name"] for one in instance["schemas"] if one["status"] in invariants.SCHEMA_AT_REST]
        name = self.one(running) if running and self.rng.random() < FITTING else self.one(SCHEMAS)
        return name, name not in KEPT_SCHEMAS

    def account(self, instance):
        named = [name for name in instance["accounts"] if name in ACCOUNTS]
        return self.one(named) if named and self.rng.random() < FITTING else self.one(ACCOUNTS)

    def data_nodes(self, instance, count=None):
        """Free data nodes with their administrators."""
        nodes = {node["id"]: node for node in self.seen.ends["data_nodes"]}
        free = [id for id in instance["free"] if id in nodes]
        count = count or self.rng.choice([1, 1, 2])
        pool = free if len(free) >= count and self.rng.random() < FITTING else list(nodes)
        return [nodes[id] for id in self.rng.sample(pool, min(count, len(pool)))]

    def name(self):
        return f"fire-{self.rng.randrange(1000)}"


class Call:
    """What one call sends: values of its path, its query, its body."""

    def __init__(self, body=None, query="", **values):
        self.body, self.query, self.values = body, query, values


def of_instance(instance, body=None, query="", **values):
    return instance and Call(body, query, instance_id=instance["id"], **values)


def buy(choose, v3):
    if len(choose.seen.instances) >= INSTANCES_MAX and choose.rng.random() < 0.95:
        return None
    ends, prepaid = choose.seen.ends, choose.rng.random() < 0.6
    detail = {"name": choose.name(), "node_num": choose.rng.choice([1, 1, 2]), "available_zones": ["az1"],
              "vpc_id": ends["vpc_id"], "subnet_id": ends["subnet_id"], "security_group_id": ends["security_group_id"]}
    if v3:
        charge = {"charge_mode": "prePaid", "period_num": 1, "period_type": "month"} if prepaid else None
        return Call({**detail, "flavor_ref": SMALL, **({"charge_info": charge} if charge else {})})
    flavor = choose.seen.flavors[SMALL]
    return Call({"instance": {**detail, "flavor_id": flavor["id"], "engine_id": flavor["engine"]}})


def delete_instance(choose, query):
    # Only when others stay to be worked on.
    if len(choose.seen.instances) < 2:
        return None
    return of_instance(choose.instance(running=False), query=f"?{query}=true")


def logins(nodes, user="adminUser", password="adminPassword"):
    return [{"id": node["id"], user: node["admin_user"], password: node["admin_password"]} for node in nodes]


def new_schema(choose, v3):
    instance = choose.instance(lambda one: len(one["schemas"]) < SCHEMAS_MAX)
    if not instance:
        return None
    there = {one["name"] for one in instance["schemas"]}
    names = KEPT_SCHEMAS if instance["id"] in choose.seen.keepers else SCHEMAS
    free = [name for name in names if name not in there]
    name = choose.one(free) if free and choose.rng.random() < FITTING else choose.one(names)
    nodes = choose.data_nodes(instance)
    detail = {"name": name, "shard_mode": "cluster", "shard_number": 2 * len(nodes)}
    if v3:
        return of_instance(instance, {**detail, "dn_instances": logins(nodes, "user_name", "user_password")})
    return of_instance(instance, {"databases": [{**detail, "used_rds": logins(nodes)}]})


def delete_schema(choose, query, parameter):
    instance = choose.instance(lambda one: one["schemas"])
    if not instance:
        return None
    name, with_data = choose.schema(instance)
    return of_instance(instance, query=f"?{query}={str(with_data).lower()}", **{parameter: name})


def account(choose, instance):
    free = [name for name in ACCOUNTS if name not in instance["accounts"]]
    name = choose.one(free) if free and choose.rng.random() < FITTING else choose.one(ACCOUNTS)
    body = {"name": name, "password": choose.one(PASSWORDS), "base_authority": ["SELECT", "INSERT"]}
    schemas = [one["name"] for one in instance["schemas"] if one["status"] == "RUNNING"]
    if schemas and choose.rng.random() < 0.5:
        body["databases"] = [{"name": choose.one(schemas)}]
    return body


def new_account(choose, wrap):
    instance = choose.instance()
    return instance and of_instance(instance, wrap(account(choose, instance)))


def on_account(choose, body):
    instance = choose.instance(lambda one: one["accounts"])
    return instance and of_instance(instance, body, username=choose.account(instance))


def account_change(choose):
    return {"base_authority": choose.rng.sample(["SELECT", "INSERT", "UPDATE", "DELETE"], 2), "description": choose.name()}


def enlarge(choose, v3):
    instance = choose.instance(lambda one: int(one["node_count"]) < NODES_MAX)
    if not instance:
        return None
    group = choose.group(instance)
    if v3:
        return of_instance(instance, {"nodes": [{"available_zone": "az1"}], "group_id": group["id"]})
    flavor = choose.seen.flavors[SMALL if group["cpu_num_per_node"] == 2 else LARGE]["id"]
    return of_instance(instance, {"flavor_id": flavor, "node_number": 1, "group_id": group["id"]})


def reduce(choose, by_name):
    several = lambda group: len(group["node_list"]) > 1  # noqa: E731
    instance = choose.instance(lambda one: any(several(group) for group in one["groups"]))
    if not instance:
        return None
    group = choose.group(instance, several)
    if not by_name:
        return of_instance(instance, {"node_number": 1, "group_id": group["id"]})
    node = choose.one(node["id"] for node in group["node_list"])
    return of_instance(instance, {"node_ids": [node or "0" * 32 + "no09"]})


def change_flavor(choose):
    instance = choose.instance()
    if not instance:
        return None
    group = choose.group(instance)
    code = LARGE if group["cpu_num_per_node"] == 2 else SMALL
    return of_instance(instance, {"spec_code": code, "group_id": group["id"]})


def new_group(choose):
    instance = choose.instance(lambda one: len(one["groups"]) < GROUPS_MAX and int(one["node_count"]) < NODES_MAX)
    body = {"name": f"g{choose.rng.randrange(100)}", "type": choose.one(["r", "rw"]), "flavor_ref": SMALL,
            "nodes": [{"available_zone": "az1"}]}
    return of_instance(instance, body)


def delete_group(choose):
    other = lambda group: not group["is_default_group"]  # noqa: E731
    instance = choose.instance(lambda one: any(other(group) for group in one["groups"]))
    return instance and of_instance(instance, group_id=choose.group(instance, other)["id"])


def restart_node(choose):
    instance = choose.instance()
    node = instance and choose.node(instance)
    return node and of_instance(instance, node_id=node)


def imports(choose):
    exported = choose.one(choose.seen.exports)
    instance = choose.instance(lambda one: not one["schemas"] and one["id"] not in choose.seen.keepers)
    if not exported or not instance:
        return None
    nodes = choose.data_nodes(instance, len(exported["data_nodes"]))
    return of_instance(instance, {
        "compressed_databases_info": exported["compressed_databases_info"],
        "dn_instance": [{"dn_instance_id": node["id"], "admin_user": node["admin_user"],
                         "admin_password": node["admin_password"]} for node in nodes]})


def export(choose):
    return of_instance(choose.instance(lambda one: any(schema["status"] == "RUNNING" for schema in one["schemas"])))


def restore(choose):
    """A backup's schemas back to where they were."""
    lacks = lambda one: one["id"] in choose.seen.keepers and len(one["schemas"]) < len(KEPT_SCHEMAS)  # noqa: E731
    instance = choose.instance(lacks)
    if not instance:
        return None
    own = [one for one in choose.seen.backups.values() if one["instance_id"] == instance["id"] and one["related_data_nodes"]]
    # The last ones, for what they know is there the most likely.
    backup = choose.one(own[:2])
    return backup and of_instance(instance, {
        "source": {"backup_id": backup["id"]},
        "target": {"instance_id": instance["id"], "data_nodes": [one["instance_id"] for one in backup["related_data_nodes"]]}})


def access_list(choose):
    """A list that lets loopback in, so that what serves can still be seen to serve."""
    instance = choose.instance()
    body = {"type": "white", "enable_ip_group": choose.one([True, False]), "ip_list": [{"ip": "127.0.0.0/8"}]}
    return instance and of_instance(instance, body, group_id=choose.group(instance)["id"])


def own_data_nodes(choose, instance):
    """Data nodes of the instance, or sometimes any."""
    nodes = [node["id"] for node in choose.seen.ends["data_nodes"]]
    used = instance["used"]
    return used if used and choose.rng.random() < FITTING else nodes


def read_weights(choose, wrap):
    instance = choose.instance(lambda one: one["used"])
    if not instance:
        return None
    return of_instance(instance, wrap({choose.one(own_data_nodes(choose, instance)): choose.one([50, 100])}))


def check_connections(choose):
    instance, node = choose.instance(), choose.one(choose.seen.ends["data_nodes"])
    return of_instance(instance, {"infos": [{
        "rds_instance_id": node["id"], "endpoint": f"{node['host']}:{node['port']}", "username": node["admin_user"],
        "password": choose.one([node["admin_password"], "wrong"])}]})


def parameters(choose):
    return of_instance(choose.instance(), {"values": {"long_query_time": choose.one(["1", "2", "5"]),
                                                      "max_connections": choose.one(["10000", "20000"])}})


def template(choose, body=None):
    id = choose.one(choose.seen.templates)
    return id and Call(body, config_id=id)


def new_template(choose, body):
    if len(choose.seen.templates) >= TEMPLATES_MAX:
        return None
    return Call(body) if "new_name" not in body else template(choose, body)


def apply_template(choose):
    instance = choose.instance()
    return instance and template(choose, {"instance_ids": [instance["id"]]})


def compare_templates(choose):
    if len(choose.seen.templates) < 2:
        return None
    source, target = choose.rng.sample(choose.seen.templates, 2)
    return Call({"source_id": source, "target_id": target})


def move_to_security_group(choose):
    groups = [one["id"] for one in choose.seen.security_groups] + [choose.seen.ends["security_group_id"]]
    return of_instance(choose.instance(), {"security_group_id": choose.one(groups)})


def new_security_group(choose):
    full = len(choose.seen.security_groups) >= SECURITY_GROUPS_MAX
    return None if full else Call({"name": f"fire-{choose.rng.randrange(10_000)}"})


def new_rule(choose):
    group = choose.one(choose.seen.security_groups)
    network = choose.one(["127.0.0.0/8", "10.0.0.0/8", "0.0.0.0/0"])
    return group and Call({"cidr": network}, security_group_id=group["id"])


def delete_rule(choose):
    group = choose.one(one for one in choose.seen.security_groups if one["rules"])
    return group and Call(security_group_id=group["id"], rule_id=choose.one(group["rules"])["id"])


def delete_security_group(choose):
    group = choose.one(choose.seen.security_groups)
    return group and Call(security_group_id=group["id"])


def move_data_node(choose):
    """The same server by its other name."""
    node = choose.one(choose.seen.ends["data_nodes"])
    return Call({"host": choose.one(["localhost", "127.0.0.1"])}, data_node_id=node["id"])


def pay(choose):
    """Mostly an order that nobody has paid yet."""
    orders = choose.seen.orders
    if not orders:
        return None
    return Call(order_id=orders.pop() if choose.rng.random() < FITTING else orders[-1])


def with_id(values, name):
    return Call(**{name: values[-1]}) if values else None


# operation: (how often, how to make it); None: not this time.
CHANGES = {
    "create_instance": (2, lambda c: buy(c, False)),
    "create_instance_v3": (4, lambda c: buy(c, True)),
    "delete_instance": (1, lambda c: delete_instance(c, "delete_rds_data")),
    "delete_instance_v3": (1, lambda c: delete_instance(c, "delete_dn_data")),
    "restart_instance": (1, lambda c: of_instance(c.instance(), {"restart": {"type": c.one(["soft", "hard"])}})),
    "restart_instance_v3": (1, lambda c: of_instance(c.instance())),
    "restart_node_v3": (1, restart_node),
    "rename_instance": (2, lambda c: of_instance(c.instance(), {"name": c.name()})),
    "rename_instance_v3": (2, lambda c: of_instance(c.instance(), {"name": c.name()})),
    "reload_config": (1, lambda c: of_instance(c.instance())),
    "reload_config_v3": (1, lambda c: of_instance(c.instance())),
    "change_flavor": (2, change_flavor),
    "enlarge_instance": (2, lambda c: enlarge(c, False)),
    "add_nodes_v3": (2, lambda c: enlarge(c, True)),
    "reduce_instance": (2, lambda c: reduce(c, False)),
    "batch_delete_nodes_v3": (1, lambda c: reduce(c, True)),
    "delete_nodes_v3": (1, lambda c: reduce(c, True)),
    "create_group": (2, new_group),
    "delete_group": (2, delete_group),
    "create_schema": (4, lambda c: new_schema(c, False)),
    "create_schema_v3": (4, lambda c: new_schema(c, True)),
    "delete_schema": (2, lambda c: delete_schema(c, "delete_rds_data", "ddm_dbname")),
    "delete_schema_v3": (2, lambda c: delete_schema(c, "delete_dn_data", "database_name")),
    "create_accounts": (2, lambda c: new_account(c, lambda one: {"users": [one]})),
    "create_account_v3": (2, lambda c: new_account(c, lambda one: one)),
    "update_account": (1, lambda c: on_account(c, {"user": account_change(c)})),
    "update_account_v3": (1, lambda c: on_account(c, account_change(c))),
    "delete_account": (1, lambda c: on_account(c, None)),
    "delete_account_v3": (1, lambda c: on_account(c, None)),
    "reset_password": (1, lambda c: on_account(c, {"password": c.one(PASSWORDS)})),
    "reset_password_v3": (1, lambda c: on_account(c, {"password": c.one(PASSWORDS)})),
    "set_administrator": (2, lambda c: of_instance(c.instance(), {"name": "boss", "password": c.one(PASSWORDS)})),
    "verify_password": (1, lambda c: Call({"password": c.one(PASSWORDS)})),
    "pay_order": (3, pay),
    "update_parameters": (2, parameters),
    "update_parameters_v3_1": (1, parameters),
    "create_configuration": (2, lambda c: new_template(c, {"name": c.name(), "values": {"long_query_time": "3"}})),
    "copy_configuration": (1, lambda c: new_template(c, {"new_name": c.name()})),
    "update_configuration": (1, lambda c: template(c, {"name": c.name(), "values": {"long_query_time": "4"}})),
    "apply_configuration": (1, apply_template),
    "diff_configurations": (1, compare_templates),
    "delete_configuration": (1, template),
    "modify_security_group": (1, move_to_security_group),
    "modify_security_group_v3": (1, move_to_security_group),
    "create_security_group": (1, new_security_group),
    "delete_security_group": (1, delete_security_group),
    "create_security_group_rule": (3, new_rule),
    "delete_security_group_rule": (1, delete_rule),
    "set_access_list": (1, access_list),
    "set_read_weights": (1, lambda c: read_weights(c, lambda one: {"read_weight": one})),
    "set_read_weights_v3": (1, lambda c: read_weights(c, lambda one: {"read_weight_list": [one]})),
    "sync_data_nodes": (1, lambda c: of_instance(c.instance())),
    "sync_data_nodes_v3": (1, lambda c: of_instance(c.instance())),
    "update_data_node": (2, move_data_node),
    "check_data_node_connections": (1, check_connections),
    "export_metadata": (2, export),
    "import_metadata": (4, imports),
    "restore_metadata": (4, restore),
    "delete_backup": (1, lambda c: with_id([*c.seen.backups], "backup_id")),
}


def values_of_read(choose, names):
    """Values for the path of a call that reads; None when one of them is not known."""
    instance = choose.instance(running=False)
    group = choose.one(choose.seen.security_groups) if "security_group_id" in names else None
    backup = choose.one(choose.seen.backups.values()) if "backup_id" in names else None
    known = {
        "instance_id": backup["instance_id"] if backup else instance and instance["id"],
        "backup_id": backup and backup["id"],
        "node_id": instance and choose.node(instance) if "node_id" in names else None,
        "ddm_dbname": instance and choose.schema(instance)[0],
        "database_name": instance and choose.schema(instance)[0],
        "config_id": choose.one(choose.seen.templates),
        "job_id": choose.one(choose.seen.jobs),
        "security_group_id": group and group["id"],
    }
    values = {name: known.get(name) for name in names}
    return None if None in values.values() else values
