# Further tables of the random statements: composite keys, several collations, duplicate rows.
CREATE TABLE g1 (a INT NOT NULL, b INT NOT NULL, c VARCHAR(20) COLLATE utf8mb4_unicode_ci, d DECIMAL(10,3), e DATE, f DATETIME, g DOUBLE, PRIMARY KEY (a, b), KEY ix_c (c)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci {g1};
CREATE TABLE g2 (k BIGINT NOT NULL, a INT, word VARCHAR(20), bin VARCHAR(20) COLLATE utf8mb4_bin, n INT, PRIMARY KEY (k), KEY ix_a (a)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci {g2};
CREATE TABLE g3 (x INT, y VARCHAR(20), z DATE, KEY ix_x (x)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci {g3};
