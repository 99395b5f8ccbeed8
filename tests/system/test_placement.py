"""Tables that get another placement while they are used: no row is lost, doubled or put in the wrong place, no
client sees an error but of its own making, and what a killed node leaves behind is cleared up."""

import os
import random
import signal
import threading
import time

import pymysql
import pytest
from system import eventually, rows

WRITERS = 4
ROWS = 3000
# All placements, one after the other; each is left and entered from another kind.
CHAIN = [
    "DBPARTITION BY MOD_HASH(id)",
    "BROADCAST",
    "DBPARTITION BY HASH(grp) TBPARTITION BY MOD_HASH(id) TBPARTITIONS 2",
    "SINGLE",
    "BROADCAST",
    "SINGLE",
    "DBPARTITION BY MOD_HASH(grp)",
    "DBPARTITION BY RIGHT_SHIFT(id, 2) TBPARTITION BY RIGHT_SHIFT(id, 2) TBPARTITIONS 3",
]


def make(client, name, clause=""):
    rows(client, f"DROP TABLE IF EXISTS {name}")
    rows(client, f"CREATE TABLE {name} (id BIGINT NOT NULL AUTO_INCREMENT, grp INT NOT NULL, word VARCHAR(40), "
                 f"part FLOAT, doubled INT AS (grp * 2), PRIMARY KEY (id, grp), KEY (word)) {clause}")


def content(client, name):
    return rows(client, f"SELECT id, grp, word, part, doubled FROM {name} ORDER BY id")


def left_behind(shop, client, name):
    """Files of physical tables and triggers of our own making that no definition names."""
    served = {line[4] for line in rows(client, f"SHOW TOPOLOGY FROM {name}")}
    found = []
    for file in (shop.system.data_dir / "data-nodes").glob(f"*/data/{shop.ends['schema']}_*/_ddm*"):
        table = file.name.rsplit(".", 1)[0]
        if table not in served and not table.startswith("_ddm_sequence") and not table.startswith("_ddm_user"):
            found.append(f"{file.parent.name}/{file.name}")
    return [one for one in found if "_ddm_capture" in one or f"_{name}" in one]


def test_every_placement_keeps_every_row(client):
    make(client, "kept")
    values = [(i % 37, f"w{i} é ' \\ \"", i / 7) for i in range(ROWS)]
    with client.cursor() as cursor:
        cursor.executemany("INSERT INTO kept (grp, word, part) VALUES (%s, %s, %s)", values)
    before = content(client, "kept")
    assert len(before) == ROWS
    for clause in CHAIN:
        rows(client, f"ALTER TABLE kept {clause}")
        assert content(client, "kept") == before, clause
        create = rows(client, "SHOW CREATE TABLE kept")[0][1]
        assert "_ddm" not in create and create.startswith("CREATE TABLE `kept` ("), create
        assert ("/*!99990 " in create) == (clause != "SINGLE"), create
        assert clause == "SINGLE" or clause in create.replace("`", ""), create
        # Generated values go on above all that were ever given.
        rows(client, "INSERT INTO kept (grp, word, part) VALUES (1, 'new', 0.1)")
        given = rows(client, "SELECT LAST_INSERT_ID()")[0][0]
        assert given > before[-1][0], clause
        before = content(client, "kept")
        assert rows(client, f"SELECT word FROM kept WHERE id = {given} AND grp = 1") == [("new",)]
        assert rows(client, "CHECK TABLE kept") == [], clause
        assert rows(client, "SHOW TABLES LIKE 'kept'") == [("kept",)]
        assert rows(client, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() "
                            "AND TABLE_NAME LIKE '\\_ddm%'") == []
    rows(client, "ALTER TABLE kept ADD COLUMN more INT DEFAULT 5")
    rows(client, "ALTER TABLE kept RENAME TO kept_on")
    assert len(content(client, "kept_on")) == len(before)
    assert rows(client, "SELECT DISTINCT more FROM kept_on") == [(5,)]
    rows(client, "DROP TABLE kept_on")


def test_a_table_changes_place_while_it_is_used(shop, client):
    make(client, "used")
    with client.cursor() as cursor:
        cursor.executemany("INSERT INTO used (grp, word) VALUES (%s, %s)", [(i % 11, "0") for i in range(ROWS)])
    ids = [line[0] for line in content(client, "used")]
    stop, wrong = threading.Event(), []
    # Each writer owns the rows of its share: what it did last is what must be there in the end.
    wanted = {}

    def write(number):
        choose = random.Random(number)
        mine = [i for i in ids if i % WRITERS == number]
        state = {i: "0" for i in mine}
        with shop.log_in(shop.hosts[number % len(shop.hosts)]) as session:
            turn = 0
            while not stop.is_set():
                turn += 1
                chosen, word = choose.choice(mine), f"{number}-{turn}"
                try:
                    if chosen in state and choose.random() < 0.1:
                        rows(session, f"DELETE FROM used WHERE id = {chosen}")
                        del state[chosen]
                    elif chosen in state:
                        rows(session, f"UPDATE used SET word = '{word}' WHERE id = {chosen}")
                        state[chosen] = word
                    elif choose.random() < 0.5:
                        rows(session, f"INSERT INTO used (id, grp, word) VALUES ({chosen}, {turn % 11}, '{word}')")
                        state[chosen] = word
                    else:
                        before = dict(state)
                        try:
                            rows(session, "BEGIN")
                            rows(session, f"INSERT INTO used (id, grp, word) VALUES ({chosen}, 3, '{word}')")
                            state[chosen] = word
                            rows(session, f"UPDATE used SET word = CONCAT(word, '+') WHERE id = {chosen}")
                            state[chosen] += "+"
                            rows(session, "COMMIT")
                        except pymysql.MySQLError as error:
                            # What a client must expect of any change of definitions in its transaction.
                            if error.args[0] not in (1412, 1205, 1213):
                                raise
                            rows(session, "ROLLBACK")
                            state.clear()
                            state.update(before)
                except pymysql.MySQLError as error:
                    wrong.append((number, turn, error))
                    return
        wanted.update(state)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        for clause in CHAIN:
            rows(client, f"ALTER TABLE used {clause}")
            time.sleep(0.5)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert not wrong, wrong
    assert {line[0]: line[2] for line in content(client, "used")} == wanted
    assert rows(client, "CHECK TABLE used") == []
    assert left_behind(shop, client, "used") == []


def test_what_cannot_be_kept_is_refused_and_nothing_changes(shop, client):
    rows(client, "CREATE TABLE keyless (a INT) DBPARTITION BY MOD_HASH(a)")
    with pytest.raises(pymysql.MySQLError, match="no primary key"):
        rows(client, "ALTER TABLE keyless BROADCAST")
    # Two shards may have one value each of a unique key that lacks the sharding key.
    rows(client, "CREATE TABLE twice (a INT NOT NULL, id INT NOT NULL, PRIMARY KEY (id)) DBPARTITION BY MOD_HASH(a)")
    rows(client, "INSERT INTO twice VALUES (1, 7), (2, 7), (3, 8)")
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(client, "ALTER TABLE twice SINGLE")
    assert caught.value.args[0] == 1062
    assert sorted(rows(client, "SELECT * FROM twice")) == [(1, 7), (2, 7), (3, 8)]
    rows(client, "INSERT INTO twice VALUES (4, 9)")
    # A key outside of every range has no place.
    with pytest.raises(pymysql.MySQLError) as caught:
        rows(client, "ALTER TABLE twice DBPARTITION BY RANGE(a) {1-2=0}")
    assert caught.value.args[0] == 1526
    with pytest.raises(pymysql.MySQLError, match="statement of its own"):
        rows(client, "ALTER TABLE twice ADD COLUMN x INT, BROADCAST")
    with pytest.raises(pymysql.MySQLError, match="nosuch"):
        rows(client, "ALTER TABLE twice DBPARTITION BY MOD_HASH(nosuch)")
    assert len(rows(client, "SELECT * FROM twice")) == 4
    rows(client, "ALTER TABLE twice DBPARTITION BY MOD_HASH(a)")
    assert left_behind(shop, client, "twice") == []
    rows(client, "DROP TABLE keyless, twice")


@pytest.mark.parametrize("after", [0.1, 0.6, 1.5])
def test_a_node_dies_in_the_middle(shop, client, after):
    make(client, "cut", "DBPARTITION BY MOD_HASH(id)")
    with client.cursor() as cursor:
        cursor.executemany("INSERT INTO cut (grp, word) VALUES (%s, %s)", [(i % 5, f"w{i}") for i in range(4 * ROWS)])
    host = shop.hosts[0]
    pid = shop.node_of(host)

    def change():
        try:
            with shop.log_in(host) as session:
                rows(session, "ALTER TABLE cut DBPARTITION BY HASH(grp) TBPARTITION BY HASH(id) TBPARTITIONS 2")
        except pymysql.MySQLError:
            pass

    changer = threading.Thread(target=change)
    with shop.log_in(shop.hosts[1]) as other:
        before = content(other, "cut")
        changer.start()
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)
        changer.join()
        # Reads and writes go on; at most they wait until the change is cleared up.
        rows(other, "UPDATE cut SET word = 'touched' WHERE id = %s", (before[0][0],))
        touched = [(line[0], line[1], "touched" if line[0] == before[0][0] else line[2]) for line in before]
        assert [line[:3] for line in content(other, "cut")] == touched

        def is_free():
            try:
                rows(other, "ALTER TABLE cut COMMENT = 'free'")
            except pymysql.MySQLError as error:
                assert error.args[0] == 3103, error
                return False
            return True

        eventually("the change is cleared up", is_free, 60)
        assert [line[:3] for line in content(other, "cut")] == touched
        assert left_behind(shop, other, "cut") == []
        rows(other, "ALTER TABLE cut BROADCAST")
        assert [line[:3] for line in content(other, "cut")] == touched
    eventually("the node is back", lambda: shop.node_of(host) != pid, 60)


def test_views_follow_their_table(client):
    """A view is what its table is, wherever the rows are."""
    make(client, "seen")
    with client.cursor() as cursor:
        cursor.executemany("INSERT INTO seen (grp, word) VALUES (%s, %s)", [(i % 7, f"w{i}") for i in range(200)])
    rows(client, "CREATE VIEW few AS SELECT id, grp, word FROM seen WHERE grp < 3")
    rows(client, "CREATE VIEW sums AS SELECT grp, COUNT(*) AS n, SUM(grp * 2) AS twice FROM seen GROUP BY grp")
    rows(client, "CREATE VIEW guarded AS SELECT id, grp, word FROM few WHERE word LIKE 'w%'")
    rows(client, "CREATE VIEW checked AS SELECT id, grp, word FROM seen WHERE grp < 3 WITH CHECK OPTION")
    views = ("few", "sums", "guarded", "checked")
    before = [sorted(rows(client, f"SELECT * FROM {view}")) for view in views]
    told = "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE " \
           "TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ('few', 'sums', 'guarded', 'checked') ORDER BY 1, ORDINAL_POSITION"
    described = [rows(client, f"DESC {view}") for view in views], rows(client, told)
    for clause in CHAIN:
        rows(client, f"ALTER TABLE seen {clause}")
        assert [sorted(rows(client, f"SELECT * FROM {view}")) for view in views] == before, clause
        full = f"{client.db.decode()}.seen"
        assert rows(client, f"SELECT seen.word, {full}.grp FROM {full} WHERE {full}.id = 3") == [("w2", 2)], clause
        rows(client, "UPDATE few SET word = CONCAT(word, '!') WHERE id = 1")
        assert rows(client, "SELECT word FROM guarded WHERE id = 1") == [("w0!",)], clause
        rows(client, "UPDATE few SET word = 'w0' WHERE id = 1")
        with pytest.raises(pymysql.MySQLError) as caught:
            rows(client, "INSERT INTO checked (grp, word) VALUES (3, 'out')")
        assert caught.value.args[0] == 1369, clause
        assert rows(client, "SHOW CREATE VIEW few")[0][1].count("_ddm") == 0
        assert ([rows(client, f"DESC {view}") for view in views], rows(client, told)) == described, clause
    rows(client, "DROP VIEW few, sums, guarded, checked")
    rows(client, "DROP TABLE seen")
