"""One system for all of `tests/api`: throttling off, a demo instance that nobody changes, and a
second instance that the tests may use up. `system.py` is that of `tests/system`."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "system"))
os.environ.setdefault("DDM_TEST_FORM", "short")

import pytest  # noqa: E402
from caller import Caller  # noqa: E402
from system import System  # noqa: E402
from world import World  # noqa: E402

THROTTLING_OFF = {"DDM_API_CALLS_PER_MINUTE_USER": "0", "DDM_API_CALLS_PER_MINUTE_API": "0"}
for name in THROTTLING_OFF:
    os.environ.pop(name, None)  # systems that say nothing have the documents' limits


@pytest.fixture(scope="session")
def plane():
    """A running `ddm up --demo` without limits on how often it is called."""
    system = System("--demo", environment=THROTTLING_OFF)
    try:
        yield system.start()
    finally:
        system.remove()


@pytest.fixture(scope="session")
def caller(plane):
    """HTTP calls with a token of the plane's user."""
    return Caller(plane.endpoints)


@pytest.fixture(scope="session")
def world(plane, caller):
    """Objects that exist, by the names of path parameters; and the means to make more."""
    world = World(plane, caller)
    yield world
    world.close()
