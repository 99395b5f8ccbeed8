"""Tools of one server work with DDM: a dump is restored to the same rows (in a schema of DDM and in a plain server), and
what drivers, DBeaver, MySQL Workbench, SQLAlchemy and Django ask of the catalogue is answered as a plain server with the
same tables answers it."""

import os
import subprocess
import sys

import pytest
from plain import USER, Plain
from system import System, connect, eventually, rows

SCHEMA, RESTORED = "toolbox", "restored"
CREATES = [
    ("CREATE TABLE customers (id INT NOT NULL AUTO_INCREMENT COMMENT 'the number', name VARCHAR(60) NOT NULL, "
     "mail VARCHAR(100) DEFAULT NULL, born DATE DEFAULT NULL, score DECIMAL(10,2) NOT NULL DEFAULT 0.00, "
     "made DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (id), UNIQUE KEY uq_mail (mail, id), KEY ix_name (name), "
     "CONSTRAINT positive CHECK (score >= 0)) COMMENT='people who buy'", "DBPARTITION BY MOD_HASH(id)"),
    ("CREATE TABLE orders (id BIGINT NOT NULL, customer INT NOT NULL, at DATETIME(3) DEFAULT NULL, note TEXT, "
     "amount DOUBLE DEFAULT NULL, state ENUM('new','paid','sent') NOT NULL DEFAULT 'new', flags SET('a','b','c') DEFAULT NULL, "
     "raw VARBINARY(40) DEFAULT NULL, total DECIMAL(12,3) GENERATED ALWAYS AS (amount * 2) VIRTUAL, PRIMARY KEY (id), "
     "KEY ix_customer (customer, at))", "DBPARTITION BY MOD_HASH(id) TBPARTITION BY MOD_HASH(customer) TBPARTITIONS 3"),
    ("CREATE TABLE countries (code CHAR(2) NOT NULL, label VARCHAR(40) CHARACTER SET latin1 NOT NULL, PRIMARY KEY (code))",
     "BROADCAST"),
    ("CREATE TABLE parents (id INT NOT NULL, PRIMARY KEY (id))", ""),
    ("CREATE TABLE children (id INT NOT NULL AUTO_INCREMENT, parent INT DEFAULT NULL, bits BIT(3) DEFAULT NULL, y YEAR DEFAULT NULL, "
     "PRIMARY KEY (id), KEY ix_parent (parent), CONSTRAINT fk_parent FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE)",
     ""),
]
TABLES = ["children", "countries", "customers", "orders", "parents"]
FILL = [
    "INSERT INTO customers (id, name, mail, born, score, made) VALUES "
    + ",".join(f"({i}, 'n''{i} ü', {'NULL' if i % 5 == 0 else repr(f'm{i}@x')}, '19{10 + i % 80}-01-0{1 + i % 9}', {i}.25, "
               f"'2026-01-01 00:00:{i % 60:02}')" for i in range(1, 151)),
    "INSERT INTO orders (id, customer, at, note, amount, state, flags, raw) VALUES "
    + ",".join(f"({i}, {i % 50}, '2026-02-03 04:05:06.{i:03}', 'line\\n{i}\\t\\\\', {i / 8}, 'paid', 'a,c', X'00{i:04x}27')"
               for i in range(300)),
    "INSERT INTO countries VALUES ('de', 'Deutschland'), ('fr', 'França'), ('se', 'Sverige')",
    "INSERT INTO parents VALUES (1), (2)",
    "INSERT INTO children (id, parent, bits, y) VALUES (1, 1, b'101', 2026), (2, 2, NULL, NULL), (3, NULL, b'0', 1999)",
]


class Both:
    """A system and a plain server with the same tables and rows."""

    def __init__(self):
        self.system = System("--demo")
        self.plain = None
        try:
            self.system.start()
            self.plain = Plain()
            ends = self.system.endpoints["demo"]
            self.user, self.password, self.port, self.host = ends["user"], ends["password"], ends["port"], ends["host"]
            for name in (SCHEMA, RESTORED):
                self.system.ctl("schemas", "create", ends["instance_id"], name, "--mode", "cluster", "--shards", "4")
            self.system.ctl("accounts", "update", ends["instance_id"], self.user,
                            "--schema", f"{ends['schema']},{SCHEMA},{RESTORED}")
            ddm, plain = eventually("a session", lambda: self.ddm()), self.plain.log_in()
            rows(plain, f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
            rows(plain, f"USE {SCHEMA}")
            for create, clause in CREATES:
                rows(ddm, f"{create} {clause}")
                rows(plain, create)
            for statement in FILL:
                rows(ddm, statement)
                rows(plain, statement)
        except BaseException:
            self.stop()
            raise

    def ddm(self, schema=SCHEMA):
        return connect(self.host, self.port, self.user, self.password, schema)

    def stop(self):
        if self.plain:
            self.plain.stop()
        self.system.remove()


@pytest.fixture(scope="module")
def both():
    pair = Both()
    yield pair
    pair.stop()


def dump(both, *options):
    done = subprocess.run(
        ["mariadb-dump", "--no-defaults", "-h", both.host, "-P", str(both.port), "-u", both.user, f"-p{both.password}",
         *options, SCHEMA], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def load(text, host, port, user, password, schema):
    password = [f"-p{password}"] if password else []
    done = subprocess.run(
        ["mariadb", "--no-defaults", "-h", host, "-P", str(port), "-u", user, *password, schema],
        input=text, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr


def contents(session):
    return {table: sorted(rows(session, f"SELECT * FROM {table}"), key=repr) for table in TABLES}


@pytest.mark.parametrize("options", [
    (),
    ("--single-transaction", "--routines", "--triggers", "--events"),
    ("--skip-lock-tables", "--skip-add-locks", "--complete-insert", "--skip-extended-insert"),
    ("--single-transaction", "--skip-add-locks", "--hex-blob", "--skip-comments", "--skip-opt", "--create-options", "--quick"),
], ids=["default", "transaction", "single rows", "plain"])
def test_a_dump_is_restored(both, options):
    text = dump(both, *options)
    with both.ddm() as session:
        wanted = contents(session)
    assert len(wanted["orders"]) == 300
    # The lock of the tables while rows are loaded is for one server.
    text = b"\n".join(line for line in text.split(b"\n") if not line.startswith((b"LOCK TABLES", b"UNLOCK TABLES")))
    with both.ddm(RESTORED) as session:
        for table in ("children", "parents", "orders", "customers", "countries"):
            rows(session, f"DROP TABLE IF EXISTS {table}")
    load(text, both.host, both.port, both.user, both.password, RESTORED)
    with both.ddm(RESTORED) as session, both.ddm() as before:
        assert contents(session) == wanted
        assert [row[1:] for row in rows(session, "SHOW RULE")] == [row[1:] for row in rows(before, "SHOW RULE")]
        for table in TABLES:
            assert rows(session, f"SHOW CREATE TABLE {table}") == rows(before, f"SHOW CREATE TABLE {table}")
    with both.plain.log_in() as session:
        rows(session, "DROP DATABASE IF EXISTS loaded")
        rows(session, "CREATE DATABASE loaded CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    load(text, both.plain.host, both.plain.port, USER, "", "loaded")
    with both.plain.log_in("loaded") as session:
        assert contents(session) == wanted


def test_sequences_are_in_a_dump(both):
    with both.ddm() as session:
        rows(session, "CREATE SEQUENCE numbered START WITH 5 INCREMENT BY 2 CACHE 10")
        taken = [rows(session, "SELECT NEXTVAL(numbered)")[0][0] for _ in range(3)]
        create = rows(session, "SHOW CREATE SEQUENCE numbered")
    text = dump(both)
    with both.ddm() as session, both.ddm(RESTORED) as restored:
        for table in ("children", "parents", "orders", "customers", "countries"):
            rows(restored, f"DROP TABLE IF EXISTS {table}")
        rows(session, "DROP SEQUENCE numbered")
    load(text, both.host, both.port, both.user, both.password, RESTORED)
    with both.ddm(RESTORED) as session:
        assert rows(session, "SHOW CREATE SEQUENCE numbered") == create
        assert rows(session, "SELECT NEXTVAL(numbered)")[0][0] > taken[-1]
        rows(session, "DROP SEQUENCE numbered")


# What drivers and tools ask, with the schema's name for {s}.
METADATA = {
    "Connector/J": [
        "SELECT TABLE_SCHEMA AS TABLE_CAT, NULL AS TABLE_SCHEM, TABLE_NAME, CASE WHEN TABLE_TYPE='BASE TABLE' THEN CASE WHEN "
        "TABLE_SCHEMA = 'mysql' OR TABLE_SCHEMA = 'performance_schema' THEN 'SYSTEM TABLE' ELSE 'TABLE' END WHEN "
        "TABLE_TYPE='TEMPORARY' THEN 'LOCAL_TEMPORARY' ELSE TABLE_TYPE END AS TABLE_TYPE, TABLE_COMMENT AS REMARKS, NULL AS TYPE_CAT, "
        "NULL AS TYPE_SCHEM, NULL AS TYPE_NAME, NULL AS SELF_REFERENCING_COL_NAME, NULL AS REF_GENERATION FROM "
        "INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = '{s}' HAVING TABLE_TYPE IN ('TABLE',null,null,null,null) "
        "ORDER BY TABLE_TYPE, TABLE_SCHEMA, TABLE_NAME",
        "SELECT TABLE_SCHEMA AS TABLE_CAT, NULL AS TABLE_SCHEM, TABLE_NAME, COLUMN_NAME, CASE UPPER(DATA_TYPE) WHEN 'DECIMAL' THEN 3 "
        "WHEN 'INT' THEN 4 ELSE 1111 END AS DATA_TYPE, UPPER(DATA_TYPE) AS TYPE_NAME, NUMERIC_SCALE AS DECIMAL_DIGITS, 10 AS "
        "NUM_PREC_RADIX, CASE WHEN IS_NULLABLE = 'NO' THEN 0 ELSE 1 END AS NULLABLE, COLUMN_COMMENT AS REMARKS, COLUMN_DEFAULT AS "
        "COLUMN_DEF, ORDINAL_POSITION, IS_NULLABLE, IF (EXTRA LIKE '%auto_increment%','YES','NO') AS IS_AUTOINCREMENT, "
        "IF (EXTRA LIKE '%GENERATED%','YES','NO') AS IS_GENERATEDCOLUMN FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = '{s}' "
        "AND TABLE_NAME LIKE '%' AND COLUMN_NAME LIKE '%' ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
        "SELECT TABLE_SCHEMA AS TABLE_CAT, NULL AS TABLE_SCHEM, TABLE_NAME, NON_UNIQUE, NULL AS INDEX_QUALIFIER, INDEX_NAME, 3 AS TYPE, "
        "SEQ_IN_INDEX AS ORDINAL_POSITION, COLUMN_NAME, COLLATION AS ASC_OR_DESC, 0 AS PAGES, NULL AS FILTER_CONDITION FROM "
        "INFORMATION_SCHEMA.STATISTICS WHERE TABLE_SCHEMA = '{s}' AND TABLE_NAME = 'customers' ORDER BY NON_UNIQUE, INDEX_NAME, SEQ_IN_INDEX",
        "SELECT TABLE_SCHEMA AS TABLE_CAT, NULL AS TABLE_SCHEM, TABLE_NAME, COLUMN_NAME, SEQ_IN_INDEX AS KEY_SEQ, 'PRIMARY' AS PK_NAME "
        "FROM INFORMATION_SCHEMA.STATISTICS WHERE TABLE_SCHEMA = '{s}' AND TABLE_NAME = 'orders' AND INDEX_NAME='PRIMARY' "
        "ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
        "SELECT DISTINCT A.REFERENCED_TABLE_SCHEMA AS PKTABLE_CAT, NULL AS PKTABLE_SCHEM, A.REFERENCED_TABLE_NAME AS PKTABLE_NAME, "
        "A.REFERENCED_COLUMN_NAME AS PKCOLUMN_NAME, A.TABLE_SCHEMA AS FKTABLE_CAT, NULL AS FKTABLE_SCHEM, A.TABLE_NAME AS FKTABLE_NAME, "
        "A.COLUMN_NAME AS FKCOLUMN_NAME, A.ORDINAL_POSITION AS KEY_SEQ, CASE WHEN R.DELETE_RULE='CASCADE' THEN 0 ELSE 3 END AS "
        "DELETE_RULE, A.CONSTRAINT_NAME AS FK_NAME, TC.CONSTRAINT_NAME AS PK_NAME, 7 AS DEFERRABILITY FROM "
        "INFORMATION_SCHEMA.KEY_COLUMN_USAGE A JOIN INFORMATION_SCHEMA.TABLE_CONSTRAINTS B USING (TABLE_SCHEMA, CONSTRAINT_NAME, "
        "TABLE_NAME) JOIN INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS R ON (R.CONSTRAINT_NAME = B.CONSTRAINT_NAME AND R.TABLE_NAME = "
        "B.TABLE_NAME AND R.CONSTRAINT_SCHEMA = B.TABLE_SCHEMA) LEFT JOIN INFORMATION_SCHEMA.TABLE_CONSTRAINTS TC ON (A.REFERENCED_TABLE_SCHEMA "
        "= TC.TABLE_SCHEMA AND A.REFERENCED_TABLE_NAME = TC.TABLE_NAME AND TC.CONSTRAINT_TYPE IN ('UNIQUE', 'PRIMARY KEY')) WHERE "
        "B.CONSTRAINT_TYPE = 'FOREIGN KEY' AND A.TABLE_SCHEMA = '{s}' AND A.TABLE_NAME = 'children' ORDER BY A.ORDINAL_POSITION",
        "SELECT ROUTINE_SCHEMA AS PROCEDURE_CAT, ROUTINE_NAME AS PROCEDURE_NAME FROM INFORMATION_SCHEMA.ROUTINES WHERE ROUTINE_SCHEMA = '{s}'",
        "SELECT SCHEMA_NAME AS TABLE_CAT FROM INFORMATION_SCHEMA.SCHEMATA WHERE SCHEMA_NAME = '{s}' ORDER BY SCHEMA_NAME",
    ],
    "MariaDB Connector/J": [
        "SELECT KCU.REFERENCED_TABLE_SCHEMA PKTABLE_CAT, NULL PKTABLE_SCHEM, KCU.REFERENCED_TABLE_NAME PKTABLE_NAME, "
        "KCU.REFERENCED_COLUMN_NAME PKCOLUMN_NAME, KCU.TABLE_SCHEMA FKTABLE_CAT, KCU.TABLE_NAME FKTABLE_NAME, KCU.COLUMN_NAME FKCOLUMN_NAME, "
        "KCU.POSITION_IN_UNIQUE_CONSTRAINT KEY_SEQ, CASE update_rule WHEN 'RESTRICT' THEN 1 WHEN 'NO ACTION' THEN 3 WHEN 'CASCADE' THEN 0 "
        "END UPDATE_RULE, RC.CONSTRAINT_NAME FK_NAME, RC.UNIQUE_CONSTRAINT_NAME PK_NAME FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE KCU "
        "INNER JOIN INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS RC ON KCU.CONSTRAINT_SCHEMA = RC.CONSTRAINT_SCHEMA AND "
        "KCU.CONSTRAINT_NAME = RC.CONSTRAINT_NAME WHERE KCU.TABLE_SCHEMA = '{s}' ORDER BY PKTABLE_CAT, PKTABLE_NAME, KEY_SEQ",
        "SELECT A.TABLE_SCHEMA TABLE_CAT, NULL TABLE_SCHEM, A.TABLE_NAME, A.COLUMN_NAME, B.SEQ_IN_INDEX KEY_SEQ, B.INDEX_NAME PK_NAME "
        "FROM INFORMATION_SCHEMA.COLUMNS A, INFORMATION_SCHEMA.STATISTICS B WHERE A.COLUMN_KEY in ('PRI','pri') AND B.INDEX_NAME='PRIMARY' "
        "AND (A.TABLE_SCHEMA = '{s}') AND (B.TABLE_SCHEMA = '{s}') AND A.TABLE_NAME = B.TABLE_NAME AND A.COLUMN_NAME = B.COLUMN_NAME "
        "ORDER BY A.TABLE_NAME, A.COLUMN_NAME",
        "SELECT IF(TABLE_TYPE='BASE TABLE' or TABLE_TYPE='SYSTEM VERSIONED', 'TABLE', TABLE_TYPE) as TABLE_TYPE, TABLE_NAME FROM "
        "INFORMATION_SCHEMA.TABLES WHERE (TABLE_SCHEMA = '{s}') AND (TABLE_NAME LIKE '%') AND TABLE_TYPE IN ('BASE TABLE','VIEW') "
        "ORDER BY TABLE_TYPE, TABLE_SCHEMA, TABLE_NAME",
    ],
    "DBeaver": [
        "SHOW FULL TABLES FROM `{s}`", "SHOW FULL COLUMNS FROM `customers` FROM `{s}`", "SHOW TRIGGERS FROM `{s}`",
        "SHOW CHARSET", "SHOW COLLATION", "SHOW ENGINES", "SHOW PLUGINS", "SHOW EVENTS FROM `{s}`",
        "SELECT cc.CONSTRAINT_NAME, cc.CHECK_CLAUSE, tc.TABLE_NAME FROM information_schema.CHECK_CONSTRAINTS cc, "
        "information_schema.TABLE_CONSTRAINTS tc WHERE tc.CONSTRAINT_TYPE = 'CHECK' AND cc.CONSTRAINT_SCHEMA = '{s}' AND "
        "cc.CONSTRAINT_SCHEMA = tc.CONSTRAINT_SCHEMA AND cc.CONSTRAINT_NAME = tc.CONSTRAINT_NAME ORDER BY 3, 1",
        "SELECT * FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '{s}' AND ROUTINE_TYPE IN ('PROCEDURE','FUNCTION') ORDER BY ROUTINE_NAME",
        "SELECT * FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = '{s}' AND PARTITION_NAME IS NOT NULL",
        "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, NON_UNIQUE, SEQ_IN_INDEX, INDEX_TYPE, COMMENT, INDEX_COMMENT FROM "
        "INFORMATION_SCHEMA.STATISTICS WHERE TABLE_SCHEMA = '{s}' ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
    ],
    "MySQL Workbench": [
        "SHOW SESSION VARIABLES LIKE 'lower_case_table_names'", "SHOW DATABASES LIKE '{s}'",
        "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = '{s}' ORDER BY table_name",
        "SELECT name, type FROM (SELECT ROUTINE_NAME name, ROUTINE_TYPE type FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '{s}') r",
        "SHOW COLUMNS FROM `{s}`.`orders`", "SHOW FULL COLUMNS FROM `{s}`.`children`",
        "SELECT c.COLUMN_NAME, c.COLUMN_TYPE, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME FROM information_schema.COLUMNS c LEFT JOIN "
        "information_schema.KEY_COLUMN_USAGE k ON c.TABLE_SCHEMA = k.TABLE_SCHEMA AND c.TABLE_NAME = k.TABLE_NAME AND c.COLUMN_NAME = "
        "k.COLUMN_NAME AND k.REFERENCED_TABLE_NAME IS NOT NULL WHERE c.TABLE_SCHEMA = '{s}' AND c.TABLE_NAME = 'children' ORDER BY c.ORDINAL_POSITION",
        "SHOW PROCEDURE STATUS WHERE Db = '{s}'", "SHOW FUNCTION STATUS WHERE Db = '{s}'", "SELECT DATABASE()",
    ],
}


@pytest.mark.parametrize("tool", METADATA)
def test_metadata_is_as_on_a_plain_server(both, tool):
    with both.ddm() as ddm, both.plain.log_in(SCHEMA) as plain:
        for statement in METADATA[tool]:
            statement = statement.replace("{s}", SCHEMA)
            answers = []
            for session in (ddm, plain):
                with session.cursor() as cursor:
                    cursor.execute(statement)
                    answers.append(([column[:2] for column in cursor.description], sorted(cursor.fetchall(), key=repr)))
            ours, theirs = answers
            if "FULL COLUMNS" in statement:
                # Rights are the account's.
                at = [name for name, _ in ours[0]].index("Privileges")
                ours, theirs = ([names, [row[:at] + row[at + 1:] for row in listed]] for names, listed in (ours, theirs))
            assert ours[0] == theirs[0], statement
            assert ours[1] == theirs[1], statement


def test_sqlalchemy_reflects_alike(both):
    sqlalchemy = pytest.importorskip("sqlalchemy")

    def reflected(url):
        engine = sqlalchemy.create_engine(url)
        inspector = sqlalchemy.inspect(engine)
        found = {"tables": sorted(inspector.get_table_names()), "views": inspector.get_view_names()}
        for table in TABLES:
            plain = lambda value: repr(value)  # noqa: E731 - types compare by what they print
            found[table] = {
                "columns": [{key: plain(value) for key, value in column.items()} for column in inspector.get_columns(table)],
                "primary key": inspector.get_pk_constraint(table),
                "foreign keys": inspector.get_foreign_keys(table),
                "indexes": sorted(inspector.get_indexes(table), key=repr),
                "unique": sorted(inspector.get_unique_constraints(table), key=repr),
                "checks": inspector.get_check_constraints(table),
                "comment": inspector.get_table_comment(table),
            }
        metadata = sqlalchemy.MetaData()
        metadata.reflect(engine)
        found["metadata"] = sorted(metadata.tables)
        engine.dispose()
        return found

    ours = reflected(f"mysql+pymysql://{both.user}:{both.password.replace('@', '%40').replace('#', '%23')}@{both.host}:{both.port}/{SCHEMA}")
    theirs = reflected(f"mysql+pymysql://{USER}@{both.plain.host}:{both.plain.port}/{SCHEMA}")
    assert ours == theirs
    assert ours["tables"] == TABLES
    assert ours["children"]["foreign keys"][0]["referred_table"] == "parents"
    assert ours["customers"]["checks"] and ours["customers"]["comment"]["text"] == "people who buy"


INSPECT = """
import sys, pymysql
pymysql.install_as_MySQLdb()
pymysql.version_info = (2, 2, 7, "final", 0)
import django
from django.conf import settings
host, port, user, password, name = sys.argv[1:]
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.mysql", "HOST": host, "PORT": port, "USER": user,
                                          "PASSWORD": password, "NAME": name}}, USE_TZ=False)
django.setup()
from django.core.management import call_command
call_command("inspectdb")
"""


def test_django_inspects_alike(both):
    pytest.importorskip("django")

    def inspected(*place):
        done = subprocess.run([sys.executable, "-c", INSPECT, *map(str, place)], capture_output=True, text=True,
                              timeout=120, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        assert done.returncode == 0, done.stderr
        return done.stdout

    ours = inspected(both.host, both.port, both.user, both.password, SCHEMA)
    assert ours == inspected(both.plain.host, both.plain.port, USER, "", SCHEMA)
    assert "class Children" in ours and "Unable to inspect" not in ours
