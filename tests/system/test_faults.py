"""Nothing that was acknowledged is lost, nothing is done twice and nothing half, while nodes and data nodes are killed
and stopped, connections are cut, delayed and held, and the disk is full. `make test-faults` runs it for minutes and prints the figures; with a
file's name in DDM_TEST_REPORT they are written there."""

import os
from pathlib import Path

import pytest
from disk import Disk
from faults import RECOVERY_SECONDS, Definitions, Faults, Transfers
from system import UNTHROTTLED, System

MINUTES = float(os.environ.get("DDM_TEST_FAULT_MINUTES", "0"))
LONG = MINUTES > 0 or os.environ.get("DDM_TEST_FORM") == "long"
SECONDS = MINUTES * 60 or (120 if LONG else 40)
# The disk of everything that runs.
DISK_MEBIBYTES = 3000
SEED = int(os.environ.get("DDM_TEST_SEED", "1"))


@pytest.fixture
def faults():
    system = System("--demo", environment=UNTHROTTLED)
    # A full disk keeps a server waiting for a minute.
    disk = Disk(system.root, DISK_MEBIBYTES) if LONG and Disk.possible(system.root) else None
    broken = None
    try:
        system.start()
        instance = system.endpoints["demo"]["instance_id"]
        system.ctl("schemas", "create", instance, "bank", "--mode", "cluster", "--shards", "8")
        broken = Faults(system, "bank", SEED, disk)
        yield broken
    finally:
        if broken:
            broken.close()
        system.remove()
        if disk:
            disk.close()
            system.root.rmdir()


def test_nothing_is_lost_and_nothing_is_done_twice(faults):
    with faults.log_in(faults.hosts[0]) as session:
        load = Transfers(session)
    figures = faults.run(load, SECONDS)
    print(figures)
    report = os.environ.get("DDM_TEST_REPORT")
    if report:
        write(Path(report), figures)
    assert figures["acknowledged"] > 100, figures
    for what in ["lost", "duplicated", "done_though_failed", "wrong_balances"]:
        assert figures[what] == 0, figures
    assert figures["longest_recovery"] < RECOVERY_SECONDS, figures
    assert all(figures["faults"].values()), figures


def test_tables_are_old_or_new_and_never_half(faults):
    with faults.log_in(faults.hosts[0]) as session:
        load = Definitions(session)
    figures = faults.run(load, SECONDS)
    print(figures)
    assert figures["acknowledged"] > 100 and figures["changes"]["acknowledged"] > 10, figures
    assert figures["lost"] == 0 and figures["duplicated"] == 0, figures


def write(file, figures):
    """Puts the figures between the marks of the document."""
    names = {
        "operations": "operations", "acknowledged": "acknowledged", "lost": "lost", "duplicated": "duplicated",
        "done_though_failed": "done though told failed", "wrong_balances": "accounts with a wrong balance",
        "in_doubt": "told neither (connection lost at the commit)",
        "longest_recovery": "longest recovery after a fault, s", "longest_after": "it came after",
    }
    lines = ["| figure | value |", "|---|---|", f"| duration, minutes | {SECONDS / 60:g} |", f"| seed | {SEED} |"]
    lines += [f"| faults: {kind.replace('_', ' ')} | {count} |" for kind, count in figures["faults"].items()]
    lines += [f"| {name} | {figures[key]} |" for key, name in names.items()]
    before, rest = file.read_text().split("<!-- figures -->\n", 1)
    after = rest.split("<!-- end -->\n", 1)[1]
    file.write_text(before + "<!-- figures -->\n" + "\n".join(lines) + "\n<!-- end -->\n" + after)
