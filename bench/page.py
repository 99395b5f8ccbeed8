"""Writes what a harness measured into docs/performance.md: each harness has a section of its own there,
between two marks, with the date, the machine and how often it measured; the rest of the page stays."""

import os
import re
import subprocess
from datetime import datetime, timezone
from pathlib import Path


def machine():
    """What the figures were measured on, and how the program was built."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1)) >> 20
    server = subprocess.run(["mariadbd", "--version"], capture_output=True, text=True).stdout
    version = re.search(r"Ver (\S+)", server)
    build = "make release" if "DDM_BENCH_RELEASE" in os.environ else "cargo build --release"
    return (f"{build}; {os.cpu_count()} cores ({cpu.group(1).strip() if cpu else os.uname().machine}), {memory} GiB, "
            f"Linux {os.uname().release.split('-')[0]}, MariaDB {version.group(1).split('-')[0] if version else '?'}, "
            f"load {os.getloadavg()[0]:.1f} before")


def write(path, name, before, how, lines):
    """Replaces the section `name` of the page. `before` is what `machine` said at the start."""
    begins, ends = f"<!-- {name}: written by make {name} -->", f"<!-- {name}: end -->"
    date = datetime.now(timezone.utc).date().isoformat()
    section = "\n".join([begins, f"{date}; {before}; {how}.", "", *lines, ends])
    text = path.read_text()
    if begins not in text or ends not in text:
        raise SystemExit(f"{path} has no section {name}")
    head, rest = text.split(begins, 1)
    path.write_text(head + section + rest.split(ends, 1)[1])
