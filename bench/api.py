#!/usr/bin/env python3
"""What `make bench-api` runs: the REST API of one `ddm up` with throttling off, over HTTPS and with a token.

- how long an instance of two nodes and a schema of 64 shards on two data nodes take from the call to RUNNING;
- how long a page of 128 of 10,000 instances takes, anywhere in the list, one call after the other;
- how many simple calls a second are answered while clients and server share the machine's cores: clients
  are processes with kept-alive connections that send bytes made before and only count the answers.

The targets are checked; missing one is a failure. Everything runs on loopback in a directory of its own."""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

START_SECONDS = 120
STOP_SECONDS = 60
WAIT_SECONDS = 60
POLL_SECONDS = 0.01
PAGE = 128
# What is wanted: seconds to RUNNING, median milliseconds of a page, calls a second.
RUNNING_SECONDS, PAGE_MS, CALLS_A_SECOND = 5.0, 10.0, 2_000


class System:
    """`ddm up` in a directory of its own."""

    def __init__(self, binary, root, http, data_nodes):
        self.directory, self.log = root / "data", root / "up.log"
        root.mkdir()
        subnet = f"127.{random.randint(64, 250)}.0.0/16"
        self.command = [binary, "up", "--data-dir", str(self.directory), "--node-subnet", subnet,
                        "--data-nodes", str(data_nodes), "--api-listen", "127.0.0.1:0", "--user-calls-per-minute", "0", "--api-calls-per-minute", "0"]
        self.command += ["--http"] if http else []
        self.process = self.ends = None

    def start(self):
        endpoints = self.directory / "endpoints.json"
        endpoints.unlink(missing_ok=True)
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not endpoints.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("ddm up did not start:\n" + self.log.read_text())
            time.sleep(0.05)
        self.ends = json.loads(endpoints.read_text())

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Connection:
    """One kept-alive connection that sends requests as bytes."""

    def __init__(self, ends, token=None):
        url = urlsplit(ends["api"])
        self.ends, self.token, self.host = ends, token, url.netloc
        plain = socket.create_connection((url.hostname, url.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=ends["ca_file"])
            plain = context.wrap_socket(plain, server_hostname=url.hostname)
        self.socket, self.left = plain, b""

    def request(self, method, path, body=None):
        """The bytes of a request."""
        text = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {path.replace('{project_id}', self.ends['project_id'])} HTTP/1.1", f"Host: {self.host}",
                "Content-Type: application/json", f"Content-Length: {len(text)}"]
        head += [f"X-Auth-Token: {self.token}"] if self.token else []
        return "\r\n".join(head).encode() + b"\r\n\r\n" + text

    def exchange(self, request):
        """Status, head and body of the answer to such bytes."""
        self.socket.sendall(request)
        data = self.left
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.receive()
        head = data[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15:head.find(b"\r\n", at)]) if at >= 0 else 0
        body = data[end + 4:]
        while len(body) < length:
            body += self.receive()
        self.left = body[length:]
        return int(data[9:12]), data[:end], body[:length]

    def receive(self):
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data

    def call(self, method, path, body=None):
        status, _, answer = self.exchange(self.request(method, path, body))
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer[:500]}")
        return json.loads(answer or b"null")


def log_in(ends):
    """A connection with a token."""
    connection = Connection(ends)
    user = {"name": ends["username"], "password": ends["password"], "domain": {"name": ends["domain_name"]}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}},
                     "scope": {"project": {"name": ends["project_name"]}}}}
    status, head, answer = connection.exchange(connection.request("POST", "/v3/auth/tokens", body))
    if status != 201:
        raise RuntimeError(f"no token: {status} {answer}")
    connection.token = next(line.split(": ", 1)[1] for line in head.decode().split("\r\n")
                            if line.lower().startswith("x-subject-token:"))
    return connection


def until(check):
    """Seconds until this is true."""
    began = time.monotonic()
    while not check():
        if time.monotonic() - began > WAIT_SECONDS:
            raise RuntimeError("it takes too long")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began


def is_gone(api, path):
    return api.exchange(api.request("GET", path))[0] == 404


def instances(api, ends, times):
    """Seconds from the call to RUNNING of an instance of two nodes; the last one stays."""
    engine = api.call("GET", "/v2/{project_id}/engines")["engineGroups"][0]["id"]
    flavor = api.call("GET", f"/v2/{{project_id}}/flavors?engine_id={engine}")["computeFlavorGroups"][0]["computeFlavors"][0]["id"]
    seconds, path = [], None
    for number in range(times):
        if path:
            api.call("DELETE", path + "?delete_rds_data=true")
            until(lambda: is_gone(api, path))
        began = time.monotonic()
        id = api.call("POST", "/v1/{project_id}/instances", {"instance": {
            "name": f"bench-{number}", "flavor_id": flavor, "node_num": 2, "engine_id": engine,
            "available_zones": ends["availability_zones"][:1], "vpc_id": ends["vpc_id"], "subnet_id": ends["subnet_id"],
            "security_group_id": ends["security_group_id"]}})["id"]
        path = f"/v1/{{project_id}}/instances/{id}"
        until(lambda: api.call("GET", path)["status"] == "RUNNING")
        seconds.append(time.monotonic() - began)
    return seconds, path


def schemas(api, ends, instance, times):
    """Seconds from the call to RUNNING of a schema of 64 shards on two data nodes."""
    used = [{"id": node["id"], "adminUser": node["admin_user"], "adminPassword": node["admin_password"]}
            for node in ends["data_nodes"]]
    seconds = []
    for number in range(times):
        path = f"{instance}/databases/bench{number}"
        began = time.monotonic()
        api.call("POST", instance + "/databases", {"databases": [
            {"name": f"bench{number}", "shard_mode": "cluster", "shard_number": 64, "used_rds": used}]})
        until(lambda: api.call("GET", path)["database"]["status"] == "RUNNING")
        seconds.append(time.monotonic() - began)
        api.call("DELETE", path + "?delete_rds_data=true")
        until(lambda: is_gone(api, path))
    return seconds


def pages(api, count, calls, version):
    """Milliseconds of each call of a page, anywhere in the list."""
    choice = random.Random(1)
    taken = []
    for _ in range(calls):
        offset = choice.randrange(max(1, count - PAGE))
        request = api.request("GET", f"/{version}/{{project_id}}/instances?offset={offset}&limit={PAGE}")
        began = time.perf_counter()
        status, _, answer = api.exchange(request)
        taken.append((time.perf_counter() - began) * 1000)
        rows = len(json.loads(answer)["instances"])
        if status != 200 or rows != PAGE:
            raise RuntimeError(f"the page at {offset} has {rows} rows: {status}")
    return taken


def hammer(ends, token, path, until_time, counts):
    """One client: the same call again and again on one connection."""
    connection = Connection(ends, token)
    request = connection.request("GET", path)
    done = 0
    while time.time() < until_time:
        for _ in range(20):
            status, _, _ = connection.exchange(request)
            if status != 200:
                raise RuntimeError(f"{path}: {status}")
        done += 20
    counts.put(done)


def throughput(system, token, path, clients, seconds):
    """Calls a second, and the server's CPU time of one in microseconds."""
    counts = multiprocessing.Queue()
    end = time.time() + 0.5 + seconds
    processes = [multiprocessing.Process(target=hammer, args=(system.ends, token, path, end, counts)) for _ in range(clients)]
    for process in processes:
        process.start()
    cpu, began = system.cpu_seconds(), time.time()
    for process in processes:
        process.join()
    done = sum(counts.get(timeout=1) for process in processes if process.exitcode == 0)
    if any(process.exitcode for process in processes):
        raise RuntimeError("a client failed")
    return done / (time.time() - began), (system.cpu_seconds() - cpu) / done * 1e6


def report(name, value, target=None, more=""):
    """One line; whether the target is met."""
    met = target is None or (value >= target[1] if target[0] == ">=" else value <= target[1])
    wanted = "" if target is None else f"  (wanted {target[0]} {target[1]:g}{'' if met else ': MISSED'})"
    print(f"{name:55} {value:10.2f}{wanted}{more}", flush=True)
    return met


def measure_jobs(system, options):
    """Seconds to RUNNING."""
    wanted = ("<=", RUNNING_SECONDS)
    system.start()
    api = log_in(system.ends)
    seconds, instance = instances(api, system.ends, options.times)
    yield report("instance of 2 nodes, s to RUNNING, median", statistics.median(seconds), wanted, f"  max {max(seconds):.2f}")
    seconds = schemas(api, system.ends, instance, options.times)
    yield report("schema of 64 shards on 2 data nodes, s to RUNNING, median", statistics.median(seconds), wanted,
                 f"  max {max(seconds):.2f}")
    system.stop()


def measure_calls(system, options):
    """Pages of many instances, of which one runs and the others were written into the store; calls a second."""
    system.start()
    _, instance = instances(log_in(system.ends), system.ends, 1)
    system.stop()
    subprocess.run([options.seed, str(system.directory), system.ends["project_id"], str(options.instances)], check=True)
    system.start()
    api = log_in(system.ends)
    for version in ("v1", "v3"):
        pages(api, options.instances, 20, version)
        cpu = system.cpu_seconds()
        taken = pages(api, options.instances, options.pages, version)
        cpu = (system.cpu_seconds() - cpu) * 1000 / len(taken)
        yield report(f"{version} page of {PAGE} of {options.instances} instances, ms, median", statistics.median(taken),
                     ("<=", PAGE_MS), f"  p99 {sorted(taken)[len(taken) * 99 // 100]:.2f}, {cpu:.2f} ms CPU a call")
    job = api.call("GET", "/v3/{project_id}/jobs?offset=0&limit=1")["jobs"][0]["id"]
    for name, path in (("engines", "/v2/{project_id}/engines"), ("an instance", instance), ("a job", f"/v3/{{project_id}}/jobs/{job}"),
                       ("an instance's schemas", instance + "/databases")):
        calls, cpu = throughput(system, api.token, path, options.clients, options.seconds)
        yield report(f"calls a second that show {name}", calls, (">=", CALLS_A_SECOND), f"  {cpu:.0f} us CPU a call")
    system.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--ddm", required=True, help="the built program")
    parser.add_argument("--seed", required=True, help="the built example seed_instances")
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--pages", type=int, default=400, help="calls of pages")
    parser.add_argument("--times", type=int, default=5, help="instances and schemas made")
    parser.add_argument("--clients", type=int, default=4, help="connections, each a process")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--http", action="store_true", help="without TLS")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="ddm-bench-api-"))
    jobs, calls = System(options.ddm, root / "jobs", options.http, 2), System(options.ddm, root / "calls", options.http, 0)
    try:
        met = all([*measure_jobs(jobs, options), *measure_calls(calls, options)])
    finally:
        jobs.stop()
        calls.stop()
        shutil.rmtree(root, ignore_errors=True)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
