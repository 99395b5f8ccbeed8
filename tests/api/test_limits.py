"""The limits that the API documents state, from their tables: the values at each edge are taken, those beyond
it are refused with the documented code and the field's name."""

import time

import pytest
from error_codes import ACCOUNTS, ACCOUNT, BUY, INSTANCE, MAKE_ACCOUNTS, MAKE_SCHEMA, call
from system import JOB_SECONDS, eventually
from world import AUTHORITIES, OTHER_PASSWORD, PASSWORD

DELETE = f"DELETE {INSTANCE}"
RENAME = f"PUT {INSTANCE}/modify-name"
RESET = "POST /v2/{project_id}/instances/{instance_id}/users/{username}/password"
ADMINISTRATOR = "PUT /v3/{project_id}/instances/{instance_id}/admin-user"
SLOW_LOG = "GET /v2/{project_id}/instances/{instance_id}/slowlog"
JOBS = "GET /v3/{project_id}/jobs"
DAY_MS = 86_400_000
MINUTE_MS = 60_000
TIME_ZONES = ["UTC"] + [f"UTC{sign}{hours:02}:00" for sign in "-+" for hours in range(1, 13)
                        if (sign, hours) != ("+", 4)]
LONG = "k9#Lw2^vT4-zQ8_mR6+pX1*sD3@fG5!h"[:32]


GOOD_BUYS = [
    {"name": "abcd"}, {"name": "a" * 64}, {"name": "A-1-"}, {"node_num": 32},
    {"admin_username": "a"}, {"admin_username": "A" + "_9" * 15 + "z"}, {"admin_password": "vX7#qLp2"},
    {"admin_password": LONG}, {"extend_param": {"period_num": 9}},
    {"extend_param": {"period_type": "year", "period_num": 1}}, {"enterprise_project_id": None}, {"param_group_id": None},
]
BAD_BUYS = [
    ("name", "abc"), ("name", "a" * 65), ("name", "1abc"), ("name", "-abc"), ("name", "ab_c"), ("name", "ab c"),
    ("name", "abcé"), ("name", ""), ("node_num", 0), ("node_num", -1), ("node_num", 33), ("available_zones", []),
    ("available_zones", ["nowhere"]), ("available_zones", [""]), ("flavor_id", "nothing"), ("flavor_id", ""),
    ("engine_id", "nothing"), ("vpc_id", "nothing"), ("subnet_id", "nothing"),
    ("time_zone", "UTC+04:00", "DBS.300376"), ("time_zone", "UTC+13:00", "DBS.300376"), ("time_zone", "utc", "DBS.300376"),
    ("security_group_id", "nothing", "DBS.280305"), ("param_group_id", "nothing", "DBS.200057"),
    ("admin_username", "a" * 33, "DBS.300305"), ("admin_username", "1a", "DBS.300305"), ("admin_username", "_a", "DBS.300305"),
    ("admin_username", "a-b", "DBS.300305"), ("admin_username", "", "DBS.300305"),
    ("admin_password", "Qu4rtz-", "DBS.300306"), ("admin_password", LONG + "x", "DBS.300306"),
    ("admin_password", "quartzwalnut", "DBS.300306"), ("admin_password", "Qu4rtz-of Walnut", "DBS.300306"),
    ("admin_password", "Qu4rtz-of_Wälnut", "DBS.300306"), ("admin_password", "Password-123", "DBS.300306"),
    ("charge_mode", "free"), ("period_type", "week"), ("period_type", None), ("period_num", 0), ("period_num", 10),
    ("period_num", None), ("is_auto_pay", "maybe"), ("is_auto_renew", "maybe"),
]
EXTENDED = ("charge_mode", "period_type", "period_num", "is_auto_pay", "is_auto_renew")


@pytest.mark.parametrize("more", GOOD_BUYS + [{"time_zone": zone} for zone in TIME_ZONES], ids=str)
def test_what_may_be_bought(world, more):
    extend = {"charge_mode": "prePaid", "period_type": "month", "period_num": 1, **more.get("extend_param", {})}
    body = world.instance_body(**{"name": "limits-1", **more})
    body["instance"].pop("extend_param", None)
    body["extend_param"] = extend
    answer = call(world, BUY, body)
    assert answer.status == 200 and answer.body["order_id"], answer
    gone = call(world, DELETE, instance_id=answer.body["id"])
    assert gone.status == 200, gone
    eventually("it is gone", lambda: world.instance(answer.body["id"]).status == 404, JOB_SECONDS)


@pytest.mark.parametrize("case", BAD_BUYS, ids=str)
def test_what_may_not_be_bought(world, case):
    name, value, code = (*case, "DBS.280001")[:3]
    extend = {"charge_mode": "prePaid", "period_type": "month", "period_num": 1}
    more = {} if name in EXTENDED else {name: value}
    body = world.instance_body(**{"name": "limits-2", **more})
    body["extend_param"] = {**extend, **({name: value} if name in EXTENDED else {})}
    answer = call(world, BUY, body)
    assert (answer.status, answer.code) == (400, code) and name in answer.message, answer


def test_a_year_is_the_longest_period(world):
    body = world.instance_body("limits-3")
    body["extend_param"] = {"charge_mode": "prePaid", "period_type": "year", "period_num": 2}
    answer = call(world, BUY, body)
    assert (answer.status, answer.code) == (400, "DBS.280001") and "period_num" in answer.message


def test_names_of_instances(world):
    spare = world.spare()
    for name in ("abcd", "x" * 64, "conformity-spare"):
        assert call(world, RENAME, {"name": name}, instance_id=spare).status == 200, name
        world.settled(spare)
        assert world.instance(spare).body["name"] == name
    for name in ("abc", "x" * 65, "4bcd", "ab_d", "ab.d", ""):
        answer = call(world, RENAME, {"name": name}, instance_id=spare)
        assert (answer.status, answer.code) == (400, "DBS.280001") and "name" in answer.message, answer


@pytest.mark.parametrize("name, code", [
    ("x", "DBS.300405"), ("x" * 49, "DBS.300405"), ("", "DBS.300405"), ("Xy", "DBS.300407"), ("1x", "DBS.300109"),
    ("_x", "DBS.300109"), ("x-y", "DBS.300109"), ("xé", "DBS.300109"), ("x y", "DBS.300109"), ("mysql", "DBS.300406"),
    ("x_mysql", "DBS.300406"), ("information_schema", "DBS.300406"), ("my_sys", "DBS.300406"),
    ("performance_schema_2", "DBS.300406"),
])
def test_names_of_schemas(world, name, code):
    answer = call(world, MAKE_SCHEMA, world.schema_body(name))
    assert (answer.status, answer.code) == (400, code), answer


@pytest.mark.parametrize("more, code", [
    ({"shard_mode": "cluster", "shard_unit": 0}, "DBS.300106"), ({"shard_mode": "cluster", "shard_unit": 65}, "DBS.300106"),
    ({"shard_mode": "single", "shard_unit": 2, "shard_number": 1}, "DBS.300106"),
    ({"shard_mode": "cluster", "shard_unit": 2, "shard_number": 1}, "DBS.300127"),
    ({"shard_mode": "cluster", "shard_unit": None, "shard_number": 0}, "DBS.300127"),
    ({"shard_mode": "cluster", "shard_unit": None, "shard_number": 65}, "DBS.300127"),
    ({"shard_mode": "single", "shard_unit": None, "shard_number": 2}, "DBS.300127"),
    ({"shard_mode": ""}, "DBS.300104"), ({"shard_mode": "CLUSTER"}, "DBS.300104"),
])
def test_numbers_of_shards(world, more, code):
    node_id = world.empty_data_node(0)
    node = {"id": node_id, **world.logins[node_id]}
    answer = call(world, MAKE_SCHEMA, world.schema_body("limits", [node], **more), instance_id=world.spare())
    assert (answer.status, answer.code) == (400, code), answer


@pytest.mark.parametrize("name, more", [
    ("ab", {"shard_number": 64, "shard_unit": 64}), ("a" + "_9" * 23 + "z", {"shard_number": 1, "shard_unit": None}),
    ("one", {"shard_mode": "single", "shard_number": 1, "shard_unit": 1}),
])
def test_schemas_at_the_edges(world, name, more):
    node_id, spare = world.empty_data_node(0), world.spare()
    node = {"id": node_id, **world.logins[node_id]}
    answer = call(world, MAKE_SCHEMA, world.schema_body(name, [node], **more), instance_id=spare)
    assert answer.status == 200, answer
    world.schema_settled(name, spare)
    world.unbind(spare, name, "true")


def test_accounts_at_the_edges(world):
    spare = world.spare()
    for name, password, description in (
        ("a", "vX7#qLp2", ""), ("Z" + "_9" * 15 + "z", LONG, "x" * 256), ("plain", PASSWORD, "é" * 256)):
        made = {"name": name, "password": password, "base_authority": AUTHORITIES, "description": description}
        answer = call(world, MAKE_ACCOUNTS, {"users": [made]}, instance_id=spare)
        assert (answer.status, answer.body["users"][0]["name"]) == (200, name), answer
        for wanted in ({"description": "x" * 256}, {"base_authority": ["SELECT"]}, {"databases": []}):
            answer = call(world, f"PUT {ACCOUNT}", {"user": wanted}, instance_id=spare, username=name)
            assert answer.status == 200, answer
        assert call(world, f"DELETE {ACCOUNT}", instance_id=spare, username=name).status == 200


@pytest.mark.parametrize("more, code, field", [
    ({"name": "a" * 33}, "DBS.300305", "name"), ({"name": ""}, "DBS.300305", "name"), ({"name": "1a"}, "DBS.300305", "name"),
    ({"name": "a-b"}, "DBS.300305", "name"), ({"password": "Qu4rtz-"}, "DBS.300306", "password"),
    ({"password": LONG + "x"}, "DBS.300306", "password"), ({"password": "Conformist-1"}, "DBS.300306", "password"),
    ({"description": "x" * 257}, "DBS.300307", "description"), ({"base_authority": []}, "DBS.300309", "base_authority"),
    ({"base_authority": ["SELECT", "SUPER"]}, "DBS.300309", "base_authority"),
    ({"databases": [{"name": "nosuch"}]}, "DBS.300300", "databases"),
])
def test_accounts_beyond_the_edges(world, more, code, field):
    made = {"name": "conformist", "password": PASSWORD, "base_authority": AUTHORITIES, **more}
    answer = call(world, MAKE_ACCOUNTS, {"users": [made]}, instance_id=world.spare())
    assert (answer.status, answer.code) == (400, code) and field in answer.message, answer


def test_an_instance_has_100_accounts_at_most(world):
    spare = world.spare()
    names = [f"one_of_many_{number}" for number in range(101)]
    users = [{"name": name, "password": PASSWORD, "base_authority": ["SELECT"]} for name in names]
    present = call(world, f"GET {ACCOUNTS}", instance_id=spare).body["users"]
    fits = 100 - len(present)
    answer = call(world, MAKE_ACCOUNTS, {"users": users[:fits]}, instance_id=spare)
    assert answer.status == 200, answer
    answer = call(world, MAKE_ACCOUNTS, {"users": users[fits:fits + 1]}, instance_id=spare)
    assert (answer.status, answer.code) == (400, "DBS.300300"), answer
    listed = call(world, f"GET {ACCOUNTS}", query={"limit": 128}, instance_id=spare).body["users"]
    assert len(listed) == 100
    for name in names[:fits]:
        assert call(world, f"DELETE {ACCOUNT}", instance_id=spare, username=name).status == 200


def test_changing_an_account_changes_something(world):
    """At least one of its permissions, description and schemas."""
    for body in ({"user": {}}, {"user": {"base_authority": None, "description": None, "databases": None}}):
        answer = call(world, f"PUT {ACCOUNT}", body)
        assert (answer.status, answer.code) == (400, "DBS.280001"), answer


def test_passwords_that_are_set(world):
    for key, more in ((RESET, {}), (ADMINISTRATOR, {"name": "keeper"})):
        for password in ("Qu4rtz-", LONG + "x", "12345678", "Password-123"):
            answer = call(world, key, {"password": password, **more})
            assert (answer.status, answer.code) == (400, "DBS.300306") and "password" in answer.message, answer
    for name in ("a" * 33, "1a", "a-b"):
        answer = call(world, ADMINISTRATOR, {"name": name, "password": OTHER_PASSWORD})
        assert (answer.status, answer.code) == (400, "DBS.300305") and "name" in answer.message, answer


def test_nodes_to_add_and_to_remove(world):
    flavor = world.flavors[0]["id"]
    for key, body in (("enlarge", {"flavor_id": flavor, "node_number": 0}), ("enlarge", {"flavor_id": flavor, "node_number": 32}),
                      ("enlarge", {"flavor_id": "nothing", "node_number": 1}), ("reduce", {"node_number": 0}),
                      ("reduce", {"node_number": 1}), ("reduce", {"node_number": 33})):
        field = "flavor_id" if body.get("flavor_id") == "nothing" else "node_number"
        answer = call(world, f"POST /v2/{{project_id}}/instances/{{instance_id}}/action/{key}", body, instance_id=world.spare())
        assert (answer.status, answer.code) == (400, "DBS.280001") and field in answer.message, (body, answer)


def test_classes_to_change_to(world):
    """Not the one that it has, and never from c6s to c6."""
    spare = world.spare()
    now = world.instance(spare).body["flavor_ref"]
    key = "PUT /v3/{project_id}/instances/{instance_id}/flavor"
    for code in (now, "ddm.nothing", ""):
        answer = call(world, key, {"spec_code": code}, instance_id=spare)
        assert (answer.status, answer.code) == (400, "DBS.280001") and "spec_code" in answer.message, answer


def test_times_of_the_slow_log_and_of_jobs(world):
    now = int(time.time() * 1000)

    def slow_log(**more):
        query = {"curPage": 1, "perPage": 10, "startDate": now - DAY_MS, "endDate": now, **more}
        return call(world, SLOW_LOG, query=query)

    assert slow_log(startDate=now - 7 * DAY_MS).status == 200
    for name, value in (("startDate", now - 7 * DAY_MS - 1), ("startDate", now + 1), ("curPage", 0), ("perPage", 0),
                        ("endDate", "today"), ("startDate", -1)):
        answer = slow_log(**{name: value})
        assert (answer.status, answer.code) == (400, "DBS.280001"), (name, value, answer)
        assert "startDate" in answer.message or "endDate" in answer.message or name in answer.message
    assert call(world, JOBS, query={"start_time": now - DAY_MS, "end_time": now}).status == 200
    answer = call(world, JOBS, query={"start_time": now, "end_time": now - MINUTE_MS})
    assert (answer.status, answer.code) == (400, "DBS.300377"), answer
