"""A plain server and DDM beside each other, and what the byte-level client sends both of them."""

import struct
from contextlib import contextmanager

from plain import Plain
from raw import DEPRECATE_EOF
from shop import Shop
from system import rows

# How a server found its rows is its own affair.
INDEX_FLAGS = 16 | 32


@contextmanager
def two_sides():
    """The ends of a plain server and of DDM, both with an empty schema of the same name."""
    plain = Plain()
    try:
        with Shop() as shop:
            rows(plain.log_in(), f"CREATE DATABASE {shop.ends['schema']} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
            ends = {"host": plain.host, "port": plain.port, "user": "tester", "password": "", "schema": shop.ends["schema"]}
            yield ends, shop.ends
    finally:
        plain.stop()


def lenenc(text):
    if len(text) < 251:
        return bytes([len(text)]) + text
    if len(text) < 1 << 16:
        return b"\xfc" + struct.pack("<H", len(text)) + text
    return b"\xfd" + struct.pack("<I", len(text))[:3] + text


def answer(session):
    """The packets of one result, up to its end."""
    seen = [session.packet()]
    if seen[0][0] in (0, 0xFF):
        return seen
    ends = 1 if session.flags & DEPRECATE_EOF else 2
    while ends:
        seen.append(session.packet())
        if seen[-1][0] == 0xFF:
            break
        ends -= seen[-1][0] == 0xFE and len(seen[-1]) < 9
    return seen


def ask(session, text):
    session.query(text if isinstance(text, bytes) else text.encode())
    return answer(session)


def prepare(session, text):
    """The statement's number, and the packets behind the first."""
    session.send(b"\x16" + text)
    made = session.packet()
    assert made[0] == 0, made
    columns, params = struct.unpack_from("<HH", made, 5)
    count = sum(many + (many > 0 and not session.flags & DEPRECATE_EOF) for many in (params, columns))
    return made[1:5], [session.packet() for _ in range(count)]


def execute(session, number, params=b"", flags=0):
    session.send(b"\x17" + number + bytes([flags]) + struct.pack("<I", 1) + params)
    return answer(session)


def told(packets):
    """Packets as both must send them: an end without what it says of indexes, an error without its text."""
    is_ok = len(packets) == 1

    def kept(packet):
        if packet[0] == 0xFF:
            return packet[:9]
        if packet[0] == 0 and len(packet) >= 7 and packet[1] < 251 and packet[2] < 251 and is_ok:
            return packet[:3] + bytes([packet[3] & ~INDEX_FLAGS]) + packet[4:]
        if packet[0] == 0xFE and len(packet) < 9:
            return packet[:3] + bytes([packet[3] & ~INDEX_FLAGS]) + packet[4:]
        return packet
    return [kept(packet) for packet in packets]
