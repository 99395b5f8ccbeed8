"""Fixtures: one system with a demo for the tests that only look, own systems for those that break."""

import pytest
from shop import Shop
from sides import two_sides
from system import UNTHROTTLED, System


@pytest.fixture(scope="session")
def demo():
    system = System("--demo")
    try:
        yield system.start()
    finally:
        system.remove()


@pytest.fixture(scope="session")
def replicated():
    """A system whose two data nodes have two replicas each."""
    system = System("--data-nodes", "2", "--replicas", "2", environment=UNTHROTTLED)
    try:
        yield system.start()
    finally:
        system.remove()


@pytest.fixture(scope="module")
def shop():
    with Shop() as one:
        yield one


@pytest.fixture(scope="module")
def sides():
    with two_sides() as both:
        yield both


@pytest.fixture
def client(shop):
    with shop.log_in() as session:
        yield session


@pytest.fixture
def own():
    systems = []

    def make(*options):
        system = System(*options)
        systems.append(system)
        return system.start()

    yield make
    for system in systems:
        system.remove()
