"""Status flags, counts of warnings and texts of OK packets: of each way a statement runs, beside a plain server."""

import pytest
from raw import Raw
from sides import ask

KINDS = ["DBPARTITION BY MOD_HASH(id)", "DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(id) TBPARTITIONS 2", "BROADCAST", ""]
STATEMENTS = """
INSERT INTO a VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z')
INSERT INTO a VALUES (4, 4, 'w')
INSERT INTO a SELECT id + 10, n, v FROM a
INSERT IGNORE INTO a VALUES (1, 1, 'x'), (5, 5, 'v')
INSERT IGNORE INTO a VALUES (1, 1, 'x')
INSERT INTO a VALUES (1, 1, 'x'), (6, 6, 'u') ON DUPLICATE KEY UPDATE n = n + 100
INSERT INTO a VALUES (1, 1, 'x') ON DUPLICATE KEY UPDATE n = n
INSERT INTO a VALUES (1, 1, 'x') ON DUPLICATE KEY UPDATE n = 7
REPLACE INTO a VALUES (1, 1, 'x'), (7, 7, 't')
REPLACE INTO a VALUES (1, 1, 'x')
REPLACE INTO a SELECT id, n, v FROM a
UPDATE a SET n = n + 1
UPDATE a SET n = n + 1 WHERE id = 1
UPDATE a SET n = n WHERE id = 1
UPDATE a SET n = 5 WHERE id IN (1, 2, 3)
UPDATE a SET n = (SELECT m FROM (SELECT MAX(n) AS m FROM a) AS q) WHERE id < 3
UPDATE a x JOIN a y ON x.n = y.n SET x.v = 'j'
UPDATE IGNORE a SET v = 'much too long a text' WHERE id = 1
DELETE FROM a WHERE id = 2
DELETE FROM a WHERE n > 1000
DELETE FROM a WHERE id = 999
DELETE x FROM a x JOIN a y ON x.id = y.id + 1 WHERE y.id = 3
SELECT id FROM a WHERE id = 1
SELECT COUNT(*) FROM a
SELECT id FROM a WHERE n = 5 ORDER BY id
SELECT 1 / 0
SELECT id / 0 FROM a WHERE id = 1
SELECT COUNT(1 / n) FROM a
SELECT CAST('12x' AS SIGNED)
BEGIN
SELECT id FROM a WHERE id = 1
UPDATE a SET n = 0
COMMIT
START TRANSACTION READ ONLY
SELECT id FROM a WHERE id = 1
COMMIT
SET autocommit = 0
SELECT id FROM a WHERE id = 1
ROLLBACK
SET autocommit = 1
SET sql_mode = 'ANSI_QUOTES'
SELECT 1
DO 1
SET sql_mode = 'NO_BACKSLASH_ESCAPES'
SELECT 1
DO 1
SET sql_mode = DEFAULT
DO 1
PREPARE s FROM 'SELECT 1'
EXECUTE s
DEALLOCATE PREPARE s
ALTER TABLE a ADD COLUMN added INT
ALTER TABLE a MODIFY v VARCHAR(30)
ALTER TABLE a DROP COLUMN added
CREATE INDEX i ON a (n)
DROP INDEX i ON a
TRUNCATE TABLE a
CREATE TABLE IF NOT EXISTS a (id INT)
DROP TABLE IF EXISTS nosuch
SHOW STATUS LIKE 'Compression'
USE {schema}
"""


@pytest.mark.parametrize("kind", KINDS)
def test_each_answer_says_what_one_server_says(sides, kind):
    seen = []
    for ends, suffix in zip(sides, ["", kind]):
        session = Raw(ends)
        ask(session, "DROP TABLE IF EXISTS a")
        assert ask(session, f"CREATE TABLE a (id INT NOT NULL PRIMARY KEY, n INT, v VARCHAR(10)) {suffix}")[0][0] == 0
        got = []
        for text in STATEMENTS.strip().splitlines():
            packets = ask(session, text.format(schema=ends["schema"]))
            end = packets[-1]
            if end[0] == 0xFE:
                # Whether an index was used is what the optimizer made of the rows that one server has.
                end = end[:3] + bytes([end[3] & ~0x30]) + end[4:]
            elif end[0] == 0xFF:
                end = end[:9]
            else:
                at = 1 + 2
                end = end[:at] + bytes([end[at] & ~0x30]) + end[at + 1:]
            got.append((text, end))
        seen.append(got)
    wrong = [(plain, ddm) for plain, ddm in zip(*seen) if ddm != plain]
    assert not wrong, wrong
