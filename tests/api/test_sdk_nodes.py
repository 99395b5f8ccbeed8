"""The calls about nodes and groups that the SDK has beside the documents', by the SDK, on an instance of
their own. What each answers is compared with the fields that the SDK's models have."""

import json

import huaweicloudsdkddm.v1 as ddm
import pytest
from document import find
from documents import ADDRESS, FLAG, GUID, JOB, NODE_STATUS, NUMBER, TEXT, compare, ident, maybe, one_of
from system import JOB_SECONDS, eventually

ONE = "/v1/{project_id}/instances/{instance_id}"
V3 = "/v3/{project_id}/instances/{instance_id}"
ORDERED = {"job_id": JOB, "order_id": maybe(TEXT)}
ROLE = one_of("rw", "r")
FORMS = {
    f"GET {V3}/nodes/{{node_id}}": (200, {
        "id": ident("no09"), "private_ip": ADDRESS, "status": NODE_STATUS, "name": TEXT, "subnet_id": GUID, "az_code": TEXT,
        "group_id": ident("gr09")}),
    f"POST {V3}/nodes": (202, ORDERED),
    f"POST {V3}/nodes/batch-delete": (202, ORDERED),
    f"DELETE {V3}/nodes": (202, ORDERED),
    f"POST {V3}/nodes/{{node_id}}/restart": (202, {"job_id": JOB}),
    f"GET {V3}/groups": (200, {"total_count": NUMBER, "group_list": [{
        "id": ident("gr09"), "name": TEXT, "role": ROLE, "endpoint": TEXT, "is_load_balance": FLAG,
        "is_default_group": FLAG, "cpu_num_per_node": NUMBER, "mem_num_per_node": NUMBER, "architecture": TEXT,
        "node_list": [{"id": ident("no09"), "name": TEXT, "az": TEXT}]}]}),
    f"POST {V3}/groups": (202, {
        "instance_id": ident("in09"), "job_id": JOB, "group_id": ident("gr09"), "order_id": maybe(TEXT)}),
    f"DELETE {V3}/groups/{{group_id}}": (202, {"job_id": JOB, "order_id": maybe(TEXT)}),
    f"GET {V3}/groups/{{group_id}}/acls": (200, {
        "instance_id": ident("in09"), "group_id": ident("gr09"), "enable_ipgroup": FLAG, "type": one_of("white", "black"),
        "ipgroup": {"id": ident("gr09"), "name": TEXT, "ip_list": [{"ip": TEXT, "description": TEXT}]}}),
    f"POST {V3}/groups/{{group_id}}/acls": (200, {"enable_ipgroup": FLAG}),
    f"POST {V3}/reload-config": (200, {}),
    f"POST {V3}/restart": (202, {"job_id": JOB}),
}


class Nodes:
    """An instance of one node, the SDK's client, and the calls that were made."""

    def __init__(self, world):
        self.world, self.client, self.seen = world, world.plane.sdk(), set()
        self.instance = world.buy("conformity-nodes")
        self.zone = world.ends["availability_zones"][0]

    def ask(self, key, method, **fields):
        """One call; its status and form are those of the table, and the SDK sees each field."""
        status, form = FORMS[key]
        request = getattr(ddm, "".join(word.capitalize() for word in method.split("_")) + "Request")
        answer = getattr(self.client, method)(request(instance_id=self.instance, **fields))
        body = json.loads(answer.raw_content)
        self.seen.add(key)
        assert answer.status_code == status and not compare(form, body), (body, compare(form, body))
        for attribute, name in type(answer).attribute_map.items():
            assert body.get(name) is None or getattr(answer, attribute) is not None, name
        return answer

    def done(self, answer):
        assert self.world.done(answer.job_id)["status"] == "Completed"
        self.world.settled(self.instance)

    def ids(self):
        return [node["node_id"] for node in self.world.instance(self.instance).body["nodes"]]


@pytest.fixture(scope="module")
def nodes(world):
    nodes = Nodes(world)
    yield nodes
    path = world.caller.path(ONE, instance_id=nodes.instance)
    assert world.caller.call("DELETE", path).status == 200
    eventually("it is gone", lambda: world.instance(nodes.instance).status == 404, JOB_SECONDS)


def test_nodes_are_added_shown_and_restarted(nodes):
    [first] = nodes.ids()
    nodes.done(nodes.ask(f"POST {V3}/nodes", "expand_ddm_instance_nodes", body=ddm.ExpandDdmInstanceNodesRequestBody(
        nodes=[ddm.EnlargeNodeInfo(available_zone=nodes.zone)] * 2)))
    assert len(nodes.ids()) == 3
    shown = nodes.ask(f"GET {V3}/nodes/{{node_id}}", "show_ddm_node_detail", node_id=first)
    assert (shown.id, shown.az_code, shown.status) == (first, nodes.zone, "normal")
    nodes.done(nodes.ask(f"POST {V3}/nodes/{{node_id}}/restart", "restart_node", node_id=first))


def test_nodes_that_are_named_go(nodes):
    first, second, third = nodes.ids()
    body = lambda node: ddm.ReduceNodeOpenRequest(node_ids=[node])  # noqa: E731
    nodes.done(nodes.ask(f"POST {V3}/nodes/batch-delete", "batch_delete_nodes", body=body(second)))
    nodes.done(nodes.ask(f"DELETE {V3}/nodes", "delete_nodes", body=body(first)))
    assert nodes.ids() == [third]


def test_groups_come_and_go(nodes):
    made = nodes.ask(f"POST {V3}/groups", "create_group", body=ddm.CreateGroupRequestBody(
        name="second", type="rw", flavor_id=nodes.world.flavors[1]["id"], nodes=[ddm.NodeInfo(
            available_zone=nodes.zone, subnet_id=nodes.world.ends["subnet_id"])]))
    nodes.done(made)
    listed = nodes.ask(f"GET {V3}/groups", "list_group", offset=0, limit=128).group_list
    assert [(one.name, one.role, one.cpu_num_per_node) for one in listed] == [
        ("group-default", "rw", int(nodes.world.flavors[0]["cpu"])), ("second", "rw", int(nodes.world.flavors[1]["cpu"]))]
    key = f"{V3}/groups/{{group_id}}/acls"
    assert nodes.ask(f"POST {key}", "switch_ip_group", group_id=made.group_id, body=ddm.ElbIpGroupOpsReq(
        name="here", type="black", enable_ip_group=True, ip_list=[ddm.IpGroupItem(ip="10.0.0.0/8")])).enable_ipgroup
    shown = nodes.ask(f"GET {key}", "show_ip_group", group_id=made.group_id)
    assert (shown.type, shown.ipgroup["name"], shown.enable_ipgroup) == ("black", "here", True)
    nodes.done(nodes.ask(f"DELETE {V3}/groups/{{group_id}}", "delete_group", group_id=made.group_id))


def test_the_whole_instance(nodes):
    nodes.ask(f"POST {V3}/reload-config", "rebuild_ddm_config")
    nodes.done(nodes.ask(f"POST {V3}/restart", "restart_ddm_instance"))


def test_every_call_was_made(nodes):
    assert nodes.seen == set(FORMS) and all(find(key) for key in FORMS)
