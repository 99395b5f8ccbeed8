"""Short changes of an instance: their statuses are seen while they last, and what the call said is so on
every node when they are over. A node that is held still makes them last."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pymysql
import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkddm.v1 import (
    CreateDdmUserRequest, CreateUserRequestV3, DeleteDdmUserRequest, ListDdmUsersRequest, ModifyInstanceNameReq,
    ResetDdmUserPasswordRequest, ResetUserPasswordV3RequestBody, UpdateDdmInstanceNameRequest,
    UpdateDdmInstanceNameRequestBody, UpdateDdmUserRequest, UpdateInstanceNameRequest, UpdateUserV3RequestBody,
)
from system import connect, rows

OLD, NEW = "Gu3st-of_Quartz9", "An0ther-Zebra+7"


@pytest.fixture
def instance(demo):
    return demo.endpoints["demo"]["instance_id"]


@pytest.fixture
def account(demo, instance):
    client = demo.sdk()
    client.create_ddm_user(CreateDdmUserRequest(instance_id=instance, body=CreateUserRequestV3(
        name="brief", password=OLD, base_authority=["SELECT"], password_lifetime=7)))
    yield "brief"
    client.delete_ddm_user(DeleteDdmUserRequest(instance_id=instance, username="brief"))


def status(demo, instance):
    return demo.ctl("instances", "show", instance)["status"]


@contextmanager
def held_node(demo):
    held = demo.children("node.toml")[0]
    os.kill(held, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(held, signal.SIGCONT)


def refused(call, *arguments):
    with pytest.raises(ClientRequestException) as error:
        call(*arguments)
    return error.value.status_code, error.value.error_code


def wait_for(demo, instance, wanted, seconds=20):
    deadline = time.monotonic() + seconds
    while status(demo, instance) != wanted:
        assert time.monotonic() < deadline, f"not {wanted}"
        time.sleep(0.3)  # the API takes 60 calls a minute


def test_renaming(demo, instance):
    client = demo.sdk()
    before = demo.ctl("instances", "show", instance)["name"]
    rename = lambda name: client.update_ddm_instance_name(UpdateDdmInstanceNameRequest(  # noqa: E731
        instance_id=instance, body=UpdateDdmInstanceNameRequestBody(name=name)))
    for wrong in ("abc", "1abc", "a b c", "x" * 65):
        assert refused(rename, wrong) == (400, "DBS.280001"), wrong
    with held_node(demo):
        job = rename("under_scored").job_id
        assert status(demo, instance) == "MODIFY_NAME"
        detail = demo.ctl("call", "get", f"/v3/{demo.endpoints['project_id']}/instances/{instance}")
        assert detail["instances"][0]["actions"] == [{"action": "MODIFY_NAME"}]
        assert refused(rename, "another") == (409, "DBS.200076")
    assert demo.ctl("jobs", "wait", job)["name"] == "ModifyName"
    assert demo.ctl("instances", "show", instance)["name"] == "under_scored"
    answer = client.update_instance_name(UpdateInstanceNameRequest(instance_id=instance, body=ModifyInstanceNameReq(name=before)))
    assert answer.name == before
    assert demo.ctl("instances", "show", instance)["status"] == "RUNNING", "v1 answers when it is done"


def test_setting_a_password(demo, instance, account):
    ends, client = demo.endpoints["demo"], demo.sdk()
    hosts = [node["ip"] for node in demo.ctl("instances", "show", instance)["nodes"]]

    def log_in(host, password):
        with connect(host, ends["port"], account, password) as one:
            return rows(one, "SELECT 1")

    reset = lambda: client.reset_ddm_user_password(ResetDdmUserPasswordRequest(  # noqa: E731
        instance_id=instance, username=account, body=ResetUserPasswordV3RequestBody(password=NEW)))
    with ThreadPoolExecutor(1) as pool:
        with held_node(demo):
            answer = pool.submit(reset)
            wait_for(demo, instance, "RESET_PASSWORD", 5)
            assert not answer.done(), "it is not so yet on every node"
        answer.result(30)
    for host in hosts:
        assert log_in(host, NEW) == [(1,)]
        with pytest.raises(pymysql.err.MySQLError) as error:
            log_in(host, OLD)
        assert error.value.args[0] == 1045
    assert status(demo, instance) == "RUNNING"


def test_the_days_of_a_password(demo, instance, account):
    client = demo.sdk()
    shown = lambda: next(one for one in client.list_ddm_users(ListDdmUsersRequest(instance_id=instance)).users  # noqa: E731
                         if one.name == account)
    form = "%Y-%m-%dT%H:%M:%S%z"
    user = shown()
    begins, ends = (time.mktime(time.strptime(text, form)) for text in (user.password_last_changed, user.expiration_time))
    assert (user.password_lifetime, round((ends - begins) / 86400)) == (7, 7)
    update = lambda days: client.update_ddm_user(UpdateDdmUserRequest(  # noqa: E731
        instance_id=instance, username=account, body=UpdateUserV3RequestBody(password_lifetime=days)))
    for wrong in (-1, 65536):
        assert refused(update, wrong) == (400, "DBS.280001")
    update(65535)
    assert shown().password_lifetime == 65535
    update(0)
    assert (shown().password_lifetime, shown().expiration_time) == (0, None)
