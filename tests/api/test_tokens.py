"""The calls of IAM that clients need before the first call of the API: tokens, projects, domains; and the
SDK, which finds its project by itself when it is told only a key."""

import copy
import time

import huaweicloudsdkddm.v1 as ddm
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkcore.region.region import Region

TOKENS = "/v3/auth/tokens"


def login(world, scope=None, **user):
    """The body that asks for a token."""
    ends = world.ends
    known = {"name": ends["username"], "password": ends["password"], "domain": {"name": ends["domain_name"]}, **user}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": known}}}}
    if scope is not None:
        body["auth"]["scope"] = scope
    return body


def ask(world, body, **more):
    return world.caller.call("POST", TOKENS, body, token=None, **more)


def with_token(world, path, token):
    return world.caller.call("GET", world.caller.path(path), token=token)


@pytest.mark.parametrize("scope", ["id", "name", "name of its domain"])
def test_a_token_opens_its_project(world, scope):
    ends = world.ends
    project = {"id": {"id": ends["project_id"]}, "name": {"name": ends["project_name"]}}.get(
        scope, {"name": ends["project_name"], "domain": {"name": ends["domain_name"]}})
    answer = ask(world, login(world, {"project": project}))
    assert answer.status == 201, answer
    token = answer.body["token"]
    assert token["project"]["id"] == ends["project_id"] and token["user"]["name"] == ends["username"]
    assert token["methods"] == ["password"] and token["roles"] and token["issued_at"] < token["expires_at"]
    subject = answer.headers["X-Subject-Token"]
    assert with_token(world, "/v3/{project_id}/instances", subject).status == 200
    shown = world.caller.call("GET", TOKENS, headers={"X-Subject-Token": subject})
    assert (shown.status, shown.body["token"]["user"]) == (200, token["user"])


def test_a_token_of_a_domain_opens_no_project(world):
    for scope in ({"domain": {"name": world.ends["domain_name"]}}, None):
        answer = ask(world, login(world, scope))
        assert answer.status == 201 and "project" not in answer.body["token"], answer
        token = answer.headers["X-Subject-Token"]
        refused = with_token(world, "/v3/{project_id}/instances", token)
        assert (refused.status, refused.code) == (403, "DBS.300541")
        projects = with_token(world, "/v3/auth/projects", token).body["projects"]
        assert [one["id"] for one in projects] == [world.ends["project_id"]]


def test_who_is_not_known_learns_nothing(world):
    """The same answer, whatever is wrong."""
    answers = [ask(world, login(world, **user)) for user in (
        {"password": "wrong"}, {"password": ""}, {"name": "nobody"}, {"domain": {"name": "nowhere"}})]
    assert {(answer.status, answer.code) for answer in answers} == {(401, "DBS.280401")}
    assert len({answer.message for answer in answers}) == 1
    for project in ({"id": "0" * 32}, {"name": "nowhere"}):
        answer = ask(world, login(world, {"project": project}))
        assert answer.status in (401, 403), answer


def test_what_is_wrong_about_a_login_is_named(world):
    good = login(world, {"project": {"id": world.ends["project_id"]}})
    for place, value in (
        (("auth",), None), (("auth",), 5), (("auth", "identity"), None), (("auth", "identity", "methods"), []),
        (("auth", "identity", "methods"), ["token"]), (("auth", "identity", "methods"), "password"),
        (("auth", "identity", "password"), None), (("auth", "identity", "password", "user"), []),
        (("auth", "identity", "password", "user", "password"), 5), (("auth", "identity", "password", "user", "name"), None),
        (("auth", "identity", "password", "user", "domain"), None), (("auth", "scope"), "all"),
        (("auth", "scope", "project"), {}), (("auth", "scope", "domain"), {"name": "default"}),
    ):
        body = copy.deepcopy(good)
        inner = body
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = value
        answer = ask(world, body)
        assert (answer.status, answer.code) == (400, "DBS.280001"), (place, value, answer)
        assert place[-1] in answer.message or place[-1] == "domain", (place, value, answer)
        assert world.ends["password"] not in answer.text
    for broken, status in ((b"{", 400), (b"[]", 400), (b"", 400), (b"\xff", 400)):
        assert ask(world, broken).status == status
    assert ask(world, b"a=1", headers={"Content-Type": "text/plain"}).status == 415
    assert world.caller.call("PATCH", TOKENS).status == 405


def test_a_token_ends_when_it_is_taken_back(world):
    answer = ask(world, login(world, {"project": {"id": world.ends["project_id"]}}))
    token = answer.headers["X-Subject-Token"]
    assert with_token(world, "/v3/{project_id}/instances", token).status == 200
    gone = world.caller.call("DELETE", TOKENS, headers={"X-Subject-Token": token})
    assert gone.status == 204, gone
    time.sleep(0.1)
    assert with_token(world, "/v3/{project_id}/instances", token).status == 401
    for method in ("GET", "DELETE"):
        again = world.caller.call(method, TOKENS, headers={"X-Subject-Token": token})
        assert (again.status, again.code) == (404, "DBS.280404"), again
        assert world.caller.call(method, TOKENS).status == 400, "which token is not said"
    assert with_token(world, "/v3/{project_id}/instances", world.caller.token).status == 200, "others are left alone"


def test_projects_and_domains(world):
    name = world.ends["project_name"]
    for query, found in (({}, 1), ({"name": name}, 1), ({"name": "nowhere"}, 0), ({"page": 2}, 0), ({"per_page": 1}, 1)):
        for answer in (world.caller.call("GET", "/v3/projects", query=query),
                       world.caller.signed("GET", "/v3/projects", query=query)):
            assert answer.status == 200 and len(answer.body["projects"]) == found, (query, answer)
    for query in ({"page": 0}, {"per_page": "x"}, {"enabled": "maybe"}):
        answer = world.caller.call("GET", "/v3/projects", query=query)
        assert answer.status == 400 and next(iter(query)) in answer.message
    domains = world.caller.call("GET", "/v3/auth/domains").body["domains"]
    assert [one["name"] for one in domains] == [world.ends["domain_name"]]
    assert world.caller.call("GET", "/v3/projects", token=None).status == 401


def test_the_sdk_finds_its_project(world):
    ends = world.ends
    config = HttpConfig.get_default_config()
    config.ssl_ca_cert = ends["ca_file"]

    def client(secret):
        credentials = BasicCredentials(ends["access_key"], secret).with_iam_endpoint(ends["api"])
        return (ddm.DdmClient.new_builder().with_http_config(config).with_credentials(credentials)
                .with_region(Region(ends["project_name"], ends["api"])).build())

    with pytest.raises(Exception) as refused:
        client("0" * 40).list_instances(ddm.ListInstancesRequest())
    assert not isinstance(refused.value, ClientRequestException) or refused.value.status_code == 401
    listed = client(ends["secret_key"]).list_instances(ddm.ListInstancesRequest(limit=128))
    assert ends["demo"]["instance_id"] in {one.id for one in listed.instances}
