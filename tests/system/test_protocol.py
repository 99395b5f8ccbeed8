"""What clients agree on at the login: compression, and results without EOF packets."""

import os
import subprocess

import pytest
from raw import COMPRESS, DEPRECATE_EOF, Raw
from shop import Shop
from system import rows


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


@pytest.mark.parametrize("compress", [0, COMPRESS])
@pytest.mark.parametrize("text", [b"SELECT 7", b"SELECT id FROM texts WHERE id = 1", b"SELECT COUNT(*) FROM texts", b"SHOW DATABASES"])
def test_results_have_no_eof_for_clients_that_want_none(shop, text, compress):
    rows(shop.log_in(), "REPLACE INTO texts VALUES (1, 'one')")
    session = Raw(shop.ends, DEPRECATE_EOF | compress)
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
    old = Raw(shop.ends, compress)
    old.query(text)
    assert old.packet() == b"\x01"
    old.packet()
    assert len(old.packet()) == 5, "an EOF packet follows the columns"


def test_a_prepared_statement_has_no_eof_either(shop):
    session = Raw(shop.ends, DEPRECATE_EOF)
    session.send(b"\x16SELECT id FROM texts WHERE id = ? AND body = ?")
    assert session.packet()[0] == 0
    assert [session.packet()[:4] for _ in range(3)] == [b"\x03def"] * 3
    session.send(b"\x0e")
    assert session.packet()[0] == 0
