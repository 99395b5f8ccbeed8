"""A client of the wire protocol itself, for what drivers hide."""

import socket
import struct
import zlib
from hashlib import sha1

DEPRECATE_EOF, COMPRESS, PROTOCOL_41, SECURE, PLUGIN, WITH_DB = 1 << 24, 1 << 5, 1 << 9, 1 << 15, 1 << 19, 1 << 3
LONG_PASSWORD, CONNECT_ATTRS, SESSION_TRACK, QUERY_ATTRIBUTES = 1, 1 << 20, 1 << 23, 1 << 27
PROGRESS, BULK, EXTENDED_METADATA, CACHE_METADATA = 1, 1 << 2, 1 << 3, 1 << 4


class Raw:
    """A client that shows packets as they come. `ends` has host, port, user, password and schema; `extended` are MariaDB's
    own capabilities, `tail` is what follows the plugin's name in the answer to the greeting."""

    def __init__(self, ends, capabilities=0, extended=0, collation=45, tail=b""):
        self.flags = capabilities
        self.compressed = bool(capabilities & COMPRESS)
        self.folded = False
        self.socket = socket.create_connection((ends["host"], ends["port"]), timeout=30)
        self.inbox = b""
        greeting = self.packet()
        version_end = greeting.index(b"\0", 1)
        self.offered = struct.unpack_from("<H", greeting, version_end + 14)[0]
        self.offered |= struct.unpack_from("<H", greeting, version_end + 19)[0] << 16
        own = not self.offered & LONG_PASSWORD
        self.offered_extended = struct.unpack_from("<I", greeting, version_end + 28)[0] if own else 0
        nonce = self.nonce = greeting[version_end + 5:version_end + 13] + greeting[version_end + 32:version_end + 44]
        flags = PROTOCOL_41 | SECURE | PLUGIN | WITH_DB | capabilities
        proof = self.proof(ends["password"], nonce)
        self.send(struct.pack("<IIB19xI", flags, 1 << 24, collation, extended) + ends["user"].encode() + b"\0" + bytes([len(proof)]) + proof
                  + ends["schema"].encode() + b"\0mysql_native_password\0" + tail, 1)
        self.welcome = self.packet()
        assert self.welcome[0] == 0, self.welcome
        self.folded = self.compressed

    @staticmethod
    def proof(password, nonce):
        if not password:
            return b""
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
