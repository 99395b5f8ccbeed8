"""Query attributes, which clients of MySQL 8 send beside a statement: what is behind them runs as if they were not there."""

import struct

import pytest
from raw import CONNECT_ATTRS, QUERY_ATTRIBUTES, Raw
from sides import answer, ask, lenenc, prepare
from shop import Shop

COUNT = 8
NAMED = b"\x02\x01\x02\x01\x03\x00\x01a\xfd\x00\x01b\x07\x00\x00\x00"
STRING, LONG = b"\xfd\0", b"\x03\0"


@pytest.fixture(scope="module")
def ends():
    with Shop() as shop:
        session = Raw(shop.ends)
        assert ask(session, "CREATE TABLE q (id INT NOT NULL PRIMARY KEY, a VARCHAR(20)) DBPARTITION BY MOD_HASH(id)")[0][0] == 0
        assert ask(session, "INSERT INTO q VALUES (1, 'one'), (2, 'two')")[0][0] == 0
        yield shop.ends


@pytest.mark.parametrize("attributes", [b"\x00\x01", NAMED, b"\x01\x01\x01\x01\xfd\x00\x00"])
def test_a_text_stands_behind_its_attributes(ends, attributes):
    session = Raw(ends, QUERY_ATTRIBUTES)
    assert session.offered & QUERY_ATTRIBUTES
    for text in (b"SELECT a FROM q WHERE id = 2", b"SELECT a FROM q WHERE id > 1 ORDER BY id"):
        session.send(b"\x03" + attributes + text)
        assert answer(session)[-2] == b"\x03two"
    session.send(b"\x03" + attributes + b"SET @x = 1")
    assert answer(session)[0][0] == 0


def test_attributes_that_are_cut_are_refused(ends):
    session = Raw(ends, QUERY_ATTRIBUTES)
    for body in (b"\x02\x01\x00\x01\x03\x00\x01a", b"", b"\x01\x02SELECT 1"):
        session.send(b"\x03" + body)
        assert session.packet()[1:3] == struct.pack("<H", 1835)
    session.send(b"\x03\x00\x01SELECT 1")
    assert answer(session)[-2] == b"\x011"


def test_parameters_stand_before_attributes(ends):
    session = Raw(ends, QUERY_ATTRIBUTES)
    number, _ = prepare(session, b"SELECT a FROM q WHERE id = ?")
    two = struct.pack("<i", 2)
    bodies = [
        (COUNT, b"\x01" + b"\0\1" + LONG + lenenc(b"") + two),
        (COUNT, b"\x01" + b"\0\0" + two),
        (COUNT, b"\x03" + b"\x02\1" + LONG + lenenc(b"") + STRING + lenenc(b"x") + STRING + lenenc(b"y") + two + lenenc(b"value")),
        # As mysql-connector-python sends it: the number stands there without the flag.
        (0, b"\x01" + b"\0\1" + LONG + lenenc(b"") + two),
    ]
    for flags, body in bodies:
        session.send(b"\x17" + number + bytes([flags]) + struct.pack("<I", 1) + body)
        assert answer(session)[-2] == b"\0\0\x03two", body
    every, _ = prepare(session, b"SELECT COUNT(*) FROM q")
    session.send(b"\x17" + every + bytes([COUNT]) + struct.pack("<I", 1) + b"\x01" + b"\0\1" + STRING + lenenc(b"x") + lenenc(b"value"))
    assert answer(session)[-2] == b"\0\0" + struct.pack("<q", 2)
    session.send(b"\x17" + number + bytes([COUNT]) + struct.pack("<I", 1) + b"\x00")
    assert session.packet()[0] == 0xFF


@pytest.mark.parametrize("attributes", [
    {b"_client_name": b"test", b"program_name": b"x" * 300}, {b"a" * 100: b"b" * 4000 for _ in range(1)}, {},
])
def test_connection_attributes_are_read(ends, attributes):
    packed = b"".join(lenenc(name) + lenenc(value) for name, value in attributes.items())
    session = Raw(ends, CONNECT_ATTRS, tail=lenenc(packed))
    assert ask(session, "SELECT 1")[-2] == b"\x011"


def test_too_many_connection_attributes_are_refused(ends):
    packed = b"".join(lenenc(str(number).encode()) + lenenc(b"x" * 1000) for number in range(100))
    with pytest.raises((AssertionError, ConnectionError)):
        Raw(ends, CONNECT_ATTRS, tail=lenenc(packed))
    assert ask(Raw(ends), "SELECT 1")[-2] == b"\x011"
