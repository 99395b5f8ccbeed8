"""LOAD DATA LOCAL through DDM and into a plain server: the same rows, counts, texts and warnings."""

import os
import socket
import struct
import time
from pathlib import Path

import pymysql
import pytest
from plain import Plain
from system import connect, rows

SCHEMA = "loads"
# name, definition, sharding clause, key columns
TABLES = [
    ("si", "id INT NOT NULL PRIMARY KEY, k INT DEFAULT 4, v VARCHAR(10), d DATE, n DECIMAL(6,2)",
     "DBPARTITION BY MOD_HASH(id)", "id"),
    ("sk", "id INT NOT NULL, k INT DEFAULT 4, v VARCHAR(10), d DATE, n DECIMAL(6,2)",
     "DBPARTITION BY MOD_HASH(k) TBPARTITION BY MOD_HASH(k) TBPARTITIONS 3", "k"),
    ("sv", "id INT, k INT, v VARCHAR(10) NOT NULL DEFAULT 'dé', d DATE, n DECIMAL(6,2)",
     "DBPARTITION BY HASH(v) TBPARTITION BY HASH(v) TBPARTITIONS 2", "v"),
    ("sd", "id INT, k INT, v VARCHAR(10), d DATE, n DECIMAL(6,2)", "DBPARTITION BY YYYYMM(d)", "d"),
    ("br", "id INT NOT NULL PRIMARY KEY, k INT DEFAULT 4, v VARCHAR(10), d DATE, n DECIMAL(6,2)", "BROADCAST", None),
    ("si1", "id INT NOT NULL PRIMARY KEY, k INT DEFAULT 4, v VARCHAR(10), d DATE, n DECIMAL(6,2)", "", None),
]
IDS = [
    ("ai", "id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT, v VARCHAR(10)", "DBPARTITION BY MOD_HASH(id)", "id"),
    ("ak", "id BIGINT NOT NULL AUTO_INCREMENT, k INT, v VARCHAR(10), PRIMARY KEY (id)", "DBPARTITION BY MOD_HASH(k)", "k"),
    ("ab", "id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT, v VARCHAR(10)", "BROADCAST", None),
    ("a1", "id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT, v VARCHAR(10)", "", None),
]

COMMA = "FIELDS TERMINATED BY ','"
CSV = "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"
# what the file holds, what stands behind INTO TABLE name
FORMS = [
    (b"", ""),
    (b"1\t2\tab\t2024-01-31\t1.5\n2\t3\tcd\t2023-02-28\t2.25\n", ""),
    (b"1\t2\tab\t2024-01-31\t1.5\n2\t3\tcd\t2023-02-28\t2.25", ""),
    (b"1\t\\N\t\\N\t\\N\t\\N\n2\t5\t\\N\t2024-05-06\t\\N\n", ""),
    (b"1\t2\n2\n\n3\t4\tx\n", ""),
    (b"1\t2\ta\t2024-01-01\t1\tmore\tand more\n2\t3\tb\t2024-01-01\t1\t\n", ""),
    (b"1\t2\ta\\tb\t2024-01-01\t1\n2\t3\ta\\nb\\\\\t2024-01-01\t1\n3\t4\t\\0\\Z\\b\\x\t2024-01-01\t2\n", ""),
    (b"1\t2\ta\\\tb\t2024-01-01\t1\n2\t3\ta\\\nb\t2024-01-01\t1\n", ""),
    (b"1\t7\tdup\t2024-01-01\t1\n1\t8\tdup\t2024-01-01\t1\n2\t9\tx\t2024-01-01\t1\n1\t7\tdup\t2024-01-01\t3\n", ""),
    (b"1\t7\tdup\t2024-01-01\t1\n1\t8\tdup\t2024-01-01\t1\n2\t9\tx\t2024-01-01\t1\n1\t7\tdup\t2024-01-01\t3\n",
     "REPLACE"),
    (b"1\t7\tdup\t2024-01-01\t1\n1\t8\tdup\t2024-01-01\t1\n2\t9\tx\t2024-01-01\t1\n1\t7\tdup\t2024-01-01\t3\n",
     "IGNORE"),
    (b"x\t2\tab\t2024-01-31\t1\n 7\t 8\tab\t2024-01-31\t1\n12x\t12x\tab\t2024-01-31\t1\n1.5\t2.5\tab\t2024-1-1\t1.005\n",
     ""),
    (b"99999999999\t99999999999\tlonger than ten\tnever\t123456\n-99999999999\t-1\tl\xc3\xa4nger als zehn\t2024-02-31\tx\n",
     ""),
    (b"1\t2\t\xc3\xa4\xc3\xb6\t20240131\t1\n2\t3\t\xe2\x82\xac\t240131\t1\n3\t4\t\t0000-00-00\t1\n4\t5\tx\t24/1/9\t\n", ""),
    (b"1,2,ab,2024-01-31,1\r\n2,3,c\rd,2024-01-31,1\r\n", COMMA + " LINES TERMINATED BY '\\r\\n'"),
    (b"1,2,\"a,b\",2024-01-31,1\n\"2\",\"3\",\"c\nd\",\"2024-02-01\",\"1\"\n3,4,\"e\"\"f\",2024-03-01,1\n", CSV),
    (b"1,2,NULL,NULL,NULL\n2,3,\"NULL\",2024-01-01,1\n3,4,\\N,\\N,\\N\n4,5,\"\\N\",\"\\N\",1\n", CSV),
    (b"1,2,a\"b,2024-01-31,1\n2,3,\"a\"b\",2024-01-31,1\n3,4,\"\",2024-01-31,1\n4,5,\"open,2024-01-31,1\n", CSV),
    (b"1,2,NULL,2024-01-31,1\n", COMMA),
    (b"'1','2','a','2024-01-31','1'\n", "FIELDS TERMINATED BY ',' ENCLOSED BY ''''"),
    (b"1,2,\"a\"\"b\\n\",2024-01-31,1\n2,3,\"x\",2024-01-31,\"1\"\n",
     "FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY '\"'"),
    (b"1,2,a\\nb,2024-01-31,1\n2,3,\\N,2024-01-31,1\n", "FIELDS TERMINATED BY ',' ESCAPED BY ''"),
    (b"1,2,a|nb|,c,2024-01-31,1\n2,3,|N,2024-01-31,1\n", "FIELDS TERMINATED BY ',' ESCAPED BY '|'"),
    (b"1<>2<>a<b<>2024-01-31<>1|end\n2<>3<>c|e<>2024-01-31<>1|end\n",
     "FIELDS TERMINATED BY '<>' LINES TERMINATED BY '|end\\n'"),
    (b"junk\nxxx1,2,a,2024-01-31,1\nno xx\nabxxx2,3,b,2024-01-31,1\nxxx", COMMA + " LINES STARTING BY 'xxx'"),
    (b"id,k,v,d,n\n1,2,a,2024-01-31,1\n", COMMA + " IGNORE 1 LINES"),
    (b"a\\\nb\n\"c\nd\"\n1,2,a,2024-01-31,1\n", CSV + " IGNORE 3 ROWS"),
    (b"1,2,a,2024-01-31,1\n", COMMA + " IGNORE 7 LINES"),
    (b"1;2;a;2024-01-31;1;2;3;b;2024-01-31;1;", "FIELDS TERMINATED BY ';' LINES TERMINATED BY ''"),
    (b"1;2;a;2024-01-31;1;2;3;b;2024-01-31;1;", "FIELDS TERMINATED BY ';' LINES TERMINATED BY ';'"),
    (b"1,2,a,2024-01-31,1\n", "COLUMNS TERMINATED BY x'2C'"),
    (b"a,1,2024-01-31\nb,2,2024-02-29\n", COMMA + " (v,id,d)"),
    (b"a,2024-01-31,1\nb,2024-02-29,2\n", COMMA + " (v,d,k)"),
    (b"9,1\n8,2\n", COMMA + " (k,id) SET v = CONCAT('k', k), d = '2020-02-02', n = id + 0.5"),
    (b"1,5,x\n2,6,y\n", COMMA + " (@a,@b,v) SET id = @a, k = @b, d = '2020-01-01'"),
    (b"1,5,x\n2,6,y\n", COMMA + " (@a,@b,@c) SET id = @a, k = @b + 100, v = UPPER(@c), d = DATE_ADD('2020-01-01', INTERVAL @b MONTH)"),
    (b"1,5,x\n2,6,y\n3,\\N,\n", COMMA + " (@a,@b,@c) SET id = @a * 10, k = IF(@b = 5, NULL, @b), v = CONCAT(@c, '\xc3\xa9'), d = NULL"),
    (b"1,5,x\n2,6,y\n", COMMA + " (id,@dummy,v,@dummy) SET k = 8"),
    (b"1,5,x\n2,6,y\n", COMMA + " (id,k,v) SET k = DEFAULT"),
    (b"1,caf\xe9,\x80\n", COMMA + " (id,v,@x)", "latin1"),
    (b"1,caf\xe9,2024-01-31\n2,\x80,2024-01-31\n", COMMA + " (id,v,d)", "latin1"),
    (b"1,caf\xc3\xa9,2024-01-31\n", COMMA + " (id,v,d)", "utf8mb3"),
    (b"1,\xf0\x9f\x98\x80,2024-01-31\n", COMMA + " (id,v,d)", "utf8mb4"),
    (b"1,caf\xc3\xa9,2024-01-31\n", COMMA + " (id,v,d)", "binary"),
    (b"1,7,cp\xe4,2024-01-31\n", COMMA + " (id,k,@v,d)", "cp1251"),
    (b"1\xc2\xa72\xc2\xa7a\xc2\xa72024-01-31\xc2\xa71\n", "FIELDS TERMINATED BY '\xa7'"),
    (b"1,2,a\n", "FIELDS TERMINATED BY ',' ENCLOSED BY 'ab'"),
    (b"1,2,a\n", COMMA + " (id,nothing)"),
    (b"1,2,a\n", COMMA + " (id,k,v) SET nothing = 1"),
    (b"1,2,a\n2,x,b\n3,4,c\n", "REPLACE " + COMMA + " (id,k,v) SET d = '2024-01-01'"),
    (b"1,2,a,2024-01-01,1\n2,3,b,2024-01-01,1\n" * 30, COMMA),
    (b"\n" * 5, ""),
    (b"\t\t\t\t\n" * 3, ""),
    (b"1,2,a,2024-01-31,1\n", "LOW_PRIORITY " + COMMA),
    (b"1,2,a,2024-01-31,1\n", "CONCURRENT " + COMMA),
    # What goes through a temporary table.
    (b"          1          2ab        2024-01-31    1.50\n          2          3c\\n       2023-02-28    2.25\n",
     "FIELDS TERMINATED BY '' ENCLOSED BY ''"),
    (b"          1          2ab        \n          x          3longer than that\n    ",
     "FIELDS TERMINATED BY '' (id,k,v) SET d = '2024-05-06'"),
    (b"          1          2ab        \n          1          3cd        \n", "REPLACE FIELDS TERMINATED BY '' (id,k,v) SET d = '2024-05-06'"),
    ("1,2,中文,2024-01-31,1\n2,3,倈|,2024-01-31,1\n".encode("gbk"), COMMA, "gbk"),
    ("1,2,許功蓋,2024-01-31,1\n2,3,a\\,b,2024-01-31,1\n".encode("big5"), COMMA, "big5"),
    ("1,2,表示,2024-01-31,1\n2,3,ソ,2024-01-31,1\n2,3,dup,2024-01-31,1\n".encode("sjis"), COMMA, "sjis"),
    ("1,2,表示ソ,2024-01-31,1\n".encode("cp932"), "REPLACE " + COMMA, "cp932"),
    ("1,2,é中,2024-01-31,1\n".encode("utf-16-be"), COMMA, "ucs2"),
    ("1,2,é中,2024-01-31,1\n2,x,y\n".encode("utf-16-be"), COMMA, "utf16"),
    ("1,2,é中,2024-01-31,1\n".encode("utf-16-le"), COMMA, "utf16le"),
    ("1,2,é中,2024-01-31,1\n".encode("utf-32-be"), COMMA, "utf32"),
    (b"1,2,a\n2,3,b\n", COMMA + " (id,k,v) SET n = (SELECT COUNT(*) + 1.5 FROM other), d = '2024-01-01'"),
    (b"1,2,a\n2,3,b\n3,8,c\n", COMMA + " (@a,k,v) SET id = @a, n = (SELECT MAX(o.n) FROM other o WHERE o.id = k), d = NULL"),
    (b"1,2,a\n2,3,b\n", COMMA + " (id,k,v) SET k = id * 10, id = k + id, v = CONCAT(v, k), d = '2024-01-01'"),
    (b"1,2,a\n2,3,b\n1,2,c\n", COMMA + " (id,k,v) SET id = id + 1, k = k + id, v = UPPER(v), d = DATE_ADD('2024-01-01', INTERVAL id MONTH)"),
    (b"1,2,a\n2,y,b\n", COMMA + " (id,k,v) SET id = id + 100, id = id + k, d = '2024-01-01'"),
    (b"id,k\n1,2,a\n2,3,b\n", COMMA + " IGNORE 1 LINES (id,k,v) SET id = id + 7, k = id, d = '2024-01-01', v = REPEAT(v, k)"),
]


def statement(path, table, form, charset=None):
    """The statement; words that stand before INTO are in front of the form."""
    words, before, duplicates = form.split(" "), "", ""
    while words[0] in ("REPLACE", "IGNORE", "LOW_PRIORITY", "CONCURRENT") and words[1:2] != ["1"]:
        word = words.pop(0)
        if word in ("REPLACE", "IGNORE"):
            duplicates = word + " "
        else:
            before = word + " "
        if not words:
            break
    charset = f" CHARACTER SET {charset}" if charset else ""
    return f"LOAD DATA {before}LOCAL INFILE '{path}' {duplicates}INTO TABLE {table}{charset} {' '.join(words)}"


class Side:
    """One server with a connection that offers files."""

    def __init__(self, connection):
        self.connection = connection
        self.cursor = connection.cursor()

    def load(self, path, table, form, charset=None):
        """Everything that a client sees of a load."""
        self.cursor.execute("SET @a = 'kept', @b = 1, @c = NULL")
        try:
            affected = self.cursor.execute(statement(path, table, form, charset))
        except pymysql.err.MySQLError as error:
            return ("error", *error.args)
        info, count = self.cursor._result.message, self.cursor._result.warning_count
        self.cursor.execute("SHOW WARNINGS")
        warnings = sorted(self.cursor.fetchall())
        return affected, info, count, warnings, self.all("SELECT HEX(@a), HEX(@b), HEX(@c), HEX(@dummy)")

    def all(self, sql):
        self.cursor.execute(sql)
        return sorted(self.cursor.fetchall(), key=repr)


@pytest.fixture(scope="module")
def sides(demo):
    ends = demo.endpoints["demo"]
    demo.ctl("schemas", "create", ends["instance_id"], SCHEMA, "--mode", "cluster", "--shards", "8")
    plain = Plain()
    try:
        login = (ends["host"], ends["port"], ends["admin_user"], ends["admin_password"])
        ddm = connect(*login, SCHEMA, local_infile=True)
        other = plain.log_in(local_infile=True)
        rows(other, f"CREATE DATABASE {SCHEMA}")
        other.select_db(SCHEMA)
        for side, clause in ((other, ""), (ddm, "DBPARTITION BY MOD_HASH(id)")):
            rows(side, f"CREATE TABLE other (id INT PRIMARY KEY, n DECIMAL(6,2)) {clause}")
            rows(side, "INSERT INTO other VALUES (1, 1), (2, 2.5), (3, 3), (8, 8.25)")
        for name, columns, clause, _ in TABLES + IDS:
            rows(other, f"CREATE TABLE {name} ({columns})")
            rows(ddm, f"CREATE TABLE {name} ({columns}) {clause}")
        yield Side(ddm), Side(other)
    finally:
        plain.stop()


def same_rows(ddm, plain, table, key):
    """Both have the same rows, and each row is where a query by its key looks for it."""
    wanted = plain.all(f"SELECT * FROM {table}")
    assert ddm.all(f"SELECT * FROM {table}") == wanted
    if key:
        for value, count in ddm.all(f"SELECT {key}, COUNT(*) FROM {table} GROUP BY 1"):
            if value is not None:
                ddm.cursor.execute(f"SELECT COUNT(*) FROM {table} WHERE {key} = %s", (value,))
                assert ddm.cursor.fetchall() == ((count,),), f"{key} = {value!r}"


@pytest.mark.parametrize("table,key", [(name, key) for name, _, _, key in TABLES])
def test_forms(sides, tmp_path, table, key):
    ddm, plain = sides
    differences, compared, refused = [], 0, []
    for number, (content, form, *charset) in enumerate(FORMS):
        path = tmp_path / "file"
        path.write_bytes(content)
        for mode in ("STRICT_TRANS_TABLES", ""):
            for side in sides:
                side.cursor.execute(f"SET sql_mode='{mode}'")
                side.cursor.execute(f"DELETE FROM {table}")
            what = (number, table, mode, content[:60], form, *charset)
            for turn in ("first", "again"):
                got, wanted = [side.load(path, table, form, *charset) for side in sides]
                if got[0] == "error" and got[1] == 1235:
                    refused.append((number, got[2]))
                    break
                compared += 1
                if got != wanted:
                    differences.append((what, turn, got, wanted))
            else:
                turn = None
            if turn:
                continue
            try:
                same_rows(ddm, plain, table, key)
            except AssertionError as error:
                differences.append((what, str(error)[:600]))
    for difference in differences:
        print(*difference, sep="\n   ")
    print("refused:", refused)
    assert not differences
    assert compared > 150 and not refused


# what the file holds, what stands behind INTO TABLE name
ID_FORMS = [
    (b"a\nb\nc\n", "(v)"),
    (b"5,a\n6,b\n7,c\n", COMMA + " (k,v)"),
    (b"\\N,1,a\n0,2,b\n,3,c\n 0.0,4,d\n", COMMA),
    (b"\\N,1,a\n500,2,b\n\\N,3,c\n7,4,d\n0,5,e\n", COMMA),
    (b"a,1,x\n-3,2,y\n", COMMA),
    (b"x,1\ny\nz,3,9\n", COMMA + " (v,k,id)"),
    (b"1,a\n2,b\n", COMMA + " (@i,v) SET id = @i * 100"),
    (b"1,a\n2,b\n", COMMA + " (@i,v) SET k = @i * 100"),
    (b"1000,1,x\n1000,2,y\n1001,3,z\n", COMMA),
    (b"1000,1,x\n1000,2,y\n1001,3,z\n", "REPLACE " + COMMA),
    (b"0,1,x\n\\N,2,y\n", COMMA, None, "NO_AUTO_VALUE_ON_ZERO"),
]


@pytest.mark.parametrize("table,key", [(name, key) for name, _, _, key in IDS])
def test_generated_ids(sides, tmp_path, table, key):
    """Ids differ from a plain server's, where they are generated; everything else is the same."""
    ddm, plain = sides
    path = tmp_path / "file"
    for number, (content, form, *more) in enumerate(ID_FORMS):
        if table == "ak" and content.count(b"1000") > 1:
            continue  # a key that lacks the sharding key is unique in each shard
        path.write_bytes(content)
        mode = more[1] if len(more) > 1 else ""
        for side in sides:
            side.cursor.execute(f"SET sql_mode='{mode}'")
            side.cursor.execute(f"TRUNCATE {table}")
        for turn in range(2):
            what = (number, content, form, turn)
            got, wanted = [side.load(path, table, form) for side in sides]
            assert got == wanted, what
            ours, theirs = [side.all(f"SELECT k, v FROM {table}") for side in sides]
            assert len(ours) == len(theirs) and (turn == 1 or ours == theirs), what
            ids = ddm.all(f"SELECT COUNT(id), COUNT(DISTINCT id) FROM {table}")
            assert ids[0][0] == ids[0][1], what
        if key:
            for value, in ddm.all(f"SELECT DISTINCT {key} FROM {table}"):
                if value is not None:
                    ddm.cursor.execute(f"SELECT COUNT(*) > 0 FROM {table} WHERE {key} = %s", (value,))
                    assert ddm.cursor.fetchall() == ((1,),), (what, value)
    path.write_bytes(b"1\n2\n3\n")
    ddm.cursor.execute(statement(path, table, "(k)"))
    ddm.cursor.execute("SELECT LAST_INSERT_ID()")
    first = ddm.cursor.fetchall()[0][0]
    assert (first,) in ddm.all(f"SELECT MIN(id) FROM {table} WHERE k = 1 AND id >= {first}")
    # What comes after is still unique.
    ddm.cursor.execute(f"INSERT INTO {table} (k) VALUES (77), (78)")


def test_copies_are_alike(demo, sides, tmp_path):
    ddm, _ = sides
    path = tmp_path / "file"
    path.write_bytes(b"".join(b"%d\t%d\tv%d\t2024-01-01\t1.25\n" % (n, n * 3, n) for n in range(3000)))
    ddm.cursor.execute("DELETE FROM br")
    ddm.cursor.execute("TRUNCATE ab")
    outcome = ddm.load(path, "br", "")
    assert outcome[:3] == (3000, outcome[1], 0)
    assert ddm.load(path, "ab", "(@x, k, v)")[0] == 3000
    copies = set()
    for node in demo.endpoints["data_nodes"]:
        direct = connect(node["host"], node["port"], node["admin_user"], node["admin_password"])
        for name, in rows(direct, f"SHOW DATABASES LIKE '{SCHEMA}%'"):
            copies.add((rows(direct, f"CHECKSUM TABLE {name}.br")[0][1], rows(direct, f"CHECKSUM TABLE {name}.ab")[0][1]))
    assert len(copies) == 1


def test_refusals(demo, sides, tmp_path):
    ddm, plain = sides
    path = tmp_path / "file"
    path.write_bytes(b"1\t2\n")
    for sql in (f"LOAD DATA INFILE '{path}' INTO TABLE si", f"LOAD XML INFILE '{path}' INTO TABLE si"):
        with pytest.raises(pymysql.err.MySQLError) as caught:
            ddm.cursor.execute(sql)
        assert caught.value.args[0] == 1045 and "Access denied for user" in caught.value.args[1]
    ends = demo.endpoints["demo"]
    silent = connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], SCHEMA)
    with pytest.raises(pymysql.err.MySQLError) as caught:
        silent.cursor().execute(statement(path, "si", ""))
    assert caught.value.args[0] == 4166
    assert rows(silent, "SELECT 1") == [(1,)]
    # An error that is known late: the file is taken to its end, and the session goes on.
    path.write_bytes(b"1\tx\n" * 300_000)
    ddm.cursor.execute("SET sql_mode='STRICT_TRANS_TABLES'")
    for table in ("si", "br", "si1", "sk"):
        ddm.cursor.execute(f"DELETE FROM {table}")
        assert ddm.load(path, table, "REPLACE (id,k)")[:2] == ("error", 1366)
        assert ddm.all(f"SELECT COUNT(*) FROM {table}") == [(0,)]


def test_transactions(sides, tmp_path):
    ddm, _ = sides
    path = tmp_path / "file"
    path.write_bytes(b"".join(b"%d\t%d\n" % (n, n) for n in range(100)))
    ddm.cursor.execute("SET sql_mode='STRICT_TRANS_TABLES'")
    for table in ("si", "sk", "br", "si1"):
        ddm.cursor.execute(f"DELETE FROM {table}")
        ddm.cursor.execute("BEGIN")
        ddm.cursor.execute(f"INSERT INTO {table} (id, k) VALUES (1000, 1)")
        assert ddm.load(path, table, "(id,k)")[0] == 100
        # A load that fails takes only itself back.
        bad = tmp_path / "bad"
        bad.write_bytes(b"".join(b"%d\t%d\n" % (n, n) for n in range(200, 5000)) + b"6000\tx\n")
        assert ddm.load(bad, table, "REPLACE (id,k)")[:2] == ("error", 1366)
        assert ddm.all(f"SELECT COUNT(*) FROM {table}") == [(101,)]
        ddm.cursor.execute("ROLLBACK")
        assert ddm.all(f"SELECT COUNT(*) FROM {table}") == [(0,)]
        ddm.cursor.execute("BEGIN")
        assert ddm.load(path, table, "(id,k)")[0] == 100
        ddm.cursor.execute("COMMIT")
        assert ddm.all(f"SELECT COUNT(*), SUM(k) FROM {table}") == [(100, 4950)]
        ddm.cursor.execute(f"DELETE FROM {table}")


def read_packet(stream):
    head = stream.recv(4, socket.MSG_WAITALL)
    length, = struct.unpack("<I", head[:3] + b"\0")
    return head[3], stream.recv(length, socket.MSG_WAITALL)


def test_a_client_that_dies_leaves_nothing(demo, sides, tmp_path):
    """The client goes away in the middle of its file: no row of it stays."""
    ddm, _ = sides
    ends = demo.endpoints["demo"]
    for table in ("si", "br", "si1"):
        ddm.cursor.execute(f"DELETE FROM {table}")
        client = connect(ends["host"], ends["port"], ends["admin_user"], ends["admin_password"], SCHEMA, local_infile=True,
                         ssl_disabled=True)
        stream = client._sock
        sql = statement("x", table, "(id,k)").encode()
        stream.sendall(struct.pack("<I", len(sql) + 1)[:3] + b"\0\x03" + sql)
        sequence, asked = read_packet(stream)
        assert asked == b"\xfbx"
        for part in range(60):
            piece = b"".join(b"%d\t1\n" % n for n in range(part * 2000, part * 2000 + 2000))
            sequence = (sequence + 1) % 256
            stream.sendall(struct.pack("<I", len(piece))[:3] + bytes([sequence]) + piece)
        time.sleep(0.5)
        stream.close()
        # Whoever inserts the same key waits until the dead client's transaction is gone.
        ddm.cursor.execute(f"INSERT INTO {table} (id, k) VALUES (1, 5) ON DUPLICATE KEY UPDATE k = 6")
        assert ddm.all(f"SELECT COUNT(*), SUM(k) FROM {table}") == [(1, 5)]
        ddm.cursor.execute(f"DELETE FROM {table}")


def resident(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    return 0


def test_a_large_file(demo, sides, tmp_path):
    """200,000 rows: all there, the node's memory bounded, the rate told."""
    ddm, plain = sides
    path = tmp_path / "file"
    with path.open("wb") as file:
        for n in range(200_000):
            file.write(b"%d\t%d\tv%d\t2024-01-%02d\t%d.5\n" % (n, n % 1000, n % 777, n % 28 + 1, n % 900))
    nodes = demo.children("node.toml")
    before = max(resident(pid) for pid in nodes)
    rates = {}
    for name, side in (("ddm", ddm), ("plain", plain)):
        side.cursor.execute("DELETE FROM si")
        started = time.monotonic()
        outcome = side.load(path, "si", "")
        rates[name] = 200_000 / (time.monotonic() - started)
        assert outcome[1].endswith(b"Records: 200000  Deleted: 0  Skipped: 0  Warnings: 0")
    after = max(resident(pid) for pid in nodes)
    print(f"rows a second: {rates['ddm']:.0f} through DDM, {rates['plain']:.0f} on a plain server; "
          f"node's memory {before} MiB before, {after} MiB at most")
    sums = "SELECT COUNT(*), SUM(id), SUM(k), SUM(n), MIN(d), MAX(v) FROM si"
    assert ddm.all(sums) == plain.all(sums)
    assert after - before < 100
    # One record of a million bytes among small ones.
    wide = tmp_path / "wide"
    wide.write_bytes(b"1\tx\n2\t" + b"y" * 1_000_000 + b"\n3\tz\n")
    for side in sides:
        side.cursor.execute("DELETE FROM si")
    got, wanted = [side.load(wide, "si", "(id,v)") for side in sides]
    assert got == wanted
