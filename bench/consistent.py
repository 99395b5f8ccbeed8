#!/usr/bin/env python3
"""The part of `make bench` about transactions over data nodes: what consistent reads cost 16 connections of a mixed load, in
transactions and in autocommit (on ÷ off, in turn), in throughput, in CPU, and in statements that the data nodes run; and how
much longer a transaction of two rows takes when they lie on two data nodes.

Everything runs on loopback, in a directory of its own, and is stopped by process id at the end."""

import argparse
import os
import statistics
import subprocess
import time
from pathlib import Path

import bench
import page

CONNECTIONS = 16
SHARDS = 4
MIXED = ["oltp_read_write", "--point-selects=10", "--simple-ranges=1", "--sum-ranges=1", "--order-ranges=0", "--distinct-ranges=0",
         "--index-updates=1", "--non-index-updates=1", "--delete-inserts=0"]
# name, sysbench's arguments
LOADS = [
    ("mixed, in transactions", [*MIXED, "--skip-trx=off"]),
    ("mixed, autocommit", [*MIXED, "--skip-trx=on"]),
]
THROUGHPUT_WANTED, COMMIT_WANTED = 0.90, 2.2
# Transactions of one run of the last figure, one after the other.
COMMITS = 500


def prepare(demo):
    ends = (demo["host"], demo["port"], demo["admin_user"], demo["admin_password"], bench.SCHEMA)
    bench.client(*ends, "CREATE TABLE sbtest1 (id INT NOT NULL, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', "
                        "pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_1 (k)) DBPARTITION BY MOD_HASH(id)")
    bench.client(*ends, f"INSERT INTO sbtest1 SELECT seq, seq * 7919 % {bench.TABLE_ROWS}, REPEAT(MD5(seq), 3), MD5(seq + 1) "
                        f"FROM seq_1_to_{bench.TABLE_ROWS}")


def statements(nodes):
    """How many the data nodes were sent."""
    total = 0
    for node in nodes:
        shown = subprocess.run(
            ["mariadb", "-h", node["host"], "-P", str(node["port"]), "-u", node["admin_user"], "-N", "-e", "SHOW GLOBAL STATUS LIKE 'Questions'"],
            check=True, capture_output=True, text=True, env={**os.environ, "MYSQL_PWD": node["admin_password"]})
        total += int(shown.stdout.split()[1])
    return total


def run(road, arguments, seconds, servers, nodes):
    before, cpu = statements(nodes), (bench.cpu_seconds(road.proxies), bench.cpu_seconds(servers))
    # Two sessions may want the same rows.
    done = bench.sysbench(road, arguments, "disable", CONNECTIONS, seconds, ignored="1205,1213")
    queries = done["queries"]
    return {
        **done,
        "node": (bench.cpu_seconds(road.proxies) - cpu[0]) / queries,
        "servers": (bench.cpu_seconds(servers) - cpu[1]) / queries,
        "statements": (statements(nodes) - before) / queries,
    }


def reads(road, ctl, instance, servers, nodes, options):
    lines = ["| load, 16 connections | throughput on ÷ off | wanted | 99th percentile | node's CPU a query | data nodes' | statements on data nodes |",
             "|---|---|---|---|---|---|---|"]
    for name, arguments in LOADS:
        ratios = []
        # The first round only warms.
        for number in range(options.rounds + 1):
            runs = {}
            # Each comes first as often as the other.
            for value in ("OFF", "ON")[::1 - 2 * (number % 2)]:
                subprocess.run([*ctl, "parameters", "set", instance, f"consistent_reads={value}"], check=True, stdout=subprocess.DEVNULL)
                time.sleep(1)
                runs[value] = run(road, arguments, options.seconds, servers, nodes)
            ratios.append({key: runs["ON"][key] / runs["OFF"][key] for key in runs["ON"]})
        middle = {key: statistics.median(one[key] for one in ratios[1:]) for key in ratios[0]}
        lines.append(f"| {name} | {middle['qps']:.2f} | ≥ {THROUGHPUT_WANTED:.2f} | {middle['p99']:.2f} | {middle['node']:.2f} "
                     f"| {middle['servers']:.2f} | {middle['statements']:.2f} |")
        print(lines[-1], flush=True)
    return lines


def commits(road, ctl, instance, options):
    """The time of transactions of two rows, on two data nodes ÷ on one shard, in turn."""
    lines = ["| two-shard commit ÷ one-shard commit | ratio | wanted |", "|---|---|---|"]
    for value in ("OFF", "ON"):
        subprocess.run([*ctl, "parameters", "set", instance, f"consistent_reads={value}"], check=True, stdout=subprocess.DEVNULL)
        time.sleep(1)
        # Rows that are apart by 4 are on the same of 4 shards; by 2, on different data nodes.
        ratios = [seconds(road, 2) / seconds(road, SHARDS) for _ in range(options.rounds)]
        lines.append(f"| consistent reads {value} | {statistics.median(ratios):.2f} | ≤ {COMMIT_WANTED} |")
        print(lines[-1], flush=True)
    return lines


def seconds(road, apart):
    text = "".join(f"BEGIN; UPDATE sbtest1 SET k = k + 1 WHERE id = {row}; UPDATE sbtest1 SET k = k + 1 WHERE id = {row + apart}; COMMIT;\n"
                   for row in range(1, COMMITS + 1))
    began = time.perf_counter()
    bench.client(road.host, road.port, road.user, road.password, road.database, text)
    return time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ddm", required=True, help="the built program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="length of one run")
    parser.add_argument("--write", type=Path, help="the page that gets the figures, docs/performance.md")
    options = parser.parse_args()
    before = page.machine()
    with bench.directory() as (root, started):
        ddm, ends = bench.start_ddm(options.ddm, root, data_nodes=2)
        started.append(ddm)
        demo, nodes = ends["demo"], ends["data_nodes"]
        ctl = [options.ddm, "ctl", "--data-dir", str(root / "data"), "--output", "json"]
        subprocess.run([*ctl, "schemas", "create", demo["instance_id"], bench.SCHEMA, "--mode", "cluster", "--shards", str(SHARDS)],
                       check=True, stdout=subprocess.DEVNULL)
        prepare(demo)
        road = bench.Road("ddm", demo["host"], demo["port"], demo["admin_user"], demo["admin_password"], bench.SCHEMA,
                          bench.processes([str(root), "node.toml"]))
        lines = reads(road, ctl, demo["instance_id"], bench.processes(["mariadbd", str(root)]), nodes, options)
        lines += ["", *commits(road, ctl, demo["instance_id"], options)]
        if options.write:
            page.write(options.write, "bench-consistent", before, f"medians of {options.rounds} rounds of {options.seconds} s in turn", lines)


if __name__ == "__main__":
    main()
