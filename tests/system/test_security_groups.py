"""Security groups decide which client addresses may connect: a client that no rule lets in is turned
away before the greeting, a change of rules acts on all instances of the group at once, and ends the
sessions of those who are no longer let in."""

import json
import ssl
import time
import urllib.error
import urllib.request

import pymysql
import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkddm.v1 import (
    CreateInstanceDetail, CreateInstanceReq, CreateInstanceRequest, ListEnginesRequest, ListFlavorsRequest,
    ModifyInstanceSecurityGroupReq, ShowInstanceRequest,
    UpdateDdmInstanceSecurityGroupRequest, UpdateInstanceSecurityGroupRequest, UpdateInstanceSecurityGroupV3RequestBody,
)
from system import connect, eventually, rows

ELSEWHERE = "127.9.9.9"
NOT_ALLOWED = 1130


class Api:
    """The extension's calls, which the SDK does not have."""

    def __init__(self, system):
        self.system = system
        self.ends = system.endpoints
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": self.ends["username"], "password": self.ends["password"], "domain": {"name": self.ends["domain_name"]}}}},
            "scope": {"project": {"name": self.ends["project_name"]}}}}
        answer, headers = self.raw("POST", "/v3/auth/tokens", body, {})
        self.headers = {"X-Auth-Token": headers["X-Subject-Token"], "X-Language": "en-us"}

    def raw(self, method, path, body, headers):
        context = ssl.create_default_context(cafile=self.ends["ca_file"]) if self.ends["api"].startswith("https") else None
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.ends["api"] + path, data, {**headers, "Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                text = answer.read()
                return (answer.status, json.loads(text) if text else None), answer.headers
        except urllib.error.HTTPError as error:
            return (error.code, json.loads(error.read())), error.headers

    def call(self, method, path="", body=None):
        return self.raw(method, f"/v3/{self.ends['project_id']}/security-groups{path}", body, self.headers)[0]

    def make(self, name, *cidrs):
        status, group = self.call("POST", "", {"name": name})
        assert status == 201 and group["rules"] == [], group
        for cidr in cidrs:
            status, rule = self.call("POST", f"/{group['id']}/rules", {"cidr": cidr})
            assert status == 201 and rule["cidr"] == cidr, rule
        return group["id"]


@pytest.fixture
def api(demo):
    """The API; afterwards the demo's instance has the default group again."""
    api = Api(demo)
    yield api
    give(demo, demo.endpoints["security_group_id"])


def give(system, group):
    ends = system.endpoints["demo"]
    answer = system.sdk().update_instance_security_group(UpdateInstanceSecurityGroupRequest(
        instance_id=ends["instance_id"], body=ModifyInstanceSecurityGroupReq(security_group_id=group)))
    assert answer.security_group_id == group
    shown = system.sdk().show_instance(ShowInstanceRequest(instance_id=ends["instance_id"]))
    assert shown.security_group_id == group


def log_in(system, source="127.0.0.1"):
    ends = system.endpoints["demo"]
    return connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], ends["schema"], bind_address=source)


def refused(system, source):
    with pytest.raises(pymysql.err.MySQLError) as error:
        log_in(system, source)
    assert error.value.args[0] == NOT_ALLOWED, error.value
    assert source in str(error.value)


def test_the_default_group_lets_this_machine_in(demo, api):
    status, found = api.call("GET")
    assert status == 200
    default = found["security_groups"][0]
    assert default["id"] == demo.endpoints["security_group_id"] and default["is_default"]
    assert {rule["cidr"] for rule in default["rules"]} == {"127.0.0.0/8", "::1/128"}
    for source in ("127.0.0.1", ELSEWHERE):
        with log_in(demo, source) as client:
            assert rows(client, "SELECT 1") == [(1,)]
    assert api.call("DELETE", "/" + default["id"])[0] == 409


def test_rules_decide_who_may_connect_and_a_change_acts_at_once(demo, api):
    group = api.make("narrow", "127.0.0.1/32")
    with log_in(demo, ELSEWHERE) as stays, log_in(demo) as inside:
        give(demo, group)
        refused(demo, ELSEWHERE)
        log_in(demo).close()
        assert rows(inside, "SELECT 1") == [(1,)], "whoever is let in keeps the connection"

        def is_ended():
            try:
                rows(stays, "SELECT 1")
            except pymysql.err.MySQLError:
                return True

        eventually("the session of a client that is not let in ends", is_ended, 5)
        stays._force_close()
    status, rule = api.call("POST", f"/{group}/rules", {"remote_ip_prefix": "127.9.0.0/16", "port_range_min": demo.endpoints["demo"]["port"]})
    assert status == 201
    log_in(demo, ELSEWHERE).close()
    assert api.call("DELETE", f"/{group}/rules/{rule['id']}")[0] == 204
    refused(demo, ELSEWHERE)
    assert api.call("POST", f"/{group}/rules", {"cidr": ELSEWHERE, "port_range_min": 1, "port_range_max": 80})[0] == 201
    refused(demo, ELSEWHERE)
    status, answer = api.call("DELETE", "/" + group)
    assert status == 409 and "DBS.280409" in str(answer), answer
    give(demo, demo.endpoints["security_group_id"])
    log_in(demo, ELSEWHERE).close()
    assert api.call("DELETE", "/" + group)[0] == 204
    assert api.call("GET", "/" + group)[0] == 404


def test_the_v3_call_and_unknown_groups(demo, api):
    ends, client = demo.endpoints["demo"], demo.sdk()
    group = api.make("both", "127.0.0.0/8")
    client.update_ddm_instance_security_group(UpdateDdmInstanceSecurityGroupRequest(
        instance_id=ends["instance_id"], body=UpdateInstanceSecurityGroupV3RequestBody(security_group_id=group)))
    assert client.show_instance(ShowInstanceRequest(instance_id=ends["instance_id"])).security_group_id == group
    for wrong in ("00000000-0000-4000-a000-000000000000", "no/such", "x" * 300, ""):
        with pytest.raises(ClientRequestException) as error:
            client.update_instance_security_group(UpdateInstanceSecurityGroupRequest(
                instance_id=ends["instance_id"], body=ModifyInstanceSecurityGroupReq(security_group_id=wrong)))
        assert error.value.status_code == 400 and "DBS.280305" in error.value.error_msg
    with pytest.raises(ClientRequestException) as error:
        client.update_ddm_instance_security_group(UpdateDdmInstanceSecurityGroupRequest(
            instance_id="0" * 32 + "in09", body=UpdateInstanceSecurityGroupV3RequestBody(security_group_id=group)))
    assert error.value.status_code == 404
    give(demo, demo.endpoints["security_group_id"])
    assert api.call("DELETE", "/" + group)[0] == 204


def test_an_instance_is_bought_with_a_group_that_keeps_the_control_plane_out(demo, api):
    """It becomes RUNNING nevertheless, and nobody can connect."""
    client, ends = demo.sdk(), demo.endpoints
    group = api.make("far-away", "10.0.0.0/8")
    engine = client.list_engines(ListEnginesRequest()).engine_groups[0]
    flavors = client.list_flavors(ListFlavorsRequest(engine_id=engine.id))
    flavor = flavors.compute_flavor_groups[0].compute_flavors[0]
    make = lambda chosen: client.create_instance(CreateInstanceRequest(body=CreateInstanceReq(instance=CreateInstanceDetail(  # noqa: E731
        name="walled-off", flavor_id=flavor.id, node_num=1, engine_id=engine.id, available_zones=ends["availability_zones"][:1],
        vpc_id=ends["vpc_id"], security_group_id=chosen, subnet_id=ends["subnet_id"]))))
    with pytest.raises(ClientRequestException) as error:
        make("nosuch")
    assert error.value.status_code == 400 and "DBS.280305" in error.value.error_msg
    made = make(group)
    shown = lambda: client.show_instance(ShowInstanceRequest(instance_id=made.id))  # noqa: E731

    def running():
        time.sleep(1.1)
        return shown().status == "RUNNING"

    eventually("the instance runs", running, 60)
    instance = shown()
    assert instance.security_group_id == group
    with pytest.raises(pymysql.err.MySQLError) as error:
        connect(instance.access_ip, int(instance.access_port), "u", "p")
    assert error.value.args[0] == NOT_ALLOWED
    assert api.call("DELETE", "/" + group)[0] == 409
    demo.ctl("instances", "delete", made.id)
    assert api.call("DELETE", "/" + group)[0] == 204


def test_bad_input_names_its_field(api):
    group = api.make("strict", "10.0.0.0/8")
    for body, field in (
        ({"cidr": "10.0.0.0/33"}, "cidr"), ({}, "cidr"), ({"cidr": "10.0.0.0/8", "protocol": "udp"}, "protocol"),
        ({"cidr": "::/0", "port_range_min": 0}, "port_range_min"), ({"remote_ip_prefix": "x"}, "remote_ip_prefix"),
        ({"cidr": "::/0", "direction": "egress"}, "direction"),
    ):
        status, answer = api.call("POST", f"/{group}/rules", body)
        assert status == 400 and answer["error_code"] == "DBS.280001" and field in answer["error_msg"], answer
    assert api.call("POST", f"/{group}/rules", {"cidr": "10.9.9.9/8"})[0] == 409, "the same network again"
    assert api.call("POST", "", {"name": ""})[0] == 400
    assert api.call("DELETE", f"/{group}/rules/nosuch")[0] == 404
    assert api.call("GET", "/..%2Finstances")[0] == 404
    status, found = api.call("GET", f"/{group}/rules?limit=1")
    assert status == 200 and found["total"] == 1 and len(found["rules"]) == 1
    assert api.call("DELETE", "/" + group)[0] == 204
