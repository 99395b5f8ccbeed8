//! A table's definition as a data node reports it, read from information_schema of one physical
//! table: what routing, merging and INSERT need to know of columns and keys.

use crate::backends::BackendNode;
use crate::error::{ExecError, sql};
use base::sql_error;
use node_backend::connection::Connection;
use node_backend::query::Row;
use sql_plan::plan::PlanTable;
use sql_syntax::ast::Span;
use sql_syntax::{Edits, LexMode, Token, TokenBuf, TokenKind, lex};
use std::collections::BTreeMap;
use topology::algorithm::Target;
use topology::column::lower_type;
use topology::model::{Column, ColumnClass, Table, View};

fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\\', "\\\\").replace('\'', "''"))
}

/// Reads columns and keys of a physical table into `table`.
pub async fn refresh(
    node: &BackendNode,
    database: &str,
    physical: &str,
    table: &mut Table,
) -> Result<(), ExecError> {
    let mut lease = node.own_lease_to_read().await?;
    let columns = columns(&mut lease, database, physical).await?;
    if columns.is_empty() {
        return Err(sql(
            sql_error::NO_SUCH_TABLE,
            format!("Table '{database}.{physical}' is not there after it was changed"),
        ));
    }
    let (primary_key, unique_keys) = keys(&mut lease, database, physical).await?;
    table.columns = columns;
    if let Some(view) = &mut table.view {
        read_view(&mut lease, (database, physical), view).await?;
        return Ok(());
    }
    table.primary_key = primary_key;
    table.unique_keys = unique_keys;
    if let Some(name) = &table.sequence_column {
        match table.columns.iter_mut().find(|column| column.name.eq_ignore_ascii_case(name)) {
            Some(column) => {
                column.auto_increment = true;
                column.has_default = true;
            }
            None => table.sequence_column = None,
        }
    }
    Ok(())
}

async fn columns(
    connection: &mut Connection,
    database: &str,
    physical: &str,
) -> Result<Vec<Column>, ExecError> {
    let ask = format!(
        "SELECT COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME, IS_NULLABLE, EXTRA, COLUMN_DEFAULT \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION",
        quoted(database),
        quoted(physical)
    );
    let rows = connection.query(ask.as_bytes()).await?.into_rows();
    Ok(rows.iter().map(column).collect())
}

fn column(row: &Row) -> Column {
    let text = |at| row.text(at).unwrap_or_default();
    let column_type = lower_type(&text(1));
    let extra = text(4).to_ascii_uppercase();
    let nullable = text(3) == "YES";
    let auto_increment = extra.contains("AUTO_INCREMENT");
    let generated = ["VIRTUAL", "STORED", "PERSISTENT"].iter().any(|word| extra.contains(word));
    Column {
        name: text(0),
        class: ColumnClass::from_column_type(&column_type),
        column_type,
        collation: row.text(2),
        nullable,
        auto_increment,
        generated,
        invisible: extra.contains("INVISIBLE"),
        has_default: nullable || auto_increment || generated || row.get(5).is_some(),
    }
}

async fn keys(
    connection: &mut Connection,
    database: &str,
    physical: &str,
) -> Result<(Vec<String>, Vec<Vec<String>>), ExecError> {
    let ask = format!(
        "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
         WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX",
        quoted(database),
        quoted(physical)
    );
    let rows = connection.query(ask.as_bytes()).await?.into_rows();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in &rows {
        all.entry(row.text(0).unwrap_or_default())
            .or_default()
            .push(row.text(1).unwrap_or_default());
    }
    let primary = all.remove("PRIMARY").unwrap_or_default();
    Ok((primary, all.into_values().collect()))
}

/// Reads a view's query, still in physical names, and the words before its name.
async fn read_view(
    connection: &mut Connection,
    (database, physical): (&str, &str),
    view: &mut View,
) -> Result<(), ExecError> {
    let ask = format!(
        "SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        quoted(database),
        quoted(physical)
    );
    let rows = connection.query(ask.as_bytes()).await?.into_rows();
    view.query = rows.first().and_then(|row| row.text(0)).unwrap_or_default();
    if view.query.is_empty() {
        return Err(sql(
            sql_error::NOT_SUPPORTED,
            "the data node does not tell the view's query to the account that DDM has there",
        ));
    }
    let ask = [
        b"SHOW CREATE VIEW ".as_slice(),
        &sql_plan::template::quoted(database),
        b".",
        &sql_plan::template::quoted(physical),
    ]
    .concat();
    let rows = connection.query(&ask).await?.into_rows();
    let create = rows.first().and_then(|row| row.text(1)).unwrap_or_default();
    let head = create.split_once(" VIEW ").map(|(head, _)| head).unwrap_or_default();
    view.head = without_definer(head);
    view.query = with_strings_of(&view.query, &create);
    Ok(())
}

/// A view's query with the strings that SHOW CREATE VIEW has: information_schema keeps no characters
/// beyond three bytes, and SHOW CREATE VIEW not always the schemas of tables.
fn with_strings_of(query: &str, create: &str) -> String {
    let [mut ours, mut whole] = [TokenBuf::new(), TokenBuf::new()];
    lex(query.as_bytes(), 0, &LexMode::default(), &mut ours);
    lex(create.as_bytes(), 0, &LexMode::default(), &mut whole);
    let strings = |tokens: &TokenBuf| -> Vec<Span> {
        let is_string = |token: &&Token| token.kind == TokenKind::String;
        tokens.tokens().iter().filter(is_string).map(|token| token.span()).collect()
    };
    let (ours, whole) = (strings(&ours), strings(&whole));
    if ours.len() != whole.len() {
        return query.to_owned();
    }
    let mut edits = Edits::new();
    for (place, string) in ours.iter().zip(&whole) {
        edits.replace(*place, string.of(create.as_bytes()));
    }
    let mut out = Vec::new();
    edits.apply(query.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The words without DEFINER, which is the product's own account.
fn without_definer(head: &str) -> String {
    match (head.find(" DEFINER="), head.find(" SQL SECURITY")) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &head[..from], &head[to..]),
        _ => head.to_owned(),
    }
}

/// A view's query with logical names instead of physical ones.
pub fn logical_query(query: &str, tables: &[PlanTable], target: Target) -> String {
    let text = query.as_bytes();
    let mut tokens = TokenBuf::new();
    lex(text, 0, &LexMode::default(), &mut tokens);
    let names: Vec<(String, String, &PlanTable)> = tables
        .iter()
        .map(|table| (table.physical_database(target), table.physical_name(target), table))
        .collect();
    let mut edits = Edits::new();
    let all = tokens.tokens();
    for three in all.windows(3) {
        let [database, dot, table] = three else { continue };
        if dot.kind != TokenKind::Dot || database.kind != TokenKind::QuotedIdent {
            continue;
        }
        let text_of = |token: &Token| {
            String::from_utf8_lossy(&sql_syntax::text::unquote_ident(token.span().of(text)))
                .into_owned()
        };
        let (database_name, table_name) = (text_of(database), text_of(table));
        let found = names.iter().find(|(database, table, _)| {
            *database == database_name && table.eq_ignore_ascii_case(&table_name)
        });
        if let Some((_, _, logical)) = found {
            edits.replace(database.span(), &sql_plan::template::quoted(&logical.schema));
            edits.replace(table.span(), &sql_plan::template::quoted(&logical.name));
        }
    }
    let mut out = Vec::new();
    edits.apply(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::with_strings_of;

    #[test]
    fn a_views_strings_are_whole() {
        let query = "select concat('????','it\\'s',`d_0000`.`t`.`a`) AS `x` from `d_0000`.`t`";
        let create = "CREATE VIEW `v` AS select concat('😎','it\\'s',`t`.`a`) AS `x` from `t`";
        let whole = "select concat('😎','it\\'s',`d_0000`.`t`.`a`) AS `x` from `d_0000`.`t`";
        assert_eq!(with_strings_of(query, create), whole);
        assert_eq!(with_strings_of(query, "CREATE VIEW `v` AS select 1"), query);
    }
}
