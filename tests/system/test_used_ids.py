"""Generated ids and rows that have one of them already: given by hand at one node while another node holds the block
in which it lies. No statement overwrites, changes or loses a row for it."""

import pytest
from system import rows

TABLES = {
    "sharded": "DBPARTITION BY MOD_HASH(id)",
    "copied": "BROADCAST",
}
FORMS = [
    "INSERT INTO {0} (v) VALUES ('made')",
    "INSERT INTO {0} (v) VALUES ('made'), ('made'), ('made')",
    "REPLACE INTO {0} (v) VALUES ('made')",
    "REPLACE INTO {0} (v) VALUES ('made'), ('made'), ('made')",
    "INSERT IGNORE INTO {0} (v) VALUES ('made')",
    "INSERT IGNORE INTO {0} (id, v) VALUES (NULL, 'made'), (0, 'made'), (DEFAULT, 'made')",
    "INSERT INTO {0} (v) VALUES ('made') ON DUPLICATE KEY UPDATE v = 'changed'",
    "INSERT INTO {0} (v) VALUES ('made'), ('made') ON DUPLICATE KEY UPDATE v = 'changed'",
    "REPLACE INTO {0} (v) SELECT 'made' UNION ALL SELECT 'made'",
    "INSERT IGNORE INTO {0} (v) SELECT 'made' UNION ALL SELECT 'made'",
    "INSERT INTO {0} (v) SELECT 'made' ON DUPLICATE KEY UPDATE v = 'changed'",
    "REPLACE INTO {0} (v) VALUES ('made'), ('made') RETURNING id",
    "REPLACE INTO {0} (v) VALUES ((SELECT MIN(o.v) FROM other o))",
]


@pytest.mark.parametrize("table", TABLES)
def test_rows_given_by_hand_stay(shop, table):
    first, second = (shop.log_in(host) for host in shop.hosts[:2])
    with first, second:
        rows(first, "CREATE TABLE other (v VARCHAR(10)) DBPARTITION BY HASH(v)")
        rows(first, "INSERT INTO other VALUES ('made')")
        for form in FORMS:
            rows(first, f"CREATE TABLE {table} (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v VARCHAR(10)) {TABLES[table]}")
            rows(first, f"INSERT INTO {table} (v) VALUES ('block')")
            [(last,)] = rows(first, f"SELECT id FROM {table}")
            given = ", ".join(f"({last + n}, 'hand')" for n in range(1, 8))
            rows(second, f"INSERT INTO {table} (id, v) VALUES {given}")
            made = 0
            for _ in range(3):
                rows(first, form.format(table))
                made += form.count("'made'") or 1
            counted = dict(rows(second, f"SELECT v, COUNT(*) FROM {table} GROUP BY v"))
            assert counted == {"block": 1, "hand": 7, "made": made}, form
            assert rows(first, f"SELECT COUNT(DISTINCT id) = COUNT(*) FROM {table}") == [(1,)]
            rows(first, f"DROP TABLE {table}")
        rows(first, "DROP TABLE other")
