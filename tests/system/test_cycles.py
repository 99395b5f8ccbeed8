"""The search for anomalies finds each of them in the smallest history that has it, and none in those that have none."""

import pytest
from cycles import FAILED, OK, UNKNOWN, Transaction, find


def append(key, value):
    return ("append", key, value)


def read(key, *values):
    return ("read", key, list(values))


def ok(*steps):
    return Transaction(OK, *steps)


HISTORIES = {
    "nothing": ([], None, set()),
    "one after the other": (
        [ok(append("x", 1), append("y", 1)), ok(read("x", 1), append("x", 2)), ok(read("x", 1, 2), read("y", 1))],
        {"x": [1, 2], "y": [1]}, set()),
    "an unknown one is there": (
        [Transaction(UNKNOWN, append("x", 1)), ok(read("x", 1))], {"x": [1]}, set()),
    "an unknown one is not there": (
        [Transaction(UNKNOWN, append("x", 1)), ok(read("x"))], {}, set()),
    "writes that follow each other": (
        [ok(append("x", 1), append("y", 1)), ok(append("x", 2), append("y", 2)), ok(read("x", 1, 2)), ok(read("y", 2, 1))],
        None, {"G0"}),
    "a value that was rolled back": (
        [Transaction(FAILED, append("x", 1)), ok(read("x", 1))], None, {"G1a"}),
    "a value from nowhere": ([ok(read("x", 7))], None, {"G1a"}),
    "a value that was rolled back stays": ([Transaction(FAILED, append("x", 1))], {"x": [1]}, {"G1a"}),
    "a value in between": (
        [ok(append("x", 1), append("x", 2)), ok(read("x", 1))], {"x": [1, 2]}, {"G1b", "G-single"}),
    "each reads the other's write": (
        [ok(append("x", 1), read("y", 1)), ok(append("y", 1), read("x", 1))], None, {"G1c"}),
    "half of a transaction": (
        [ok(append("x", 1), append("y", 1)), ok(read("x", 1), read("y"))], {"x": [1], "y": [1]}, {"G-single"}),
    "a lost update": (
        [ok(append("x", 1)), ok(read("x", 1), append("x", 2)), ok(read("x", 1), append("x", 3)), ok(read("x", 1, 2, 3))],
        None, {"G-single"}),
    "write skew": (
        [ok(read("x"), append("y", 1)), ok(read("y"), append("x", 1))], {"x": [1], "y": [1]}, {"G2"}),
    "two readers see two writes in two orders": (
        [ok(append("x", 1)), ok(append("y", 1)), ok(read("x", 1), read("y")), ok(read("x"), read("y", 1))],
        {"x": [1], "y": [1]}, {"G2"}),
    "two orders of one list": (
        [ok(append("x", 1)), ok(append("x", 2)), ok(read("x", 1, 2)), ok(read("x", 2))], None, {"order"}),
    "a value that is there twice": ([ok(append("x", 1)), ok(read("x", 1, 1))], None, {"twice"}),
    "a lost value": ([ok(append("x", 1)), ok(append("x", 2))], {"x": [2]}, {"lost"}),
    "a transaction that does not see itself": ([ok(append("x", 1), read("x"))], {"x": [1]}, {"own"}),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_anomaly_is_found(name):
    history, final, wanted = HISTORIES[name]
    assert set(find(history, final)) == wanted


def test_a_long_cycle_is_found_among_many():
    """Each reads what the one before wrote; the first reads the last one's."""
    count = 3000
    history = [ok(append(number, 1), read((number - 1) % count, 1)) for number in range(count)]
    assert set(find(history)) == {"G1c"}
    # Without the last edge there is none.
    history[0] = ok(append(0, 1))
    assert find(history) == {}
