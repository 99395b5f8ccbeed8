"""Prepared statements of the binary protocol over a PyMySQL connection, which has none of its own: whole numbers and
texts as parameters, whole numbers, texts and NULL in rows."""

import struct

PREPARE, EXECUTE = 0x16, 0x17
MORE_RESULTS = 0x08
LENGTHS = {1: "<b", 2: "<h", 3: "<i", 8: "<q"}


class Prepared:
    """One prepared statement."""

    def __init__(self, connection, sql):
        self.connection = connection
        connection._execute_command(PREPARE, sql)
        head = connection._read_packet().get_all_data()
        self.id, self.columns, self.params = struct.unpack("<IHH", head[1:9])
        for count in (self.params, self.columns):
            for _ in range(count + 1 if count else 0):
                connection._read_packet()

    def execute(self, *values):
        """The rows, or the number of affected rows."""
        return self.execute_all(*values)[0]

    def execute_all(self, *values):
        """All results: of a procedure there may be several."""
        body = struct.pack("<IBI", self.id, 0, 1)
        if values:
            nulls = bytearray((len(values) + 7) // 8)
            types, packed = b"", b""
            for at, value in enumerate(values):
                if value is None:
                    nulls[at // 8] |= 1 << at % 8
                    types += b"\x06\x00"
                elif isinstance(value, int):
                    types, packed = types + b"\x08\x00", packed + struct.pack("<q", value)
                else:
                    data = str(value).encode()
                    assert len(data) < 251
                    types, packed = types + b"\xfd\x00", packed + bytes([len(data)]) + data
            body += bytes(nulls) + b"\x01" + types + packed
        self.connection._execute_command(EXECUTE, body)
        results, more = [], True
        while more:
            result, more = self._result()
            results.append(result)
        return results

    def _result(self):
        """One result, and whether another follows."""
        connection = self.connection
        packet = connection._read_packet()
        if packet.is_ok_packet():
            packet.read_uint8()
            affected = packet.read_length_encoded_integer()
            packet.read_length_encoded_integer()
            return affected, bool(packet.read_uint16() & MORE_RESULTS)
        types = []
        for _ in range(packet.read_length_encoded_integer()):
            column = connection._read_packet()
            for _ in range(6):
                column.read_length_coded_string()
            column.advance(1 + 2 + 4)
            types.append(column.read_uint8())
        connection._read_packet()
        rows = []
        while True:
            packet = connection._read_packet()
            if packet.is_eof_packet():
                packet.advance(3)
                return rows, bool(packet.read_uint16() & MORE_RESULTS)
            rows.append(self._row(packet, types))

    @staticmethod
    def _row(packet, types):
        packet.advance(1)
        nulls = packet.read((len(types) + 9) // 8)
        row = []
        for at, kind in enumerate(types):
            bit = at + 2
            if nulls[bit // 8] >> bit % 8 & 1:
                row.append(None)
            elif kind in LENGTHS:
                form = LENGTHS[kind]
                row.append(struct.unpack(form, packet.read(struct.calcsize(form)))[0])
            else:
                row.append(packet.read_length_coded_string().decode())
        return tuple(row)
