"""What clients agree on at the login: compression, and results without EOF packets."""

import os
import socket
import struct
import subprocess
import zlib

import pytest
from shop import Shop
from system import rows

DEPRECATE_EOF, COMPRESS, PROTOCOL_41, SECURE, PLUGIN, WITH_DB = 1 << 24, 1 << 5, 1 << 9, 1 << 15, 1 << 19, 1 << 3


@pytest.fixture(scope="module")
def shop():
    with Shop() as shop:
        session = shop.log_in()
        rows(session, "CREATE TABLE texts (id INT NOT NULL PRIMARY KEY, body LONGTEXT) DBPARTITION BY MOD_HASH(id)")
        yield shop


def client(shop, statement, *options):
    """What the server's own command line client prints."""
    ends = shop.ends
    done = subprocess.run(
        ["mariadb", "--no-defaults", "-h", ends["host"], "-P", str(ends["port"]), "-u", ends["user"], "-N", "-B",
         "--local-infile=1", "--max-allowed-packet=64M", *options, ends["schema"]],
        input=statement, capture_output=True, text=True, timeout=120, env={**os.environ, "MYSQL_PWD": ends["password"]})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_of_the_server_compresses(shop, tmp_path):
    text = "".join(f"{number * number:x} " for number in range(400_000))
    assert client(shop, f"REPLACE INTO texts VALUES (1, '{text}'), (2, 'short')", "--compress") == ""
    assert client(shop, "SELECT body FROM texts ORDER BY id", "--compress") == f"{text}\nshort\n"
    file = tmp_path / "texts"
    file.write_text("".join(f"{number}\tbody {number} {'x' * (number % 700)}\n" for number in range(10, 3000)))
    client(shop, f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE texts", "--compress")
    counted = "SELECT COUNT(*), SUM(LENGTH(body)) FROM texts WHERE id >= 10"
    assert client(shop, counted, "--compress") == client(shop, counted)


class Raw:
    """A client that shows packets as they come."""

    def __init__(self, shop, capabilities):
        ends = shop.ends
        self.compressed = bool(capabilities & COMPRESS)
        self.folded = False
        self.socket = socket.create_connection((ends["host"], ends["port"]), timeout=30)
        self.inbox = b""
        greeting = self.packet()
        version_end = greeting.index(b"\0", 1)
        self.offered = struct.unpack_from("<H", greeting, version_end + 14)[0]
        self.offered |= struct.unpack_from("<H", greeting, version_end + 19)[0] << 16
        nonce = greeting[version_end + 5:version_end + 13] + greeting[version_end + 32:version_end + 44]
        flags = PROTOCOL_41 | SECURE | PLUGIN | WITH_DB | capabilities
        proof = self.proof(ends["password"], nonce)
        self.send(struct.pack("<IIB23x", flags, 1 << 24, 45) + ends["user"].encode() + b"\0" + bytes([len(proof)]) + proof
                  + ends["schema"].encode() + b"\0mysql_native_password\0", 1)
        assert self.packet()[0] == 0
        self.folded = self.compressed

    @staticmethod
    def proof(password, nonce):
        from hashlib import sha1
        once = sha1(password.encode()).digest()
        mask = sha1(nonce + sha1(once).digest()).digest()
        return bytes(a ^ b for a, b in zip(once, mask))

    def send(self, payload, sequence=0):
        frame = struct.pack("<I", len(payload) | sequence << 24) + payload
        if self.folded:
            packed = zlib.compress(frame)
            frame = struct.pack("<I", len(packed))[:3] + b"\0" + struct.pack("<I", len(frame))[:3] + packed
        self.socket.sendall(frame)

    def read(self, count):
        while len(self.inbox) < count:
            if self.folded:
                self.inbox += self.unfold()
                continue
            piece = self.socket.recv(65536)
            assert piece, "the server closed the connection"
            self.inbox += piece
        taken, self.inbox = self.inbox[:count], self.inbox[count:]
        return taken

    def unfold(self):
        packed = b""
        while len(packed) < 7 or len(packed) < 7 + int.from_bytes(packed[:3], "little"):
            wanted = 7 if len(packed) < 7 else 7 + int.from_bytes(packed[:3], "little")
            piece = self.socket.recv(wanted - len(packed))
            assert piece, "the server closed the connection"
            packed += piece
        return zlib.decompress(packed[7:]) if any(packed[4:7]) else packed[7:]

    def packet(self):
        head = self.read(4)
        return self.read(int.from_bytes(head[:3], "little"))

    def query(self, text):
        self.send(b"\x03" + text)


@pytest.mark.parametrize("compress", [0, COMPRESS])
@pytest.mark.parametrize("text", [b"SELECT 7", b"SELECT id FROM texts WHERE id = 1", b"SELECT COUNT(*) FROM texts", b"SHOW DATABASES"])
def test_results_have_no_eof_for_clients_that_want_none(shop, text, compress):
    rows(shop.log_in(), "REPLACE INTO texts VALUES (1, 'one')")
    session = Raw(shop, DEPRECATE_EOF | compress)
    assert session.offered & DEPRECATE_EOF
    for _ in range(2):
        session.query(text)
        assert session.packet() == b"\x01"
        assert session.packet()[:4] == b"\x03def"
        kinds = []
        while not kinds or kinds[-1][0] != 0xFE:
            kinds.append(session.packet())
        end = kinds.pop()
        assert kinds and all(kind[0] != 0xFE for kind in kinds), "rows follow the columns at once"
        assert end[:3] == b"\xfe\x00\x00" and len(end) == 7, "an OK packet ends them"
    old = Raw(shop, compress)
    old.query(text)
    assert old.packet() == b"\x01"
    old.packet()
    assert len(old.packet()) == 5, "an EOF packet follows the columns"


def test_a_prepared_statement_has_no_eof_either(shop):
    session = Raw(shop, DEPRECATE_EOF)
    session.send(b"\x16SELECT id FROM texts WHERE id = ? AND body = ?")
    assert session.packet()[0] == 0
    assert [session.packet()[:4] for _ in range(3)] == [b"\x03def"] * 3
    session.send(b"\x0e")
    assert session.packet()[0] == 0
