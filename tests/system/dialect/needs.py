"""What SQLAlchemy's tests of dialects may ask of a server of this dialect; the same for both servers."""

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

OPEN = [
    "table_value_constructor", "window_functions", "ctes", "ctes_on_dml", "ctes_with_values", "intersect", "except_",
    "offset", "bound_limit_offset", "parens_in_union_selects_w_limit_offset", "parens_in_union_selects_wo_limit_offset",
    "savepoints", "views", "view_column_reflection", "index_reflection", "primary_key_constraint_reflection",
    "unique_constraint_reflection", "foreign_key_constraint_reflection", "foreign_keys", "self_referential_foreign_keys",
    "table_reflection", "comment_reflection", "temporary_tables", "temp_table_reflection",
    "json_type", "json_array_indexes", "datetime_literals", "date", "time", 
    "precision_numerics_general", "precision_numerics_enotation_large",
    "precision_numerics_many_significant_digits", "precision_numerics_retains_significant_digits",
    "unicode_data", "unicode_ddl", "text_type", "autocommit", "isolation_level",
    "order_by_label_with_expression", "order_by_col_from_union", "like_escapes", "regexp_match", "regexp_replace",
    "tuple_in", "tuple_in_w_empty", "empty_inserts", "insert_from_select", "update_from", "delete_from",
    "mod_operator_as_percent_sign", "percent_schema_names", "sane_rowcount", "lastrowid_fetching", "emulated_lastrowid",
    "dbapi_lastrowid", "implements_get_lastrowid", "autoincrement_insert", "nullable_booleans", "computed_columns",
    "computed_columns_stored", "computed_columns_virtual", "queries_with_sets",
    "insert_returning", "delete_returning", "group_by_complex_expression", "recursive_fk_cascade", "foreign_keys_reflect_as_index",
    "unique_constraints_reflect_as_index", "reflect_table_options",
]
CLOSED = [
    "array_type", "array_dimensions", "temp_table_names", "reflects_pk_names", "datetime_microseconds", "time_microseconds",
    "timestamp_microseconds", "unbounded_varchar", "sql_expression_limit_offset",
]


class Needs(SuiteRequirements):
    """Everything of MariaDB's that the suite can test without further set-up."""


def _stands(opened):
    return property(lambda self: exclusions.open() if opened else exclusions.closed())


for _name in (*OPEN, *CLOSED):
    if hasattr(SuiteRequirements, _name):
        setattr(Needs, _name, _stands(_name not in CLOSED))
