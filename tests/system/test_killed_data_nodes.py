"""A commit that was acknowledged is there after its data node was killed the next moment."""

import os
import signal

import pytest
from system import eventually, rows

# On different data nodes: 8 shards are over 2 of them.
FIRST, LAST = 0, 7
# Of each way, keys that are looked at and keys that are changed, so that both data nodes have a commit of it as their last.
WAYS = {
    "one writes, another was read": [([FIRST], [LAST]), ([LAST], [FIRST])],
    "both write": [([FIRST], [FIRST, LAST])],
    "one alone": [([], [FIRST]), ([], [LAST])],
}


@pytest.fixture(scope="module")
def kept(shop):
    rows(shop.log_in(), "CREATE TABLE kept (id INT NOT NULL PRIMARY KEY, n INT NOT NULL) DBPARTITION BY MOD_HASH(id)")


@pytest.mark.parametrize("way", WAYS)
def test_what_was_acknowledged_outlives_a_kill(shop, kept, way):
    session = shop.log_in()
    rows(session, "DELETE FROM kept")
    rows(session, f"INSERT INTO kept VALUES ({FIRST}, 0), ({LAST}, 0)")
    for looked_at, changed in WAYS[way]:
        rows(session, "BEGIN")
        for key in looked_at:
            rows(session, f"SELECT n FROM kept WHERE id = {key}")
        for key in changed:
            rows(session, f"UPDATE kept SET n = n + 1 WHERE id = {key}")
        rows(session, "COMMIT")
    for pid in shop.system.children("data-nodes"):
        os.kill(pid, signal.SIGKILL)
    there = eventually("the data nodes answer", lambda: dict(rows(shop.log_in(), "SELECT id, n FROM kept")), 60)
    assert there == {FIRST: 1, LAST: 1}
