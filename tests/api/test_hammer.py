"""schemathesis over the declared API: no 5xx, no undocumented status, every body of its schema. The
short form has a fixed seed; `DDM_TEST_FORM=long` makes 20,000 requests with the seed of the day, or
that of `DDM_TEST_SEED`."""

import os
import time

from hammer import FAILURES_SHOWN, Hammer
from system import connect, rows

LONG = os.environ["DDM_TEST_FORM"] == "long"
REQUESTS, SECONDS = (20_000, 3_600) if LONG else (1_000, 90)


def test_no_answer_is_undocumented(world, plane):
    chosen = int(os.environ.get("DDM_TEST_SEED") or (time.time() // 86_400 if LONG else 7))
    hammer = Hammer(world, REQUESTS, SECONDS, chosen)
    started = time.monotonic()
    failures = hammer.run()
    print(f"seed {chosen}: {hammer.made} requests in {time.monotonic() - started:.0f} s; statuses {hammer.statuses}; "
          f"never good: {hammer.never_good()}")
    assert not failures, f"{len(failures)} wrong answers:\n" + "\n".join(failures[:FAILURES_SHOWN])
    assert hammer.made == REQUESTS or not LONG, hammer.made
    # It got somewhere: calls that were taken, objects that were there and that were not, conflicts.
    assert {200, 202, 400, 404, 409} <= set(hammer.statuses), hammer.statuses
    # What was not to be destroyed serves on.
    assert plane.process.poll() is None
    assert "panicked" not in plane.log()
    demo = world.ends["demo"]
    assert world.instance(demo["instance_id"]).body["status"] == "RUNNING"
    with connect(demo["host"], demo["port"], demo["user"], demo["password"], demo["schema"]) as client:
        assert rows(client, "SELECT 1") == [(1,)]
    for node in world.ends["data_nodes"]:
        with connect(node["host"], node["port"], node["admin_user"], node["admin_password"]) as server:
            assert rows(server, "SHOW DATABASES LIKE 'shop\\_%'")
