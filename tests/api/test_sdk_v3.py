"""The official SDK makes the calls that only it documents, in the order of a life, by signature and by
token: what each answers has every field of the SDK's models. At the end the SDK's calls are counted:
each has been made or has a reason why there is no such route."""

import time

import huaweicloudsdkddm.v1 as ddm
import pytest
import sdk
from document import find
from documents import ANSWERS
from document import bare
from system import JOB_SECONDS, connect, eventually, rows
from world import AUTHORITIES, OTHER_PASSWORD, PASSWORD

SCHEMA = "tale"
HOUR_MS = 3_600_000


class Tale:
    """The instance that the tests share, and the SDK's client."""

    def __init__(self, world, way):
        self.world, self.way, self.ends = world, way, world.ends
        self.client = sdk.client(world.plane, way)
        self.instance = self.template = self.copy = self.backup = None

    def ask(self, method, **fields):
        """One call by the SDK; the answer has all that the SDK's model has."""
        answer, body = sdk.call(self.client, self.way, method, **fields)
        if isinstance(body, dict):
            wrong = sdk.lacking(type(answer), body)
            assert not wrong, f"{method}: {wrong}"
        return answer

    def of(self, method, **fields):
        """One call about the instance."""
        return self.ask(method, instance_id=self.instance, **fields)

    def done(self, answer):
        """Waits until the answer's job has ended, well."""
        job = self.world.done(answer.job_id)
        assert job["status"] == "Completed", job
        self.world.settled(self.instance)

    def nodes(self):
        """The instance's nodes."""
        return self.client.list_nodes(ddm.ListNodesRequest(instance_id=self.instance)).nodes

    def connect(self, user="keeper", password=PASSWORD):
        detail = self.world.instance(self.instance).body
        return connect(detail["access_ip"], int(detail["access_port"]), user, password, SCHEMA)


@pytest.fixture(scope="module", params=sdk.WAYS)
def tale(world, request):
    return Tale(world, request.param)


def test_catalogue(tale):
    engine = tale.ask("list_ddm_engines", offset=0, limit=128).engine_groups[0]
    assert engine.version == tale.world.engine["version"]
    groups = tale.ask("list_ddm_flavors", engine_id=engine.id, offset=0, limit=128).flavor_groups
    codes = {one.spec_code for group in groups for one in group.flavors}
    assert codes == {one["code"] for one in tale.world.flavors}


def test_templates(tale):
    made = tale.ask("create_ddm_configurations", body=ddm.CreateConfigurationRequest(
        name=f"tale-{tale.way}", description="of a test", values={"long_query_time": "0.5"}))
    tale.template = made.id
    assert made.name == f"tale-{tale.way}"
    shown = tale.ask("show_configuration", config_id=tale.template)
    values = {one.name: one.value for one in shown.configuration_parameters}
    assert values["long_query_time"] == "0.5"
    tale.ask("copy_configuration", config_id=tale.template, body=ddm.ConfigurationCopyReqV3(
        new_name=f"copy-{tale.way}", description="of a copy"))
    listed = tale.ask("list_ddm_configurations", offset=0, limit=128).configurations
    tale.copy = next(one.id for one in listed if one.name == f"copy-{tale.way}")
    tale.ask("reset_parameter_group", config_id=tale.copy, body=ddm.ConfigurationUpdateReqV3(
        name=f"copy-{tale.way}-2", description="changed", values={"long_query_time": "3"}))
    diff = tale.ask("compare_parameter_groups", body=ddm.ConfigurationDiffReqV3(source_id=tale.template, target_id=tale.copy))
    assert [(one.name, one.source_value, one.target_value) for one in diff.parameters] == [
        ("long_query_time", "0.5", "3")]


def test_buy(tale):
    ends = tale.ends
    answer = tale.ask("create_ddm_instance", body=ddm.CreateDdmInstanceReq(
        name=f"tale_{tale.way}", available_zones=ends["availability_zones"][:1], node_num=2,
        engine_version=tale.world.engine["version"], flavor_ref=tale.world.flavors[0]["code"], vpc_id=ends["vpc_id"],
        subnet_id=ends["subnet_id"], security_group_id=ends["security_group_id"], time_zone="UTC",
        enterprise_project_id="0", param_group_id=tale.template, admin_user_name="keeper", admin_user_password=PASSWORD,
        charge_info=ddm.ChargeInfo(charge_mode="postPaid")))
    tale.instance = answer.id
    tale.done(answer)
    shown = tale.of("show_ddm_detail").instances[0]
    assert (shown.name, shown.status) == (f"tale_{tale.way}", "RUNNING")
    listed = tale.ask("list_ddms", offset=0, limit=128).instances
    assert tale.instance in {one.id for one in listed}


def test_applied_templates(tale):
    fits = tale.ask("list_instances_configurations", config_id=tale.template, offset=0, limit=100)
    assert tale.instance in {one.instance_id for one in fits.entities}
    path = tale.world.caller.path("/v3/{project_id}/configurations/{config_id}/apply", config_id=tale.copy)
    assert tale.world.caller.call("PUT", path, {"instance_ids": [tale.instance]}).status == 200
    histories = eventually("it is applied", lambda: [
        one for one in tale.ask("list_configuration_apply_histories", config_id=tale.copy, offset=0, limit=10).histories
        if one.apply_result == "SUCCESS"], JOB_SECONDS)
    assert [one.target_id for one in histories] == [tale.instance]
    tale.world.settled(tale.instance)


def test_nodes_and_groups(tale):
    node = tale.nodes()[0].node_id
    shown = tale.of("show_ddm_node_detail", node_id=node)
    assert shown.id == node
    groups = tale.of("list_group", offset=0, limit=128).group_list
    assert [len(one.node_list) for one in groups] == [2]
    made = tale.of("create_group", body=ddm.CreateGroupRequestBody(
        name="readers", type="r", flavor_ref=tale.world.flavors[0]["code"], nodes=[
            ddm.NodeInfo(available_zone=tale.ends["availability_zones"][0], subnet_id=tale.ends["subnet_id"])]))
    tale.done(made)
    assert {one.id for one in tale.of("list_group").group_list} == {groups[0].id, made.group_id}
    allowed = tale.of("switch_ip_group", group_id=made.group_id, body=ddm.ElbIpGroupOpsReq(
        name="readers_only", type="white", enable_ip_group=True, group_id=made.group_id, ip_list=[
            ddm.IpGroupItem(ip="127.0.0.0/8", description="this machine")]))
    assert allowed.enable_ipgroup is True
    tale.world.settled(tale.instance)
    shown = tale.of("show_ip_group", group_id=made.group_id)
    assert (shown.instance_id, shown.group_id, shown.enable_ipgroup, shown.type) == (
        tale.instance, made.group_id, True, "white")
    assert [row["ip"] for row in shown.ipgroup["ip_list"]] == ["127.0.0.0/8"]
    tale.done(tale.of("delete_group", group_id=made.group_id))
    assert len(tale.of("list_group").group_list) == 1


def test_grow_and_shrink(tale):
    zone = tale.ends["availability_zones"][0]
    before = {one.node_id for one in tale.nodes()}
    tale.done(tale.of("expand_ddm_instance_nodes", body=ddm.ExpandDdmInstanceNodesRequestBody(
        nodes=[ddm.EnlargeNodeInfo(available_zone=zone)] * 2)))
    first, second = {one.node_id for one in tale.nodes()} - before
    tale.done(tale.of("batch_delete_nodes", body=ddm.ReduceNodeOpenRequest(node_ids=[first])))
    tale.done(tale.of("delete_nodes", body=ddm.ReduceNodeOpenRequest(node_ids=[second])))
    assert {one.node_id for one in tale.nodes()} == before


def test_rename_and_security_group(tale):
    tale.done(tale.of("update_ddm_instance_name", body=ddm.UpdateDdmInstanceNameRequestBody(name="tale_2")))
    assert tale.of("show_ddm_detail").instances[0].name == "tale_2"
    group = tale.ends["security_group_id"]
    tale.of("update_ddm_instance_security_group", body=ddm.UpdateInstanceSecurityGroupV3RequestBody(
        security_group_id=group))
    tale.world.settled(tale.instance)


def test_schemas(tale):
    node_id = tale.world.empty_data_node(0)
    login = tale.world.logins[node_id]
    available = tale.of("list_available_rds", offset=0, limit=128)
    assert node_id in {one.id for one in available.data_nodes}
    made = tale.of("create_ddm_database", body=ddm.CreateDdmDatabaseRequestBody(
        name=SCHEMA, shard_mode="cluster", shard_number=4, dn_instances=[ddm.DatabaseDnInstances(
            id=node_id, user_name=login["admin_user"], user_password=login["admin_password"])]))
    assert made.name == SCHEMA
    tale.done(made)
    shown = tale.of("show_instance_database", database_name=SCHEMA)
    assert (shown.name, shown.status, shown.shard_number) == (SCHEMA, "RUNNING", 4)


def test_data_nodes(tale):
    node_id = tale.world.empty_data_node(0)
    login = tale.world.logins[node_id]
    tried = tale.of("check_data_node_connection", body=ddm.EsdbCheckRdsConnectionsRequestV3(infos=[
        ddm.EsdbCheckRdsConnectionRequestV3(
            endpoint=f"{login['host']}:{login['port']}", username=login["admin_user"], password=password,
            rds_instance_id=node_id) for password in (login["admin_password"], "wrong")])).rds_check_infos
    assert [(one.rds_instance_id, one.success) for one in tried] == [(node_id, "true"), (node_id, "false")]
    tale.of("sync_dn_information")
    tale.world.settled(tale.instance)
    set_ = tale.of("batch_modify_read_write_strategy", body=ddm.BatchModifyReadAndWriteStrategyRequest(
        read_weight_list=[{node_id: 100}]))
    assert set_.success is True
    tale.world.settled(tale.instance)


def test_accounts(tale):
    tale.of("create_ddm_user", body=ddm.CreateUserRequestV3(
        name="reader", password=PASSWORD, base_authority=AUTHORITIES, description="of a test", password_lifetime=90,
        databases=[ddm.CreateUserRelatedLogicDbV3(name=SCHEMA)]))
    tale.of("update_ddm_user", username="reader", body=ddm.UpdateUserV3RequestBody(
        base_authority=["SELECT"], description="reads", password_lifetime=30,
        databases=[ddm.UpdateUserRelatedLogicDbV3(name=SCHEMA)]))
    tale.of("reset_ddm_user_password", username="reader", body=ddm.ResetUserPasswordV3RequestBody(
        password=OTHER_PASSWORD))
    tale.world.settled(tale.instance)
    row = next(one for one in tale.of("list_ddm_users", offset=0, limit=128).users if one.name == "reader")
    assert (row.base_authority, row.description) == (["SELECT"], "reads")
    with tale.connect("reader", OTHER_PASSWORD) as client:
        assert rows(client, "SELECT 1") == [(1,)]
    tale.of("delete_ddm_user", username="reader")
    assert "reader" not in {one.name for one in tale.of("list_ddm_users").users}


def test_parameters(tale):
    answer = tale.of("update_instance_param", body=ddm.UpdateParametersReq(
        values=ddm.UpdateParametersReqValues(long_query_time="0.2")))
    assert answer.need_restart is False
    tale.done(answer)
    tale.of("modify_configuration", body=ddm.ParaGroupUpdate(values={"long_query_time": "0.3"}))
    tale.world.settled(tale.instance)
    shown = tale.client.show_instance_param(ddm.ShowInstanceParamRequest(instance_id=tale.instance, limit=128))
    assert {one.name: one.value for one in shown.configuration_parameter}["long_query_time"] == "0.3"
    tale.of("rebuild_ddm_config")
    tale.world.settled(tale.instance)


def test_slow_log(tale):
    with tale.connect() as client:
        rows(client, "CREATE TABLE naps (a INT PRIMARY KEY) DBPARTITION BY HASH(a)")
        rows(client, "INSERT INTO naps VALUES (1)")
        rows(client, "SELECT SLEEP(0.5) FROM naps WHERE a = 1")
    now = int(time.time() * 1000)
    window = {"start_date": now - HOUR_MS, "end_date": now + HOUR_MS}
    texts = {name: str(value) for name, value in window.items()}
    slow = eventually("the statement is logged", lambda: [
        one for one in tale.of("list_slow_logs", offset=0, limit=100, **texts).slow_log_list
        if "SLEEP" in one.query_sample.upper()])
    assert slow[0].database == SCHEMA
    templates = tale.of("list_slow_log_analysis", offset=0, limit=10, **window)
    assert templates.total >= 1 and len(templates.slow_log_list) == min(templates.total, 10)


def test_restart(tale):
    tale.done(tale.of("restart_node", node_id=tale.nodes()[0].node_id))
    tale.done(tale.of("restart_ddm_instance"))


def test_jobs(tale):
    now = int(time.time() * 1000)
    listed = tale.ask("list_tasks", start_time=now - HOUR_MS, end_time=now + HOUR_MS, offset=0, limit=128)
    shown = tale.ask("show_ddm_job_result", job_id=tale.world.known["job_id"])
    assert shown.job.id == tale.world.known["job_id"]
    assert listed.total >= len(listed.jobs) >= 10


def test_backups(tale):
    node_id = tale.world.empty_data_node(0)
    gone = tale.of("delete_ddm_database", database_name=SCHEMA, delete_dn_data=False)
    assert gone.database_name == SCHEMA
    tale.done(gone)
    now = str(int(time.time() * 1000))
    tale.backup = tale.ask("list_backups", instance_id=tale.instance, offset=0, limit=128).backups[0].id
    shown = tale.of("show_backup", backup_id=tale.backup)
    assert [one.instance_id for one in shown.related_data_nodes] == [node_id]
    assert tale.of("show_avalible_time").restorable_time_intervals
    assert tale.instance in {one.instance_id for one in tale.of("show_avalible_ddms", offset=0, limit=128).instances}
    places = tale.of("show_avalible_rds", target_instance_id=tale.instance, source_dn_instance_id=node_id, restore_time=now)
    assert [one.instance_id for one in places.target_data_nodes if one.available] == [node_id]
    related = tale.of("show_related_dns", restore_time=now)
    assert [one.instance_id for one in related.related_data_nodes] == [node_id]
    tale.done(tale.client.restore_metadata(ddm.RestoreMetadataRequest(
        instance_id=tale.instance, body=ddm.RestoreMetaData2ExistReq(
            source=ddm.RestoreMetaDataSource(backup_id=tale.backup),
            target=ddm.RestoreMetaDataTarget(instance_id=tale.instance, data_nodes=[node_id])))))
    with tale.connect() as client:
        assert rows(client, "SELECT a FROM naps") == [(1,)]
    assert tale.world.done(tale.ask("delete_backup", backup_id=tale.backup).job_id)["status"] == "Completed"


def test_delete(tale):
    for template in (tale.template, tale.copy):
        tale.ask("delete_configuration", config_id=template)
    tale.of("delete_ddm_instance", delete_dn_data=True)
    eventually("it is gone", lambda: tale.world.instance(tale.instance).status == 404, JOB_SECONDS)


def test_each_call_of_the_sdk_was_made_or_has_no_route():
    calls = sdk.calls()
    without = [name for names in sdk.NO_ROUTE.values() for name in names]
    assert len(without) == len(set(without)) and not sdk.PENDING & set(without)
    served = {name for name, key in calls.items() if find(key)}
    assert set(calls) - served - sdk.PENDING == set(without)
    if not {name for name, _ in sdk.CALLED} & {"list_instances"}:
        pytest.skip("the calls of test_sdk.py were not made in this run")
    wanted = {(name, way) for name in served - sdk.PENDING for way in sdk.WAYS}
    assert wanted - sdk.CALLED == set(), "served, and never called"
    documented = {bare(key) for key in ANSWERS}
    assert {bare(calls[name]) for name, _ in sdk.CALLED} >= documented - {bare(calls[name]) for name in sdk.PENDING}
