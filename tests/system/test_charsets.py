"""Clients whose character set is not UTF-8: what they write is found by any other client, and what they are answered is, byte
for byte, what a plain server answers."""

import struct

import pytest
from raw import Raw
from sides import answer, ask, execute, lenenc, prepare, told

# Character set, Python's name of it, words whose bytes matter: in gbk, big5 and sjis some end in a backslash.
CHARSETS = [
    ("utf8mb4", "utf-8", ["été", "плохо", "漢字", "😀"]), ("utf8mb3", "utf-8", ["été", "плохо", "漢字"]),
    ("latin1", "cp1252", ["été", "Grüße", "€uro", "it's \\ ñ"]), ("latin2", "iso8859-2", ["žluťoučký", "Łódź"]),
    ("cp1250", "cp1250", ["žluťoučký", "Łódź"]), ("cp1251", "cp1251", ["плохо", "Ёжик"]), ("koi8r", "koi8-r", ["плохо", "Ёжик"]),
    ("gbk", "gbk", ["漢字", "誠", "許功蓋", "乗乘"]), ("big5", "big5", ["漢字", "許功蓋"]), ("sjis", "shift_jis", ["漢字", "ソ表十"]),
    ("ujis", "euc-jp", ["漢字", "ソ表十"]), ("euckr", "euc-kr", ["한국"]), ("cp850", "cp850", ["été", "Grüße"]),
]
KINDS = ["DBPARTITION BY HASH(k)", ""]


def make(sides, kind):
    for ends, suffix in zip(sides, ["", kind]):
        session = Raw(ends)
        ask(session, "DROP TABLE IF EXISTS c")
        text = "CREATE TABLE c (k VARCHAR(60) NOT NULL PRIMARY KEY, v VARCHAR(60), b VARBINARY(60)) CHARACTER SET utf8mb4"
        made = ask(session, f"{text} COLLATE utf8mb4_bin {suffix}")
        assert made[0][0] == 0, made


def quoted(word, encoding):
    """A literal as a driver for this character set makes it: it knows which bytes are a quote."""
    return "'".encode() + word.replace("\\", "\\\\").replace("'", "''").encode(encoding) + b"'"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("charset, encoding, words", CHARSETS)
def test_each_character_set(sides, kind, charset, encoding, words):
    make(sides, kind)
    seen = []
    for ends in sides:
        session, other = Raw(ends), Raw(ends)
        got = [ask(session, f"SET NAMES {charset}")]
        for word in words:
            text = quoted(word, encoding)
            got.append(ask(session, b"INSERT INTO c VALUES (" + text + b", " + text + b", " + text + b")"))
            got.append(ask(session, b"SELECT v, k AS " + b"`" + word.replace("\\", "").encode(encoding) + b"` FROM c WHERE k = " + text))
            got.append(ask(other, b"SELECT v, b FROM c WHERE k = " + quoted(word, "utf-8")))
            got.append(ask(session, b"SELECT HEX(" + text + b"), CHARSET(" + text + b"), COLLATION(" + text + b"), LENGTH(" + text + b")"))
            got.append(ask(session, b"UPDATE c SET v = CONCAT(v, " + text + b") WHERE k = " + text))
        got.append(ask(session, "SELECT k, v FROM c ORDER BY k"))
        got.append(ask(session, "SELECT k, COUNT(*) FROM c GROUP BY k ORDER BY k"))
        # A join over temporary tables may say of a column that it has a key there.
        got.append(ask(session, "SELECT a.k, b.v FROM c a JOIN c b ON a.v = b.v ORDER BY a.k")[4:])
        got.append(ask(session, b"SELECT k FROM c WHERE k IN (" + b", ".join(quoted(word, encoding) for word in words) + b") ORDER BY k"))
        number, _ = prepare(session, b"SELECT k, v FROM c WHERE k = ?")
        add, _ = prepare(session, b"INSERT INTO c (k, v) VALUES (CONCAT('p', ?), ?)")
        for word in words:
            param = lenenc(word.encode(encoding))
            got.append(execute(session, number, b"\0\1\xfd\0" + param))
            got.append(execute(session, add, b"\0\1\xfd\0\xfd\0" + param + param))
            got.append(ask(other, b"SELECT v FROM c WHERE k = " + quoted("p" + word, "utf-8")))
        got.append(ask(session, "SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection"))
        got.append(ask(session, "SHOW VARIABLES LIKE 'character_set_client'"))
        got.append(ask(session, b"SET @x = " + quoted(words[0], encoding)))
        got.append(ask(session, b"SELECT @x, HEX(@x), CHARSET(@x)"))
        got.append(ask(session, b"SELECT nosuch FROM c WHERE k = " + quoted(words[0], encoding)))
        got.append(ask(session, b"INSERT INTO c (k) VALUES (" + quoted(words[0], encoding) + b")"))
        got.append(ask(session, b"SELECT _" + charset.encode() + quoted(words[0], encoding) + b" AS a, HEX(_binary" + quoted(words[0], encoding) + b") AS b"))
        got.append(ask(session, "INSERT INTO c SELECT CONCAT('s', k), v, b FROM c"))
        got.append(ask(session, b"PREPARE s FROM 'INSERT INTO c (k, v) VALUES (CONCAT(?, 1), ?)'"))
        got.append(ask(session, b"EXECUTE s USING " + quoted(words[0], encoding) + b", CONCAT(" + quoted(words[0], encoding) + b", 2)"))
        got.append(ask(other, "SELECT HEX(k), HEX(v), HEX(b) FROM c ORDER BY k"))
        seen.append([told(one) for one in got])
    for number, (plain, ddm) in enumerate(zip(*seen)):
        assert ddm == plain, number


@pytest.mark.parametrize("collation", [8, 48, 47, 28, 87, 51, 33, 83, 45, 46, 224, 63, 1, 13, 35, 54, 11])
def test_the_collation_of_a_login(sides, collation):
    seen = []
    for ends in sides:
        try:
            session = Raw(ends, collation=collation)
        except AssertionError as refused:
            seen.append(refused.args[0])
            continue
        got = ask(session, "SELECT @@character_set_client, @@character_set_results, @@character_set_connection, HEX('\\\\')")
        seen.append(told(got)[-2])
    assert seen[1] == seen[0]


@pytest.mark.parametrize("text", [
    "SET NAMES latin1", "SET NAMES latin1 COLLATE latin1_bin", "SET CHARACTER SET cp1251", "SET CHARACTER SET DEFAULT", "SET character_set_client = gbk",
    "SET character_set_results = NULL", "SET character_set_results = latin1", "SET NAMES ucs2", "SET character_set_client = utf16", "SET NAMES nosuch",
    "SET CHARACTER SET nosuch", "SET NAMES binary", "SET NAMES utf8mb4 COLLATE latin1_bin", "SET character_set_connection = ucs2",
    "SET collation_connection = latin1_bin", "SET NAMES gbk, character_set_results = utf8mb4",
])
def test_ways_to_set_character_sets(sides, text):
    shown = "SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection"
    seen = []
    for ends in sides:
        session = Raw(ends)
        got = [ask(session, "SET NAMES latin2"), ask(session, text), ask(session, shown), ask(session, b"SELECT 'a\xb3\xcb' AS a, HEX('\xb3\xcb')")[-2:]]
        seen.append([told(one) for one in got])
    assert seen[1] == seen[0]


def test_another_user_brings_another_character_set(sides):
    seen = []
    for ends in sides:
        session = Raw(ends)
        ask(session, "SET NAMES gbk")
        session.send(b"\x11" + ends["user"].encode() + b"\0\0" + ends["schema"].encode() + b"\0" + struct.pack("<H", 8) + b"dialog\0")
        switch = session.packet()
        if switch[0] == 0xFE and switch != b"\xfe":
            nonce = switch[1:].split(b"\0", 1)[1].rstrip(b"\0")
            session.send(Raw.proof(ends["password"], nonce), 2)
            switch = session.packet()
        assert switch[0] == 0, switch
        seen.append([told(ask(session, b"SELECT HEX('\xe9'), '\xe9'")), told(ask(session, "SELECT @@character_set_client"))])
    assert seen[1] == seen[0]


@pytest.mark.parametrize("charset", ["latin1", "gbk"])
def test_a_file_is_of_the_character_set_that_it_says(sides, charset):
    make(sides, KINDS[0])
    word = "漢字許" if charset == "gbk" else "été"
    seen = []
    for ends in sides:
        session, other = Raw(ends, 128), Raw(ends)
        ask(session, f"SET NAMES {charset}")
        session.query(f"LOAD DATA LOCAL INFILE 'x' INTO TABLE c CHARACTER SET {charset} (k, v)".encode())
        assert session.packet()[0] == 0xFB
        session.send(word.encode(charset) + b"\t1\n" + b"plain\t2\n", 2)
        session.send(b"", 3)
        got = [answer(session), ask(other, f"SELECT k, v FROM c WHERE k = '{word}'"), ask(session, "SELECT k, v FROM c ORDER BY v")]
        got.append(ask(session, b"SELECT v FROM c WHERE k = '" + word.encode(charset) + b"'"))
        seen.append([told(one) for one in got])
    assert seen[1] == seen[0]
