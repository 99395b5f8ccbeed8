#!/usr/bin/env python3
"""The part of `make bench` about short statements among long ones: what a point select takes while other sessions read
ranges of 100 rows, thousands of rows, rows of half a megabyte by their key, and change rows; with shared connections
(`pipelining_threshold` at its default) ÷ without them (0), in turn. The median must not suffer, and the 99th percentile no more
than by half.

Everything runs on loopback, in a directory of its own, and is stopped by process id at the end."""

import argparse
import signal
import statistics
import subprocess
import time
from pathlib import Path

import bench
import page

CONNECTIONS = [16, 64, 256]
# What runs beside the point selects: name, sysbench's arguments, connections.
LONG_READS = ["oltp_read_only", "--point-selects=0", "--range-size=2000", "--skip-trx=on"]
BESIDE = [
    ("alone", []),
    ("100-row ranges, 32", [(bench.RANGE, 32)]),
    ("long reads, 8", [(LONG_READS, 8)]),
    ("large rows, 2", [(["oltp_point_select"], 2)]),
    ("updates, 16", [(bench.UPDATE, 16)]),
]
# Rows of the table that large rows are read from, and their length.
LARGE_ROWS, LARGE_BYTES = 50, 512 * 1024
P99_WANTED = 1.5


def beside(road, arguments, connections, large):
    """Other sessions that work until they are stopped."""
    rows = LARGE_ROWS if large else bench.TABLE_ROWS
    database = [f"--mysql-db={bench.SCHEMA}_large"] if large else []
    return subprocess.Popen(
        ["sysbench", *arguments, *road.arguments, *database, "--db-driver=mysql", "--db-ps-mode=disable", "--tables=1",
         f"--table-size={rows}", f"--threads={connections}", "--time=600", "--rand-type=uniform", "run"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def prepare_large(ctl, demo):
    """A schema of its own, so that sysbench finds its table by the usual name."""
    schema = f"{bench.SCHEMA}_large"
    subprocess.run([*ctl, "schemas", "create", demo["instance_id"], schema, "--mode", "cluster", "--shards", "1"],
                   check=True, stdout=subprocess.DEVNULL)
    ends = (demo["host"], demo["port"], demo["admin_user"], demo["admin_password"], schema)
    bench.client(*ends, "CREATE TABLE sbtest1 (id INT NOT NULL PRIMARY KEY, c LONGBLOB) DBPARTITION BY MOD_HASH(id)")
    for row in range(1, LARGE_ROWS + 1):
        bench.client(*ends, f"INSERT INTO sbtest1 VALUES ({row}, REPEAT('x', {LARGE_BYTES}))")


def measure(road, ctl, instance, default, options):
    lines = ["| point selects, connections | beside | throughput on ÷ off | average | 99th percentile | wanted |", "|---|---|---|---|---|---|"]
    for connections in CONNECTIONS:
        for name, others in BESIDE:
            ratios = []
            for _ in range(options.rounds):
                runs = {}
                for threshold in (0, default):
                    subprocess.run([*ctl, "parameters", "set", instance, f"pipelining_threshold={threshold}"],
                                   check=True, stdout=subprocess.DEVNULL)
                    started = [beside(road, arguments, count, "large" in name) for arguments, count in others]
                    try:
                        time.sleep(1)
                        runs[threshold] = bench.sysbench(road, bench.POINT, "disable", connections, options.seconds)
                    finally:
                        for process in started:
                            process.send_signal(signal.SIGTERM)
                            process.wait(60)
                ratios.append({key: runs[default][key] / runs[0][key] for key in ("qps", "avg", "p99")})
            middle = {key: statistics.median(one[key] for one in ratios) for key in ratios[0]}
            wanted = f"≤ {P99_WANTED}" if others else ""
            lines.append(f"| {connections} | {name} | {middle['qps']:.2f} | {middle['avg']:.2f} | {middle['p99']:.2f} | {wanted} |")
            print(lines[-1], flush=True)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ddm", required=True, help="the built program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="length of one run")
    parser.add_argument("--threshold", type=int, default=3, help="the threshold that stands for on")
    parser.add_argument("--write", type=Path, help="the page that gets the figures, docs/performance.md")
    options = parser.parse_args()
    before = page.machine()
    with bench.running(options.ddm) as (root, roads, _):
        demo = bench.endpoints(root)["demo"]
        ctl = [options.ddm, "ctl", "--data-dir", str(root / "data"), "--output", "json"]
        prepare_large(ctl, demo)
        lines = measure(roads["ddm"], ctl, demo["instance_id"], options.threshold, options)
        if options.write:
            page.write(options.write, "bench-mixed", before, f"medians of {options.rounds} rounds of {options.seconds} s", lines)


if __name__ == "__main__":
    main()
