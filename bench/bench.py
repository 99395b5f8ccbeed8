#!/usr/bin/env python3
"""What `make bench` runs: the same load through direct access, HAProxy as a plain TCP relay, and
DDM (and ProxySQL, when DDM_BENCH_PROXYSQL names its binary), in turn, several rounds, as ratios. One
absolute time means nothing on a shared machine, so each figure is a ratio of two runs of the same
round, and the median over the rounds is printed. CPU time of the proxy per query is the steadiest of
them. The instance has two nodes; the load goes to the own address of one, so that one process with a
thread for each core stands beside one.

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
from contextlib import contextmanager
from pathlib import Path

import page

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
    ("point select, text, 256", POINT, "disable", 256),
    ("point select, prepared, 1", POINT, "auto", 1),
    ("point select, prepared, 16", POINT, "auto", 16),
    ("point select, prepared, 64", POINT, "auto", 64),
    ("point select, prepared, 256", POINT, "auto", 256),
    ("100-row range, text, 16", RANGE, "disable", 16),
    ("100-row range, text, 64", RANGE, "disable", 64),
    ("100-row range, prepared, 16", RANGE, "auto", 16),
    ("100-row range, prepared, 64", RANGE, "auto", 64),
    ("single-row update, text, 16", UPDATE, "disable", 16),
    ("single-row update, text, 64", UPDATE, "disable", 64),
    ("single-row update, prepared, 16", UPDATE, "auto", 16),
    ("single-row update, prepared, 64", UPDATE, "auto", 64),
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
        self.host, self.port, self.user, self.password, self.database = host, port, user, password, database
        self.arguments = [f"--mysql-host={host}", f"--mysql-port={port}", f"--mysql-user={user}",
                          f"--mysql-password={password}", f"--mysql-db={database}"]


def sysbench(path, arguments, form, connections, seconds, command="run", ignored="none"):
    """One sysbench run: queries, queries a second, average and 99th percentile in milliseconds. Errors with the `ignored` numbers
    are tried again."""
    done = subprocess.run(
        ["sysbench", *arguments, *path.arguments, "--db-driver=mysql", f"--db-ps-mode={form}", "--tables=1",
         f"--table-size={TABLE_ROWS}", f"--threads={connections}", f"--time={seconds}", "--percentile=99",
         "--rand-type=uniform", f"--mysql-ignore-errors={ignored}", command],
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
        f"global\n  maxconn 4096\n  nbthread {os.cpu_count()}\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
        f"frontend f\n  bind 127.0.0.1:{listen}\n  default_backend b\nbackend b\n  server s {host}:{port}\n")
    process = subprocess.Popen(["haproxy", "-db", "-f", str(configuration)], stderr=subprocess.DEVNULL)
    wait_for_port("127.0.0.1", listen, "haproxy")
    return process, listen


def wait_for_port(host, port, name):
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"{name} does not listen")


def start_proxysql(binary, root, node, user, password):
    """ProxySQL in front of a data node, with a thread for each of two cores as the others."""
    port, admin = free_port(), free_port()
    configuration = root / "proxysql.cnf"
    configuration.write_text(
        f'datadir="{root}/proxysql"\nadmin_variables={{ admin_credentials="admin:admin" mysql_ifaces="127.0.0.1:{admin}" }}\n'
        f'mysql_variables={{ threads={os.cpu_count()} max_connections=20000 interfaces="127.0.0.1:{port}" }}\n'
        f'mysql_servers=({{ address="{node["host"]}" port={node["port"]} hostgroup=0 max_connections=400 }})\n'
        f'mysql_users=({{ username="{user}" password="{password}" default_hostgroup=0 max_connections=20000 }})\n')
    (root / "proxysql").mkdir()
    process = subprocess.Popen([binary, "-f", "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_port("127.0.0.1", port, "proxysql")
    return process, port


def start_roads(binary, root, started, pipelining=None):
    """Starts everything, in `started` too, and answers the roads by name and the data node's processes."""
    ddm, ends = start_ddm(binary, root)
    started.append(ddm)
    demo, node = ends["demo"], ends["data_nodes"][0]
    ctl = [binary, "ctl", "--data-dir", str(root / "data"), "--output", "json"]
    subprocess.run([*ctl, "schemas", "create", demo["instance_id"], SCHEMA, "--mode", "cluster", "--shards", "1"],
                   check=True, stdout=subprocess.DEVNULL)
    if pipelining is not None:
        subprocess.run([*ctl, "parameters", "set", demo["instance_id"], f"pipelining_threshold={pipelining}"],
                       check=True, stdout=subprocess.DEVNULL)
    shown = subprocess.run([*ctl, "instances", "show", demo["instance_id"]], check=True, capture_output=True, text=True)
    host = json.loads(shown.stdout)["nodes"][0]["ip"]
    process = [pid for pid in processes([str(root), "node.toml"]) if listens(pid, host)]
    prepare(root, demo, node)
    relay, relay_port = start_haproxy(root, node["host"], node["port"])
    started.append(relay)
    admin = (node["admin_user"], node["admin_password"], f"{SCHEMA}_0000")
    roads = {
        "direct": Road("direct", node["host"], node["port"], *admin, []),
        "haproxy": Road("haproxy", "127.0.0.1", relay_port, *admin, [relay.pid]),
        "ddm": Road("ddm", host, demo["port"], demo["admin_user"], demo["admin_password"], SCHEMA, process),
    }
    proxysql = os.environ.get("DDM_BENCH_PROXYSQL")
    if proxysql:
        process, port = start_proxysql(proxysql, root, node, *admin[:2])
        started.append(process)
        roads["proxysql"] = Road("proxysql", "127.0.0.1", port, *admin, [process.pid])
    return roads, processes(["mariadbd", str(root)])


def listens(pid, host):
    """Whether the node's file gives it this address."""
    line = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return f'"{host}:' in Path(line[line.index("--config") + 1]).read_text()


def start_ddm(binary, root, data_nodes=1):
    log = open(root / "up.log", "w")
    process = subprocess.Popen([binary, "up", "--demo", "--http", "--data-nodes", str(data_nodes), "--data-dir", str(root / "data"),
                                "--api-listen", "127.0.0.1:0", "--node-subnet", "127.99.0.0/16"], stdout=log, stderr=log)
    deadline = time.monotonic() + START_SECONDS
    while not (root / "data" / "endpoints.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("ddm up did not start:\n" + (root / "up.log").read_text())
        time.sleep(0.2)
    return process, endpoints(root)


def endpoints(root):
    """Where the system that was started in a directory is."""
    return json.loads((root / "data" / "endpoints.json").read_text())


@contextmanager
def running(binary, pipelining=None):
    """Everything that is measured, in a directory of its own: the directory, the roads by name and the data node's processes."""
    with directory() as (root, started):
        roads, servers = start_roads(binary, root, started, pipelining)
        yield root, roads, servers


@contextmanager
def directory():
    """A directory, and the processes that are started in it: both are gone at the end."""
    root = Path(tempfile.mkdtemp(prefix="ddm-bench-"))
    started = []
    try:
        yield root, started
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        shutil.rmtree(root, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ddm", required=True, help="the built program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="length of one run")
    parser.add_argument("--only", default="", help="only loads whose name has this text")
    parser.add_argument("--pipelining", type=int, help="the instance's pipelining_threshold; its default if not given")
    parser.add_argument("--write", type=Path, help="the page that gets the figures, docs/performance.md")
    options = parser.parse_args()
    before = page.machine()
    with running(options.ddm, options.pipelining) as (_, roads, servers):
        lines = report(run(list(roads.values()), servers, options))
        print("\n".join(lines))
        if options.write:
            how = f"medians of {options.rounds} rounds of {options.seconds} s in turn"
            page.write(options.write, "bench", before, how, lines)


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
    """A table with a row a load: medians over the rounds of each round's ratios."""
    def ratio(runs, a, b, key):
        return statistics.median(x[key] / y[key] for x, y in zip(runs[a], runs[b]) if y[key])

    lines = ["| load, connections | throughput ÷ HAProxy | ÷ direct | CPU µs a query, DDM | HAProxy | ratio "
             "| data node's CPU ÷ direct | +ms | p99 ÷ HAProxy |", "|---|---|---|---|---|---|---|---|---|"]
    for name, runs in results.items():
        median = lambda path, key: statistics.median(one[key] for one in runs[path])  # noqa: E731
        lines.append(
            f"| {name} | {ratio(runs, 'ddm', 'haproxy', 'qps'):.2f} | {ratio(runs, 'ddm', 'direct', 'qps'):.2f} "
            f"| {median('ddm', 'proxy_cpu_us'):.1f} | {median('haproxy', 'proxy_cpu_us'):.1f} "
            f"| {ratio(runs, 'ddm', 'haproxy', 'proxy_cpu_us'):.2f} | {ratio(runs, 'ddm', 'direct', 'server_cpu_us'):.2f} "
            f"| {median('ddm', 'avg') - median('haproxy', 'avg'):.3f} | {ratio(runs, 'ddm', 'haproxy', 'p99'):.2f} |")
        if "proxysql" in runs:
            lines.append(
                f"| … DDM ÷ ProxySQL | {ratio(runs, 'ddm', 'proxysql', 'qps'):.2f} | | | "
                f"| {ratio(runs, 'ddm', 'proxysql', 'proxy_cpu_us'):.2f} "
                f"| {ratio(runs, 'ddm', 'proxysql', 'server_cpu_us'):.2f} | | {ratio(runs, 'ddm', 'proxysql', 'p99'):.2f} |")
    return lines


if __name__ == "__main__":
    main()
