#!/usr/bin/env python3
"""What `make bench` runs: the same load through direct access, HAProxy as a plain TCP relay, and
DDM, in turn, several rounds, as ratios. One absolute time means nothing on a shared machine, so
each figure is a ratio of two runs of the same round, and the median over the rounds is printed.
CPU time of the proxy per query is the steadiest of them.

Everything runs on loopback, in a directory of its own, is bounded in time, and is stopped by
process id at the end."""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
SCHEMA = "bench"
TABLE_ROWS = 50_000
START_SECONDS = 180

POINT = ["oltp_point_select"]
RANGE = ["oltp_read_only", "--point-selects=0", "--simple-ranges=1", "--sum-ranges=0", "--order-ranges=0",
         "--distinct-ranges=0", "--range-size=100", "--skip-trx=on"]
UPDATE = ["oltp_update_non_index"]
# name, sysbench arguments, statement form, connections
LOADS = [
    ("point select, text, 1", POINT, "disable", 1),
    ("point select, text, 16", POINT, "disable", 16),
    ("point select, text, 64", POINT, "disable", 64),
    ("point select, prepared, 1", POINT, "auto", 1),
    ("point select, prepared, 16", POINT, "auto", 16),
    ("point select, prepared, 64", POINT, "auto", 64),
    ("100-row range, text, 16", RANGE, "disable", 16),
    ("100-row range, prepared, 16", RANGE, "auto", 16),
    ("single-row update, text, 16", UPDATE, "disable", 16),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pids):
    """CPU time that these processes have used, user and system."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def processes(words):
    """Processes whose command line has all these words."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:
                continue
            if all(word in line for word in words):
                found.append(int(entry.name))
    return found


class Road:
    """One way to the data: where sysbench connects, and whose CPU counts as the proxy's."""

    def __init__(self, name, host, port, user, password, database, proxies):
        self.name, self.proxies = name, proxies
        self.arguments = [f"--mysql-host={host}", f"--mysql-port={port}", f"--mysql-user={user}",
                          f"--mysql-password={password}", f"--mysql-db={database}"]


def sysbench(path, arguments, form, connections, seconds, command="run"):
    """One sysbench run: queries, queries a second, average and 99th percentile in milliseconds."""
    done = subprocess.run(
        ["sysbench", *arguments, *path.arguments, "--db-driver=mysql", f"--db-ps-mode={form}", "--tables=1",
         f"--table-size={TABLE_ROWS}", f"--threads={connections}", f"--time={seconds}", "--percentile=99",
         "--rand-type=uniform", "--mysql-ignore-errors=none", command],
        capture_output=True, text=True, timeout=seconds + 120)
    if done.returncode != 0:
        sys.exit(f"sysbench failed on {path.name}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    if command != "run":
        return None
    number = lambda pattern: float(re.search(pattern, done.stdout).group(1))  # noqa: E731
    return {
        "queries": number(r"total:\s+(\d+)"),
        "qps": number(r"queries:\s+\d+\s+\(([\d.]+) per sec"),
        "avg": number(r"avg:\s+([\d.]+)"),
        "p99": number(r"99th percentile:\s+([\d.]+)"),
    }


def measure(path, load, seconds, data_node_pids):
    _, arguments, form, connections = load
    before, server_before = cpu_seconds(path.proxies), cpu_seconds(data_node_pids)
    result = sysbench(path, arguments, form, connections, seconds)
    result["proxy_cpu_us"] = (cpu_seconds(path.proxies) - before) / result["queries"] * 1e6
    result["server_cpu_us"] = (cpu_seconds(data_node_pids) - server_before) / result["queries"] * 1e6
    return result


def start_haproxy(root, host, port):
    listen = free_port()
    configuration = root / "haproxy.cfg"
    configuration.write_text(
        "global\n  maxconn 4096\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
        f"frontend f\n  bind 127.0.0.1:{listen}\n  default_backend b\nbackend b\n  server s {host}:{port}\n")
    process = subprocess.Popen(["haproxy", "-db", "-f", str(configuration)], stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", listen)) == 0:
                return process, listen
        time.sleep(0.05)
    sys.exit("haproxy does not listen")


def start_ddm(binary, root, data_nodes=1):
    log = open(root / "up.log", "w")
    process = subprocess.Popen([binary, "up", "--demo", "--http", "--data-nodes", str(data_nodes), "--data-dir", str(root / "data"),
                                "--api-listen", "127.0.0.1:0", "--node-subnet", "127.99.0.0/16"], stdout=log, stderr=log)
    deadline = time.monotonic() + START_SECONDS
    endpoints = root / "data" / "endpoints.json"
    while not endpoints.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("ddm up did not start:\n" + (root / "up.log").read_text())
        time.sleep(0.2)
    return process, json.loads(endpoints.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ddm", required=True, help="the built program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="length of one run")
    parser.add_argument("--only", default="", help="only loads whose name has this text")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="ddm-bench-"))
    started = []
    try:
        ddm, ends = start_ddm(options.ddm, root)
        started.append(ddm)
        demo, node = ends["demo"], ends["data_nodes"][0]
        subprocess.run([options.ddm, "ctl", "--data-dir", str(root / "data"), "schemas", "create", demo["instance_id"], SCHEMA,
                        "--mode", "cluster", "--shards", "1"], check=True, stdout=subprocess.DEVNULL)
        prepare(root, demo, node)
        relay, relay_port = start_haproxy(root, node["host"], node["port"])
        started.append(relay)
        admin = (node["admin_user"], node["admin_password"], f"{SCHEMA}_0000")
        nodes = processes([str(root), "node.toml"])
        servers = processes(["mariadbd", str(root)])
        paths = [
            Road("direct", node["host"], node["port"], *admin, []),
            Road("haproxy", "127.0.0.1", relay_port, *admin, [relay.pid]),
            Road("ddm", demo["host"], demo["port"], demo["admin_user"], demo["admin_password"], SCHEMA, nodes),
        ]
        report(run(paths, servers, options))
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        shutil.rmtree(root, ignore_errors=True)


def prepare(root, demo, node):
    """The table is made through DDM, so that its rule is known, and filled directly."""
    definition = ("CREATE TABLE sbtest1 (id INT NOT NULL, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', "
                  "pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_1 (k)) ENGINE=InnoDB DBPARTITION BY MOD_HASH(id)")
    client(demo["host"], demo["port"], demo["admin_user"], demo["admin_password"], SCHEMA, definition)
    fill = (f"INSERT INTO sbtest1 SELECT seq, seq * 7919 % {TABLE_ROWS}, REPEAT(MD5(seq), 3), MD5(seq + 1) "
            f"FROM seq_1_to_{TABLE_ROWS}; ANALYZE TABLE sbtest1")
    client(node["host"], node["port"], node["admin_user"], node["admin_password"], f"{SCHEMA}_0000", fill)


def client(host, port, user, password, database, sql):
    subprocess.run(["mariadb", "-h", host, "-P", str(port), "-u", user, database, "-e", sql], check=True,
                   stdout=subprocess.DEVNULL, env={**os.environ, "MYSQL_PWD": password})


def run(paths, servers, options):
    results = {}
    for load in LOADS:
        if options.only not in load[0]:
            continue
        for path in paths:
            sysbench(path, load[1], load[2], load[3], 1)
        for _ in range(options.rounds):
            for path in paths:
                results.setdefault(load[0], {}).setdefault(path.name, []).append(
                    measure(path, load, options.seconds, servers))
        print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return results


def report(results):
    """A row a load: medians over the rounds of each round's ratios."""
    def ratio(runs, a, b, key):
        return statistics.median(x[key] / y[key] for x, y in zip(runs[a], runs[b]) if y[key])

    print(f"{'load':30} {'qps ddm/haproxy':>16} {'qps ddm/direct':>15} {'cpu us ddm':>11} {'haproxy':>8} "
          f"{'ddm/haproxy':>12} {'avg ms +':>9} {'p99 ddm/haproxy':>16}")
    for name, runs in results.items():
        median = lambda path, key: statistics.median(one[key] for one in runs[path])  # noqa: E731
        print(f"{name:30} {ratio(runs, 'ddm', 'haproxy', 'qps'):16.2f} {ratio(runs, 'ddm', 'direct', 'qps'):15.2f} "
              f"{median('ddm', 'proxy_cpu_us'):11.1f} {median('haproxy', 'proxy_cpu_us'):8.1f} "
              f"{ratio(runs, 'ddm', 'haproxy', 'proxy_cpu_us'):12.2f} "
              f"{median('ddm', 'avg') - median('haproxy', 'avg'):9.3f} {ratio(runs, 'ddm', 'haproxy', 'p99'):16.2f}")


if __name__ == "__main__":
    main()
