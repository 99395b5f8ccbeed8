"""Makes SQLAlchemy shard the tables of its tests by their primary keys, where that keeps what the tests expect: tables with
another unique key or with foreign keys from or to them stay in one place."""

from sqlalchemy import Integer, String, UniqueConstraint
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler

_post_create_table = MySQLDDLCompiler.post_create_table


def _key(table):
    """The column to shard by."""
    columns = list(table.primary_key.columns)
    if len(columns) != 1 or not isinstance(columns[0].type, (Integer, String)) or table._prefixes:
        return None
    is_unique = (any(isinstance(constraint, UniqueConstraint) for constraint in table.constraints)
                 or any(index.unique for index in table.indexes) or any(column.unique for column in table.columns))
    is_parent = any(key.column.table is table for other in table.metadata.tables.values() for key in other.foreign_keys)
    return None if is_unique or is_parent or table.foreign_keys else columns[0]


def post_create_table(self, table):
    key = _key(table)
    clause = "" if key is None else f" DBPARTITION BY HASH({self.preparer.format_column(key)})"
    return _post_create_table(self, table) + clause


MySQLDDLCompiler.post_create_table = post_create_table
