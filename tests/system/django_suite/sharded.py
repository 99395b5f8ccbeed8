"""Makes Django shard the tables of its tests by their primary keys, where that keeps what the tests expect: a table with
another unique key stays in one place. There are no foreign keys then, since their parents may lie in other shards."""

from django.db.backends.mysql.schema import DatabaseSchemaEditor
from django.db.models import UniqueConstraint

KINDS = {"AutoField", "BigAutoField", "SmallAutoField", "IntegerField", "BigIntegerField", "CharField"}
_table_sql = DatabaseSchemaEditor.table_sql


def _is_sharded(model):
    meta = model._meta
    return (meta.pk.get_internal_type() in KINDS and not meta.unique_together
            and not any(isinstance(constraint, UniqueConstraint) for constraint in meta.constraints)
            and not any(field.unique and not field.primary_key for field in meta.local_fields))


def table_sql(self, model):
    sql, parameters = _table_sql(self, model)
    self.deferred_sql = [later for later in self.deferred_sql if "FOREIGN KEY" not in str(later)]
    if _is_sharded(model):
        sql += f" DBPARTITION BY HASH({self.quote_name(model._meta.pk.column)})"
    return sql, parameters


DatabaseSchemaEditor.table_sql = table_sql
