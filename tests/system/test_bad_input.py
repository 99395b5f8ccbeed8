"""Bad input gets a clear error and changes nothing: on the MySQL port, on the API, on the command
line."""

import json
import random
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest
from system import BINARY, connect, rows


def call(system, method, path, body=None, headers=None, token=None):
    """One HTTP call: status and parsed body."""
    context = ssl.create_default_context(cafile=system.endpoints["ca_file"])
    request = urllib.request.Request(system.endpoints["api"] + path, method=method)
    if body is not None:
        request.data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    if token:
        request.add_header("X-Auth-Token", token)
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null"), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null"), error.headers


@pytest.fixture(scope="module")
def token(demo):
    ends = demo.endpoints
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": ends["username"], "password": ends["password"], "domain": {"name": ends["domain_name"]}}}},
        "scope": {"project": {"name": ends["project_name"]}}}}
    status, answer, headers = call(demo, "POST", "/v3/auth/tokens", body)
    assert status == 201 and answer["token"]["project"]["id"] == ends["project_id"]
    return headers["X-Subject-Token"]


def test_tokens(demo, token):
    project = demo.endpoints["project_id"]
    assert call(demo, "GET", f"/v1/{project}/instances", token=token)[0] == 200
    assert call(demo, "GET", f"/v1/{project}/instances")[0] == 401
    assert call(demo, "GET", f"/v1/{project}/instances", token="nonsense")[0] == 401
    assert call(demo, "GET", f"/v1/{'0' * 32}/instances", token=token)[0] == 403
    assert call(demo, "GET", "/v3/projects", token=token)[1]["projects"][0]["id"] == project
    assert call(demo, "GET", "/nosuch", token=token)[0] == 404


def test_malformed_bodies(demo, token):
    project = demo.endpoints["project_id"]
    path = f"/v1/{project}/instances"
    for body in (b"{", b"", b"[]", b'{"instance": 5}', b'{"instance": {"name": 5}}', b"\xff\xfe", b'{"instance": {}}'):
        status, answer, _ = call(demo, "POST", path, body, token=token)
        assert status == 400, (body, status, answer)
        assert answer["errCode"].startswith("DBS.") and answer["externalMessage"]
    status, answer, _ = call(demo, "GET", f"/v1/{project}/instances/{'0' * 32}in09", token=token)
    assert status == 404 and answer["errCode"]
    status, _, _ = call(demo, "POST", path, b"a=1", headers={"Content-Type": "text/plain"}, token=token)
    assert status in (400, 415)


def test_garbage_on_the_mysql_port(demo):
    ends = demo.endpoints["demo"]
    generator = random.Random(7)
    for _ in range(200):
        with socket.create_connection((ends["host"], ends["port"]), timeout=5) as peer:
            peer.recv(1024)
            garbage = generator.randbytes(generator.randint(1, 300))
            try:
                peer.sendall(garbage)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(4096):
                    pass
            except OSError as error:
                assert not isinstance(error, TimeoutError), "the node neither answers nor closes"
    with connect(ends["host"], ends["port"], ends["user"], ends["password"], ends["schema"]) as client:
        assert rows(client, "SELECT 1") == [(1,)]


def test_garbage_after_login(demo):
    ends = demo.endpoints["demo"]
    generator = random.Random(8)
    for _ in range(100):
        client = connect(ends["host"], ends["port"], ends["user"], ends["password"], ends["schema"])
        payload = generator.randbytes(generator.randint(1, 60))
        client._sock.settimeout(5)
        try:
            client._sock.sendall(len(payload).to_bytes(3, "little") + b"\0" + payload)
            client._sock.shutdown(socket.SHUT_WR)
            while client._sock.recv(4096):
                pass
        except OSError as error:
            assert not isinstance(error, TimeoutError), "the node neither answers nor closes"
        client._force_close()
    with connect(ends["host"], ends["port"], ends["user"], ends["password"], ends["schema"]) as client:
        assert rows(client, "SELECT 1") == [(1,)]


def test_large_packets(demo):
    ends = demo.endpoints["demo"]
    with connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], ends["schema"],
                 max_allowed_packet=64 << 20) as client:
        rows(client, "DROP TABLE IF EXISTS large")
        rows(client, "CREATE TABLE large (id INT PRIMARY KEY, t LONGTEXT) DBPARTITION BY HASH(id)")
        node = demo.endpoints["data_nodes"][0]
        with connect(node["host"], node["port"], node["admin_user"], node["admin_password"]) as direct:
            allowed = rows(direct, "SELECT @@max_allowed_packet")[0][0]
        text = "x" * min(17 << 20, allowed - (1 << 20))
        rows(client, "INSERT INTO large VALUES (1, %s)", (text,))
        assert rows(client, "SELECT t FROM large WHERE id = 1")[0][0] == text
        assert rows(client, "SELECT LENGTH(t) FROM large")[0][0] == len(text)


def run(*arguments):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=60)


def test_usage_errors(tmp_path):
    for arguments in (["up", "--nosuch"], ["nosuch"], ["up", "--data-nodes", "many"], ["up", "--node-subnet", "10.0.0.0/8", "--data-dir", str(tmp_path / "x")]):
        done = run(*arguments)
        assert done.returncode == 2, (arguments, done)
        assert done.stderr
    assert run("--help").returncode == 0


def test_a_second_up_on_the_same_directory(demo):
    done = run("up", "--data-dir", str(demo.data_dir), "--api-listen", "127.0.0.1:0")
    assert done.returncode == 1 and "data-dir" in done.stderr, done


def test_a_port_in_use(demo, tmp_path):
    address = demo.endpoints["api"].split("//")[1]
    done = run("up", "--data-dir", str(tmp_path / "d"), "--api-listen", address, "--data-nodes", "0")
    assert done.returncode == 1 and address in done.stderr and "--api-listen" in done.stderr, done
