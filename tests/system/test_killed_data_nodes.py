"""A commit that was acknowledged is there after its data node was killed the next moment."""

import os
import signal

import pytest
from system import eventually, rows

# With 8 shards over 2 data nodes: a transaction begins on one data node and writes on either.
KEYS = [(0, 7), (7, 0), (0, 0), (7, 7)]


@pytest.mark.parametrize("way", ["one data node writes", "both write", "no transaction"])
def test_what_was_acknowledged_outlives_a_kill(shop, way):
    session = shop.log_in()
    rows(session, "DROP TABLE IF EXISTS kept")
    rows(session, "CREATE TABLE kept (id INT NOT NULL PRIMARY KEY, n INT NOT NULL) DBPARTITION BY MOD_HASH(id)")
    rows(session, f"INSERT INTO kept VALUES {', '.join(f'({key}, 0)' for key in range(8))}")
    wanted = dict.fromkeys(range(8), 0)
    for looked_at, written in KEYS:
        changed = {looked_at, written} if way == "both write" else {written}
        begins = way != "no transaction"
        session = shop.log_in()
        if begins:
            rows(session, "BEGIN")
            rows(session, f"SELECT n FROM kept WHERE id = {looked_at}")
        for key in changed:
            rows(session, f"UPDATE kept SET n = n + 1 WHERE id = {key}")
            wanted[key] += 1
        if begins:
            rows(session, "COMMIT")
        for pid in shop.system.children("data-nodes"):
            os.kill(pid, signal.SIGKILL)
        there = eventually("the data nodes answer", lambda: dict(rows(shop.log_in(), "SELECT id, n FROM kept")), 60)
        assert there == wanted, (looked_at, written)
