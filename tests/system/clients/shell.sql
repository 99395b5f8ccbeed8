-- What people type into the mariadb client. A client that is told to go on after errors reads this.
DROP TABLE IF EXISTS shell_rows;
CREATE TABLE shell_rows (id INT NOT NULL PRIMARY KEY, name VARCHAR(20) DEFAULT 'none', n DECIMAL(8,2), at DATETIME, raw BLOB, f FLOAT, e ENUM('a','b'))-- sharded
;
INSERT INTO shell_rows (id, name, n, at, raw, f, e) VALUES (1, 'one', 1.5, '2024-01-02 03:04:05', 'a\tb\\c', 0.1, 'a'), (2, 'zwei ü', NULL, NULL, NULL, -1e10, 'b');
INSERT INTO shell_rows (id) VALUES (3), (4);
SELECT * FROM shell_rows ORDER BY id;
SELECT id, UPPER(name) AS u, n * 2 FROM shell_rows WHERE id = 1;
SELECT COUNT(*), SUM(n), AVG(id), MAX(name), MIN(at) FROM shell_rows;
SELECT e, COUNT(*) AS c FROM shell_rows GROUP BY e ORDER BY e;
UPDATE shell_rows SET name = 'same' WHERE id > 2;
UPDATE shell_rows SET name = 'same' WHERE id > 2;
UPDATE shell_rows SET name = REPEAT('x', 50) WHERE id = 3;
SELECT CAST('12x' AS SIGNED), 1 / 0;
SHOW WARNINGS;
INSERT IGNORE INTO shell_rows (id, name) VALUES (1, 'again'), (5, 'five');
REPLACE INTO shell_rows (id, name) VALUES (5, 'fünf'), (6, 'six');
INSERT INTO shell_rows (id, name) VALUES (5, 'x') ON DUPLICATE KEY UPDATE name = CONCAT(name, '!');
INSERT INTO shell_rows (id) VALUES (1);
SELECT nothing FROM shell_rows;
SELECT * FROM shell_nothing;
SELEC 1;
DELETE FROM shell_rows WHERE id IN (5, 6);
BEGIN;
DELETE FROM shell_rows;
ROLLBACK;
SELECT id FROM shell_rows ORDER BY id DESC LIMIT 2;
SET @a = 'x', @b = 2;
SELECT @a, @b + 1;
DESC shell_rows;
SHOW COLUMNS FROM shell_rows LIKE 'n%';
SHOW TABLES LIKE 'shell%';
delimiter //
SELECT 1 AS a; SELECT 2 AS b//
delimiter ;
USE clients
PREPARE s FROM 'SELECT name FROM shell_rows WHERE id = ?';
SET @id = 2;
EXECUTE s USING @id;
DEALLOCATE PREPARE s;
(SELECT id FROM shell_rows WHERE id = 1) UNION ALL (SELECT id FROM shell_rows WHERE id = 2) ORDER BY 1;
SELECT a.id, b.name FROM shell_rows a LEFT JOIN shell_rows b ON a.id = b.id + 1 ORDER BY a.id;
TRUNCATE TABLE shell_rows;
DROP TABLE shell_rows;
