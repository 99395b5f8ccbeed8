#!/usr/bin/env python3
"""The part of `make bench` about many connections: memory and CPU time of idle ones, the throughput of
many active ones against that of few, and what a storm of logins costs, beside direct access and HAProxy,
and beside ProxySQL when DDM_BENCH_PROXYSQL names its binary. One node is measured, so that one process
stands beside one process. A data node takes some hundreds of connections, so only what shares them (DDM,
ProxySQL) can have thousands; for the active ones it is given more at the end, to tell what the machine itself
makes of the few and the many, without sharing.

Everything runs on loopback, in directories of its own, and is stopped by process id at the end."""

import argparse
import re
import resource
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "system"))
import bench  # noqa: E402
import crowd  # noqa: E402
import page  # noqa: E402
from raw import Raw  # noqa: E402

QUIT = b"\x01"
# Few connections, and many.
FEW, MANY = 64, 2_000
# What a data node must take beside the many.
SPARE = 400
# Logins a second that must be served.
STORM = 1_000
STORM_THREADS = 16


def resident_kib(pids):
    return sum(int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) for pid in pids)


def log_in(road):
    """A session by the wire protocol alone: the client must not cost more than what it measures."""
    return Raw({"host": road.host, "port": road.port, "user": road.user, "password": road.password,
                "schema": road.database})


def ask(session):
    """One statement and its answer, so that the connection has all the memory that a used one keeps."""
    session.send(b"\x03SELECT id FROM sbtest1 WHERE id = 1")
    for _ in range(2):  # the columns' end and the rows' end
        while (packet := session.packet())[:1] != b"\xfe":
            assert packet[:1] != b"\xff", packet


def idle(road, connections, seconds):
    """KiB and CPU time of connections that were used and wait."""
    before = resident_kib(road.proxies)
    sessions = []
    for _ in range(connections):
        sessions.append(log_in(road))
        ask(sessions[-1])
    time.sleep(2)
    after, cpu = resident_kib(road.proxies), bench.cpu_seconds(road.proxies)
    time.sleep(seconds)
    used = (bench.cpu_seconds(road.proxies) - cpu) / seconds
    for session in sessions:
        session.socket.close()
    return (after - before) / connections, used


def idle_cpu(road, seconds):
    cpu = bench.cpu_seconds(road.proxies)
    time.sleep(seconds)
    return (bench.cpu_seconds(road.proxies) - cpu) / seconds


def active(road, connections, seconds):
    """Point selects of so many sessions, after all have logged in."""
    sessions = [log_in(road) for _ in range(connections)]
    result = crowd.run(sessions, bench.TABLE_ROWS, seconds, lambda: bench.cpu_seconds(road.proxies))
    for session in sessions:
        session.socket.close()
    return result


def many_to_few(roads, options):
    """A line for each road: the many ÷ the few, both of the same round."""
    for road in roads:
        rounds = []
        for _ in range(options.rounds):
            few, many = (active(road, count, options.seconds) for count in (FEW, MANY))
            rounds.append({key: many[key] / few[key] for key in few if few[key]} | {"fewest": many["fewest"]})
        of = lambda key: statistics.median(one[key] for one in rounds)  # noqa: E731
        cpu = f"CPU a query {of('cpu_us'):.2f}, " if road.proxies else ""
        yield (f"{road.name}: {MANY} active connections ÷ {FEW}: throughput {of('qps'):.2f}, {cpu}the client's own {of('client_us'):.2f}; "
               f"fewest answers of a session ÷ mean {of('fewest'):.2f}")


def give_room(road):
    """The data node, which is measured last so, takes as many connections as there are clients."""
    bench.client(road.host, road.port, road.user, road.password, road.database,
                 f"SET @@GLOBAL.max_connections = {MANY + SPARE}")


def storm(road, seconds):
    """Logins one after the other by several threads: how many a second, the proxy's CPU time of one, and the
    longest that one took."""
    counts, longest, until = [0] * STORM_THREADS, [0.0] * STORM_THREADS, time.monotonic() + seconds

    def run(number):
        while (began := time.monotonic()) < until:
            session = log_in(road)
            session.send(QUIT)
            session.socket.close()
            counts[number] += 1
            longest[number] = max(longest[number], time.monotonic() - began)

    cpu = bench.cpu_seconds(road.proxies)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(STORM_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = bench.cpu_seconds(road.proxies) - cpu
    return {"rate": sum(counts) / seconds, "cpu": used / sum(counts) * 1e6, "longest": max(longest)}


def measure(roads, options):
    """Tells each figure as soon as it is there, and answers all."""
    lines = []

    def tell(line):
        print(line, flush=True)
        lines.append(f"- {line}")

    shared = [road for name, road in roads.items() if name in ("ddm", "proxysql")]
    for road in shared:
        rest = idle_cpu(road, options.seconds)
        kib, cpu = idle(road, options.idle, options.seconds)
        tell(f"{road.name}: {options.idle} idle connections: {kib:.1f} KiB each; CPU {100 * cpu:.2f} % of a core "
             f"(without any {100 * rest:.2f} %)")
    for line in many_to_few(shared, options):
        tell(line)
    storms = {name: [] for name in roads}
    for _ in range(options.rounds):
        for name, road in roads.items():
            storms[name].append(storm(road, options.seconds))
    for name, runs in storms.items():
        of = lambda key: statistics.median(run[key] for run in runs)  # noqa: E731
        tell(f"{name}: {of('rate'):.0f} logins a second ({STORM} wanted), proxy's CPU {of('cpu'):.0f} µs a login, "
             f"longest {1e3 * of('longest'):.0f} ms")
    give_room(roads["direct"])
    for line in many_to_few([roads["direct"], roads["haproxy"]], options):
        tell(line)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ddm", required=True, help="the built program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="length of one run")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections")
    parser.add_argument("--write", type=Path, help="the page that gets the figures, docs/performance.md")
    options = parser.parse_args()
    before = page.machine()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with bench.running(options.ddm) as (_, roads, _):
        lines = measure(roads, options)
        if options.write:
            how = f"medians of {options.rounds} rounds of {options.seconds} s"
            page.write(options.write, "bench-scale", before, how, lines)


if __name__ == "__main__":
    main()
