"""The nodes of a system's demo one by one: sessions on this one or that, and the death of one while the other
serves on."""

import os
import signal
import threading
import time

import pymysql
from system import connect, rows

# A table's clause, by where its rows lie.
KINDS = {
    "sharded": "DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(id) TBPARTITIONS 2",
    "everywhere": "BROADCAST",
    "alone": "",
}


def hosts(system):
    """Where the nodes listen."""
    shown = system.ctl("instances", "show", system.endpoints["demo"]["instance_id"])
    return [node["ip"] for node in shown["nodes"]]


def log_in(system, schema, host=None):
    """The administrator's session on the node at `host`, else on any that answers."""
    ends = system.endpoints["demo"]
    last = None
    for one in [host] if host else hosts(system):
        try:
            return connect(one, ends["port"], ends["admin_user"], ends["admin_password"], schema)
        except pymysql.MySQLError as error:
            last = error
    raise last


def process_of(system, host):
    """The process of the node at `host`; none while it is down."""
    for pid in system.children("node.toml"):
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as line:
            config = line.read().split("\0")[-2]
        with open(config, encoding="utf-8") as file:
            if host in file.read():
                return pid
    return None


def oldest(system):
    """The node that has served for longest: one that dies often starts late."""
    ages = {}
    for host in hosts(system):
        pid = process_of(system, host)
        if pid:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                ages[host] = int(file.read().rsplit(")", 1)[1].split()[19])
    return min(ages, key=ages.get)


def all_serve(system, schema):
    for host in hosts(system):
        log_in(system, schema, host).close()
    return True


def die_in(system, schema, statement, moment):
    """Runs the statement on one node, which is killed after `moment` seconds; whether the client was told OK."""
    told = []
    host = oldest(system)
    victim = process_of(system, host)

    def run():
        try:
            rows(log_in(system, schema, host), statement)
            told.append(True)
        except Exception:  # noqa: BLE001 - the connection dies with the node
            pass

    runner = threading.Thread(target=run, daemon=True)
    runner.start()
    time.sleep(moment)
    os.kill(victim, signal.SIGKILL)
    runner.join(30)
    return bool(told)
