"""Nothing that was acknowledged is lost, nothing is done twice and nothing half, nobody reads what never was, and no number comes
twice, while nodes and data nodes are killed and stopped, connections are cut, delayed, held and lose their cable, and the disk
is full. `make test-faults` runs it for minutes and prints the figures, a column for each load; with a file's name in
DDM_TEST_REPORT they are written there."""

import os

import pytest
from disk import Disk
from faults import RECOVERY_SECONDS, Faults
from figures import write
from loads.definitions import Definitions
from loads.lists import Appends
from loads.numbers import Numbers
from loads.orders import Orders
from loads.transfers import Transfers
from system import UNTHROTTLED, System

MINUTES = float(os.environ.get("DDM_TEST_FAULT_MINUTES", "0"))
# Or so many faults of each kind over all loads.
EACH = int(os.environ.get("DDM_TEST_FAULTS_EACH", "0"))
LONG = MINUTES > 0 or EACH > 0 or os.environ.get("DDM_TEST_FORM") == "long"
# The disk of everything that runs.
DISK_MEBIBYTES = 3000
SEED = int(os.environ.get("DDM_TEST_SEED", "1"))
# The loads, each with its share of the time.
LOADS = {Transfers: 0.3, Appends: 0.25, Orders: 0.15, Numbers: 0.15, Definitions: 0.15}
TOTAL_SECONDS = MINUTES * 60 or (600 if LONG else 110)

# What each load's figures are called, in the report's order.
NAMES = {
    "operations": "operations",
    "acknowledged": "acknowledged",
    "lost": "lost",
    "duplicated": "duplicated",
    "done_though_failed": "done though told failed",
    "in_doubt": "in doubt (told neither: lost at the commit)",
    "halves": "transactions of which a half is there",
    "wrong_balances": "accounts with a wrong balance at the end",
    "reads": "reads of all accounts meanwhile",
    "wrong_reads": "of these wrong; reads of what cannot be",
    "unanswered_reads": "unanswered",
    "anomalies": "anomalies beyond the isolation level",
    "broken_conditions": "consistency conditions broken",
    "other_ids": "other ids than the client was told",
    "left_out": "numbers left out",
    "left_out_beyond_bound": "of these without a reason",
    "changes": "definitions changed",
    "failed_changes": "changes refused or interrupted",
    "longest_recovery": "longest recovery, s",
    "longest_after": "it came after",
}
NEVER = ["lost", "duplicated", "done_though_failed", "halves", "wrong_balances", "wrong_reads", "anomalies", "broken_conditions",
         "other_ids", "left_out_beyond_bound"]


@pytest.fixture(scope="module")
def figures():
    """Those of each load that ran, shown at the end."""
    found = {}
    yield found
    lines = table(found)
    print("\n" + "\n".join(lines))
    report = os.environ.get("DDM_TEST_REPORT")
    if report and len(found) == len(LOADS):
        write(report, "figures", lines)


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
        # More definitions change in these minutes than operators change in an hour.
        system.ctl("parameters", "set", instance, "ddl_flowcontrol_threshold=100000")
        broken = Faults(system, "bank", SEED, disk)
        yield broken
    finally:
        if broken:
            broken.close()
        system.remove()
        if disk and not os.environ.get("DDM_TEST_KEEP"):
            disk.close()
            system.root.rmdir()


@pytest.mark.parametrize("load", LOADS)
def test_nothing_that_was_promised_is_broken(faults, figures, load):
    with faults.log_in(faults.hosts[0]) as session:
        working = load(session)
    if EACH:
        found = faults.run(working, each=-(-EACH // len(LOADS)))
    else:
        found = faults.run(working, seconds=TOTAL_SECONDS * LOADS[load])
    figures[load.__name__] = found
    print(found)
    wrong = {what: found[what] for what in NEVER if found.get(what)}
    assert not wrong, (wrong, working.examples)
    assert found["acknowledged"] > 100, found
    assert found["longest_recovery"] < RECOVERY_SECONDS, found
    assert sum(found["faults"].values()) > 2, found


def table(figures):
    """A column for each load."""
    kinds = dict.fromkeys(kind for found in figures.values() for kind in found["faults"])
    lines = ["| figure | " + " | ".join(name.lower() for name in figures) + " |", "|---" * (len(figures) + 1) + "|"]
    lines.append(line("minutes", [found["minutes"] for found in figures.values()]))
    for kind in kinds:
        lines.append(line(f"faults: {kind.replace('_', ' ')}", [found["faults"].get(kind, 0) for found in figures.values()]))
    for key, name in NAMES.items():
        shown = [found.get(key, "") for found in figures.values()]
        if any(one != "" for one in shown):
            lines.append(line(name, shown))
    return [f"Seed {SEED}.", "", *lines]


def line(name, values):
    return f"| {name} | " + " | ".join(map(str, values)) + " |"
