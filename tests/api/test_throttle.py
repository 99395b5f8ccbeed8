"""Throttling: 60 calls a minute of one API by one user, 8,000 of one API by all, each counted apart;
both limits can be changed, or switched off, by the environment."""

import os
import socket
import subprocess

import pytest
from caller import Caller
from conftest import THROTTLING_OFF
from system import BINARY, System

USER_LIMIT, API_LIMIT = 60, 8_000
BATCH = 200
ENGINES, JOBS = "/v3/{project_id}/engines", "/v3/{project_id}/jobs"


def refused(answer):
    """429 with its code, and when to come again."""
    assert (answer.status, answer.code) == (429, "DBS.280429"), answer
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
    return True


def test_a_user_has_60_calls_of_an_api_a_minute(world):
    caller = world.throttled()
    path = caller.path(ENGINES)
    assert [caller.call("GET", path).status for _ in range(USER_LIMIT)] == [200] * USER_LIMIT
    assert refused(caller.call("GET", path))
    assert refused(caller.signed("GET", path)), "the same user by a signature"
    assert refused(caller.call("GET", path, query={"limit": 1})), "whatever is asked of the API"
    assert caller.call("GET", caller.path(JOBS)).status == 200, "another API counts for itself"
    assert caller.call("GET", path, token=None).status == 401, "others are not held up"
    legacy = [caller.call("GET", caller.path("/v1/{project_id}/instances")) for _ in range(USER_LIMIT + 1)][-1]
    assert refused(legacy) and set(legacy.body) == {"errCode", "externalMessage"}


def flood(caller, path, count):
    """So many calls of nobody in particular, written ahead of their answers; the statuses."""
    host, port = caller.endpoints["api"].split("//")[1].split(":")
    one = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    statuses = []
    with socket.create_connection((host, int(port)), timeout=60) as peer:
        rest = b""
        while len(statuses) < count:
            batch = min(BATCH, count - len(statuses))
            peer.sendall(one * batch)
            got = 0
            while got < batch or not rest.endswith(b"}"):
                rest += peer.recv(1 << 20)
                got = rest.count(b"HTTP/1.1 ")
            statuses += [int(part[:3]) for part in rest.split(b"HTTP/1.1 ")[1:]]
            rest = b""
    return statuses


def test_an_api_has_8000_calls_a_minute(world):
    system = System("--data-nodes", "0", "--http")
    try:
        caller = Caller(system.start().endpoints)
        path = caller.path("/v3/{project_id}/instances")
        statuses = flood(caller, path, API_LIMIT + 10)
        assert statuses == [401] * API_LIMIT + [429] * 10
        assert refused(caller.call("GET", path)), "known users too"
        assert caller.call("GET", caller.path(ENGINES)).status == 200, "another API counts for itself"
    finally:
        system.remove()


def test_the_limits_can_be_changed():
    system = System("--data-nodes", "0", environment={
        "DDM_API_CALLS_PER_MINUTE_USER": "3", "DDM_API_CALLS_PER_MINUTE_API": "5"})
    try:
        caller = Caller(system.start().endpoints)
        path = caller.path(ENGINES)
        assert [caller.call("GET", path).status for _ in range(4)] == [200, 200, 200, 429]
        assert [caller.call("GET", path, token=None).status for _ in range(2)] == [401, 429]
    finally:
        system.remove()


def test_no_limit_is_no_limit(world):
    path = world.caller.path(ENGINES)
    assert {world.caller.call("GET", path).status for _ in range(2 * USER_LIMIT)} == {200}


@pytest.mark.parametrize("name", THROTTLING_OFF)
def test_a_limit_is_a_number(name, tmp_path):
    done = subprocess.run(
        [BINARY, "up", "--data-nodes", "0", "--data-dir", str(tmp_path / "d"), "--api-listen", "127.0.0.1:0"],
        env={**os.environ, name: "many"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "calls-per-minute" in done.stderr, done
