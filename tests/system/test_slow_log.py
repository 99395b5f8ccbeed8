"""The slow log as the API shows it: statements that really were slow, with all that is said of them,
summed up by template, and without a password in any of them."""

import calendar
import sqlite3
import time

import pymysql
import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkddm.v1 import ListSlowLogAnalysisRequest, ListSlowLogRequest, ListSlowLogsRequest
from system import connect, rows

WEEK_MS = 7 * 24 * 3600 * 1000
SECRET = "Hunter2-never-shown"


def now_ms():
    return int(time.time() * 1000)


class Slow:
    """The demo's instance, its log since the test began, and a connection."""

    def __init__(self, system):
        self.client = system.sdk()
        self.ends = system.endpoints["demo"]
        self.start = now_ms() - 1000

    def connect(self, **more):
        ends = self.ends
        return connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], ends["schema"], **more)

    def request(self, kind, **more):
        return kind(instance_id=self.ends["instance_id"], start_date=str(self.start), end_date=str(now_ms() + 1000), **more)

    def all(self):
        found = self.client.list_slow_logs(self.request(ListSlowLogsRequest, limit=100))
        assert found.total_record == len(found.slow_log_list)
        return found.slow_log_list

    def wait(self, mark, count=1):
        """The statements with this mark; asks seldom, for a user may do so only once a second."""
        for _ in range(20):
            time.sleep(0.6)
            found = [one for one in self.all() if mark in one.query_sample]
            if len(found) >= count:
                return found
        raise AssertionError(f"the log does not have {mark}: {self.all()}")


@pytest.fixture
def slow(demo):
    one = Slow(demo)
    with one.connect() as client:
        rows(client, "DROP TABLE IF EXISTS sleepers")
        rows(client, "CREATE TABLE sleepers (a INT PRIMARY KEY, b INT) DBPARTITION BY HASH(a)")
        rows(client, "INSERT INTO sleepers VALUES " + ",".join(f"({n}, {n})" for n in range(8)))
    return one


def test_a_slow_statement_is_logged_with_all_that_is_said_of_it(slow, demo):
    with slow.connect() as client:
        before = now_ms()
        rows(client, "SELECT b, SLEEP(1.1), 'mark-one' FROM sleepers WHERE a = 5")
        rows(client, "SELECT 'mark-fast' FROM sleepers WHERE a = 5")
    (logged,) = slow.wait("mark-one")
    assert logged.query_sample == "SELECT b, SLEEP(1.1), 'mark-one' FROM sleepers WHERE a = 5"
    assert (logged.users, logged.database) == (slow.ends["admin_user"], slow.ends["schema"])
    assert 1100 <= int(logged.time) < 6000
    assert logged.rows_examined == "1"
    assert logged.host == "127.0.0.1"
    assert logged.node_id.endswith("no09")
    assert logged.shards.startswith(slow.ends["schema"] + "_") and "," not in logged.shards
    started = time.strptime(logged.log_time, "%Y-%m-%dT%H:%M:%S+0000")
    assert abs(calendar.timegm(started) * 1000 - before) < 5000
    assert not [one for one in slow.all() if "mark-fast" in one.query_sample]


def test_all_kinds_of_statements_are_logged(slow):
    with slow.connect() as client:
        rows(client, "SELECT a, SLEEP(1.1), 'mark-scatter' FROM sleepers ORDER BY a")
        rows(client, "UPDATE sleepers SET b = b + SLEEP(1.1) + 1 WHERE a = 3 /* mark-update */")
        with pytest.raises(pymysql.err.MySQLError):
            rows(client, "SELECT SLEEP(1.2), 'mark-failed', (SELECT 1 FROM sleepers x WHERE x.a < 9 AND SLEEP(0.1)+1 > 0 AND x.nosuch = 1)")
    (scatter,) = slow.wait("mark-scatter")
    assert scatter.rows_examined == "8" and len(scatter.shards.split(",")) > 1
    (update,) = slow.wait("mark-update")
    assert update.rows_examined == "1"


def test_statements_of_one_text_are_logged_apart(slow):
    with slow.connect(client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS) as client:
        with client.cursor() as cursor:
            cursor.execute("SELECT 'mark-quick'; SELECT SLEEP(1.1), 'mark-second'; SELECT 'mark-third'")
            while cursor.nextset():
                pass
    (second,) = slow.wait("mark-second")
    assert second.query_sample == "SELECT SLEEP(1.1), 'mark-second'"
    assert not [one for one in slow.all() if "mark-quick" in one.query_sample or "mark-third" in one.query_sample]


def test_a_statement_whose_client_went_away_is_logged(slow):
    client = slow.connect()
    client._read_timeout = 1.5
    with pytest.raises(pymysql.err.MySQLError):
        rows(client, "SELECT SLEEP(30), 'mark-left'")
    (left,) = slow.wait("mark-left")
    assert 1400 <= int(left.time) < 10_000


def test_templates_sum_up(slow):
    with slow.connect() as client:
        for seconds in (1.1, 1.3):
            rows(client, f"SELECT SLEEP({seconds}) AS mark_template, b FROM sleepers WHERE a = {int(seconds * 10)} OR a = 2")
    slow.wait("SLEEP(1.3) AS mark_template")
    asked = slow.request(ListSlowLogAnalysisRequest, order="max_time", limit=128)
    found = slow.client.list_slow_log_analysis(asked)
    (one,) = [one for one in found.slow_log_list if "mark_template" in one.query_sample]
    assert one.execute_times == 2 and one.database == slow.ends["schema"]
    assert "1.3" in one.query_sample, "the slowest is the sample"
    assert one.max_time >= 1300 and one.cost_time_sum >= 2400
    assert abs(one.avg_time - one.cost_time_sum / 2) < 0.01
    assert one.rows_examined_sum == 2 and one.max_rows_examined == 1 and one.avg_rows_examined == 1.0
    assert found.total == len(found.slow_log_list)
    times = [one.max_time for one in found.slow_log_list]
    assert times == sorted(times, reverse=True)


def test_no_password_is_in_the_log(slow):
    with slow.connect() as client:
        for statement in (
            f"SELECT SLEEP(1.1), 'mark-secret', PASSWORD('{SECRET}')",
            f"SELECT SLEEP(1.1), 'mark-secret', AES_ENCRYPT('x', '{SECRET}') /* IDENTIFIED BY '{SECRET}' */",
            f"SELECT SLEEP(1.1), 'mark-secret' FROM sleepers WHERE a = 1 AND 'password' <> PASSWORD(concat('{SECRET}', ''))",
        ):
            rows(client, statement)
        rows(client, f"SET @password = (SELECT CONCAT('{SECRET}', SLEEP(1.1), 'mark-secret'))")
    slow.wait("mark-secret", 3)
    slow.wait("SET @password")
    everything = str(slow.all()) + str(slow.client.list_slow_log_analysis(slow.request(ListSlowLogAnalysisRequest, limit=128)))
    assert SECRET not in everything
    assert "***" in everything


def test_pages_of_v2(slow):
    with slow.connect() as client:
        for number in range(2):
            rows(client, f"SELECT SLEEP(1.1), 'mark-page-{number}'")
    slow.wait("mark-page-1")
    page = lambda number, size: slow.client.list_slow_log(  # noqa: E731
        slow.request(ListSlowLogRequest, cur_page=str(number), per_page=str(size)))
    both = page(1, 100)
    assert both.total_record == len(both.slow_log_list)
    first, second = page(1, 1), page(2, 1)
    assert first.total_record == second.total_record == both.total_record
    assert first.slow_log_list == both.slow_log_list[:1] and second.slow_log_list == both.slow_log_list[1:2]
    assert "mark-page-1" in first.slow_log_list[0].query_sample, "the newest first"
    assert page(1000, 100).slow_log_list == []
    good = dict(cur_page="1", per_page="10", start_date=str(slow.start), end_date=str(slow.start + 1))
    for field, name, value in (
        ("cur_page", "curPage", "0"), ("cur_page", "curPage", "x"), ("per_page", "perPage", "0"),
        ("per_page", "perPage", "101"), ("start_date", "startDate", "soon"), ("end_date", "endDate", str(slow.start + WEEK_MS + 1)),
        ("start_date", "startDate", str(slow.start + 2)), ("end_date", "endDate", ""),
    ):
        with pytest.raises(ClientRequestException) as error:
            slow.client.list_slow_log(ListSlowLogRequest(instance_id=slow.ends["instance_id"], **{**good, field: value}))
        assert error.value.status_code == 400, (field, value)
        assert "DBS.280001" in error.value.error_msg and name in error.value.error_msg
    with pytest.raises(ClientRequestException) as error:
        slow.client.list_slow_log(ListSlowLogRequest(instance_id="0" * 32 + "in09", **good))
    assert error.value.status_code == 404


def test_the_log_outlives_the_control_plane_and_goes_with_the_instance(own):
    system = own("--demo")
    slow = Slow(system)
    with slow.connect() as client:
        rows(client, "SELECT SLEEP(1.1), 'mark-kept'")
        slow.wait("mark-kept")
        system.process.kill()
        system.process.wait()
        rows(client, "SELECT SLEEP(1.1), 'mark-away'")
    system.start()
    slow.client = system.sdk()
    assert len(slow.wait("mark-away")) == 1, "what was slow while the control plane was away"
    assert len(slow.wait("mark-kept")) == 1, "and what was before"
    log = system.data_dir / "meta" / "slow-log.db"
    assert log.stat().st_mode & 0o777 == 0o600
    system.ctl("instances", "delete", slow.ends["instance_id"])
    with sqlite3.connect(log) as database:
        assert database.execute("SELECT COUNT(*) FROM slow_query").fetchone() == (0,)
