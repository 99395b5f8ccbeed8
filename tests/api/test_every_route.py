"""Every route of the declared API: who may call it, what it says about objects that do not exist,
other methods, bodies that are no JSON, too long or wrong in one field, and queries out of bounds.
Nothing here changes anything: each call is refused, or looks only."""

import uuid

import pytest
from caller import Caller
from document import (
    METHODS, OPERATIONS, WITH_BODY, DOCUMENT, example, fields, kind, out_of_bounds, removed, replaced, wrong_types,
)

MISSING = {"ddm_dbname": "DBS.300129", "database_name": "DBS.300129", "db_name": "DBS.300129",
           "username": "DBS.300327", "job_id": "DBS.300400", "config_id": "DBS.200057"}
LONGEST_PAGES = {"GET /v3/{}/instances/{}/slow-logs": 100}
BODY_BYTES_MAX = 12 * 1024 * 1024
every = pytest.mark.parametrize("operation", OPERATIONS, ids=repr)
with_body = pytest.mark.parametrize("operation", WITH_BODY, ids=repr)


def send(world, operation, body=None, query=None, names=None, **more):
    """The operation on objects that exist, with a good body unless another is given."""
    if body is None and operation.request:
        body = world.body(operation)
    arguments = {} if body is None else {"body": body}
    query = world.query(operation) if query is None else query
    return world.caller.call(operation.method, world.path(operation, **(names or {})), query=query, **arguments, **more)


@every
def test_callers_are_known(world, operation):
    path, query = world.path(operation), world.query(operation)
    answers = [send(world, operation, token=None), send(world, operation, token="nonsense"),
               send(world, operation, token=None, headers={"Authorization": "SDK-HMAC-SHA256 Access=x"}),
               world.caller.signed(operation.method, path, query=query, secret_key="0" * 40),
               world.caller.signed(operation.method, path, query=query, access_key="0" * 20)]
    for answer in answers:
        assert (answer.status, answer.code) == (401, "DBS.280401"), answer
        operation.check(answer)


@every
def test_another_project_is_forbidden(world, operation):
    answer = send(world, operation, names={"project_id": uuid.uuid4().hex})
    assert (answer.status, answer.code) == (403, "DBS.300541"), answer
    operation.check(answer)


@every
def test_texts_are_in_the_language_asked_for(world, operation):
    default, chinese, other, english, upper = [
        send(world, operation, token=None, language=language).message for language in (None, "zh-cn", "fr", "en-us", "EN-US")]
    assert default == chinese == other and not chinese.isascii()
    assert english == upper and english.isascii()


@pytest.mark.parametrize("operation, name", [
    (operation, name) for operation in OPERATIONS for name in operation.path_names if name != "project_id"], ids=str)
def test_objects_that_do_not_exist(world, operation, name):
    for value in (world.unknown(name), "x", "..", "%00", "a" * 300):
        answer = operation.check(send(world, operation, names={name: value}))
        if answer.status == 400 and not world.written_down(operation):
            continue
        assert answer.status == 404, answer
        assert answer.code in (MISSING.get(name), "DBS.280404"), answer


@pytest.mark.parametrize("path", DOCUMENT["paths"], ids=str)
def test_other_methods_are_not_allowed(world, path):
    served = {operation.method: operation for operation in OPERATIONS if operation.path == path}
    for method in sorted(set(METHODS) - set(served)):
        answer = world.caller.call(method, world.path(next(iter(served.values()))))
        assert (answer.status, answer.code) == (405, "DBS.280405"), answer
        allowed = {word.strip() for word in answer.headers["Allow"].split(",")}
        assert allowed - {"HEAD"} == set(served), answer.headers


@with_body
def test_a_body_is_json(world, operation):
    for kind_of_content in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
        answer = send(world, operation, body=b"a=1", headers={"Content-Type": kind_of_content})
        assert (answer.status, answer.code) == (415, "DBS.280415"), answer
        operation.check(answer)
    for charset in ("application/json; charset=utf-8", "application/json;charset=utf8", "Application/JSON"):
        answer = send(world, operation, body=b"[", headers={"Content-Type": charset})
        assert (answer.status, answer.code) == (400, "DBS.280001"), answer
    for broken in (b"{", b"[]", b"5", b"null", b'"x"', b"\xff\xfe", b"{}{}", b"[" * 100_000, b'{"a":' * 200):
        answer = operation.check(send(world, operation, body=broken))
        assert (answer.status, answer.code) == (400, "DBS.280001"), (broken[:20], answer)
    if operation.body_required:
        answer = operation.check(send(world, operation, body=b""))
        assert (answer.status, answer.code) == (400, "DBS.280001"), answer


@with_body
def test_a_body_is_at_most_12_mb(world, operation):
    answer = world.caller.announced(operation.method, world.path(operation), BODY_BYTES_MAX + 1)
    assert (answer.status, answer.code) == (413, "DBS.280413"), answer
    assert answer.headers["Connection"] == "close"
    operation.check(answer)


def test_a_body_that_is_sent_though_it_is_too_long(caller):
    """The client is still sending when it is answered, and sees the answer nevertheless."""
    for _ in range(5):
        answer = Caller(caller.endpoints).call("POST", caller.path("/v1/{project_id}/instances"), b" " * (BODY_BYTES_MAX + 5_000_000))
        assert (answer.status, answer.code) == (413, "DBS.280413"), answer


@with_body
def test_fields_of_wrong_types(world, operation):
    good = world.body(operation)
    for place, schema, must in fields(operation.request):
        values = wrong_types(schema) + ([None] if must and place[-1] != "key" else [])
        for value in values:
            answer = operation.check(send(world, operation, body=replaced(good, place, value)))
            assert (answer.status, answer.code) == (400, "DBS.280001"), (place, value, answer)
            named = [str(step) for step in place if step != "key"][-1]
            assert named in answer.message, (place, value, answer)
            assert "no-such-value" not in answer.message


@with_body
def test_fields_that_must_be_given(world, operation):
    good = world.body(operation)
    for place, _, must in fields(operation.request):
        if not must or not isinstance(place[-1], str) or place[-1] == "key":
            continue
        answer = operation.check(send(world, operation, body=removed(good, place)))
        assert answer.status == 400 and place[-1] in answer.message, (place, answer)


@with_body
def test_fields_out_of_bounds(world, operation):
    good = world.body(operation)
    for place, schema, _ in fields(operation.request):
        for what, value in out_of_bounds(schema):
            answer = operation.check(send(world, operation, body=replaced(good, place, value)))
            assert answer.status == 400, (place, what, answer)
            named = [step for step in place if isinstance(step, str) and step != "key"][-1]
            assert named in answer.message, (place, what, answer)


@with_body
def test_unknown_fields_are_ignored(world, operation):
    names = {name: world.unknown(name) for name in operation.path_names if name != "project_id"}
    good = world.body(operation)
    if not names and operation.id != "verify_password":
        place = next(place for place, _, must in fields(operation.request) if must)
        good = removed(good, place)
    more = {**good, "unknown_field": {"a": [1, None]}, "Name": 5}
    plain, extended = (send(world, operation, body=body, names=names) for body in (good, more))
    assert (plain.status, plain.body) == (extended.status, extended.body), (plain, extended)


def bad_queries(parameter):
    schema = parameter["schema"]
    if kind(schema) == "integer":
        yield from ("x", "1.5", "9" * 30, "0x1", "١")
    for _, value in out_of_bounds(schema):
        yield value


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.query], ids=repr)
def test_queries(world, operation):
    good = world.query(operation)
    # A deletion's query is made wrong for an object that does not exist, in case it is taken.
    names = {} if operation.method == "GET" else {operation.path_names[-1]: world.unknown(operation.path_names[-1])}
    for parameter in operation.query:
        name, schema = parameter["name"], parameter["schema"]
        for value in bad_queries(parameter):
            answer = operation.check(send(world, operation, query={**good, name: value}, names=names))
            assert answer.status == 400 and name in answer.message, (name, value, answer)
        if parameter["required"]:
            rest = {key: value for key, value in good.items() if key != name}
            answer = operation.check(send(world, operation, query=rest, names=names))
            assert answer.status == 400 and name in answer.message, (name, answer)
        edges = [schema[word] for word in ("minimum", "maximum", "default") if word in schema]
        for value in edges if kind(schema) == "integer" else ():
            answer = operation.check(send(world, operation, query={**good, name: value}))
            assert answer.status == operation.success, (name, value, answer)


def paged_rows(rows):
    """The rows that a page counts: those of the first group where there are groups with pages."""
    if rows and isinstance(rows[0], dict) and "offset" in rows[0]:
        return next(value for value in rows[0].values() if isinstance(value, list))
    return rows


@pytest.mark.parametrize("operation", [
    one for one in OPERATIONS if {"limit", "offset"} <= {parameter["name"] for parameter in one.query}], ids=repr)
def test_pages(world, operation):
    good = world.query(operation)
    limit = next(parameter["schema"] for parameter in operation.query if parameter["name"] == "limit")
    assert (limit["minimum"], limit["maximum"]) == (1, LONGEST_PAGES.get(operation.bare, 128))
    assert limit["default"] in (10, 128)
    whole = operation.check(send(world, operation)).body
    beyond = operation.check(send(world, operation, query={**good, "offset": 10**9})).body
    lists = [name for name, value in whole.items() if isinstance(value, list)]
    assert len(lists) == 1, whole
    rows = paged_rows(whole[lists[0]])
    assert paged_rows(beyond[lists[0]]) == []
    one = operation.check(send(world, operation, query={**good, "limit": 1})).body
    assert len(paged_rows(one[lists[0]])) == min(1, len(rows))
    if len(rows) > 1:
        second = operation.check(send(world, operation, query={**good, "offset": 1, "limit": 1})).body
        assert len(paged_rows(second[lists[0]])) == 1 and second != one
    for name in ("limit", "offset"):
        answer = send(world, operation, query={**good, name: ""})
        assert answer.status == 200, "an empty value counts as not given"


def test_paths_that_are_no_route(caller):
    for path in ("/", "/v1", "/nosuch", "/v4/x/instances", f"/v1/{caller.project}/nosuch", f"/v1/{caller.project}/instances/"):
        answer = caller.call("GET", path)
        assert (answer.status, answer.code) == (404, "DBS.280404"), answer


def test_examples_fit_their_schemas():
    for operation in WITH_BODY:
        assert example(operation.request) is not None
