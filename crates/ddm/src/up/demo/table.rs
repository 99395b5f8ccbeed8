//! The demo's sample table: orders, sharded by their number. Rows are made from their number alone,
//! so what is missing after an interrupted filling can be told and added.

use anyhow::{Context, Result};
use node_backend::connection::Connection;
use node_backend::query::QueryResult;
use std::collections::BTreeSet;
use std::fmt::Write;

/// How many rows it gets.
const ROWS: u64 = 1000;

/// Rows of one INSERT.
const ROWS_PER_INSERT: usize = 250;

const CREATE: &str = "CREATE TABLE orders (\
    id BIGINT NOT NULL, customer_id INT NOT NULL, product VARCHAR(32) NOT NULL, quantity INT NOT NULL, \
    price DECIMAL(10,2) NOT NULL, ordered_at DATETIME NOT NULL, PRIMARY KEY (id)\
    ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 DBPARTITION BY MOD_HASH(id)";

const PRODUCTS: [&str; 6] = ["lamp", "chair", "table", "kettle", "clock", "mirror"];

/// Makes the table if it is missing and adds the rows that are.
pub async fn fill(connection: &mut Connection) -> Result<()> {
    let tables = column(connection, "SHOW TABLES").await?;
    if !tables.iter().any(|name| name.eq_ignore_ascii_case("orders")) {
        connection.execute_sql(CREATE.as_bytes()).await.context("CREATE TABLE orders")?;
        insert(connection, &(1..=ROWS).collect::<Vec<_>>()).await?;
        return Ok(());
    }
    // Rows that a person deleted are theirs to delete: only a table that was never full is filled.
    let last = column(connection, &format!("SELECT id FROM orders WHERE id = {ROWS}")).await?;
    if !last.is_empty() {
        return Ok(());
    }
    let there = column(connection, &format!("SELECT id FROM orders WHERE id <= {ROWS}")).await?;
    let there: BTreeSet<u64> = there.iter().filter_map(|id| id.parse().ok()).collect();
    let missing: Vec<u64> = (1..=ROWS).filter(|id| !there.contains(id)).collect();
    insert(connection, &missing).await
}

async fn insert(connection: &mut Connection, ids: &[u64]) -> Result<()> {
    for chunk in ids.chunks(ROWS_PER_INSERT) {
        connection.execute_sql(insert_sql(chunk).as_bytes()).await.context("INSERT INTO orders")?;
    }
    Ok(())
}

fn insert_sql(ids: &[u64]) -> String {
    let mut sql = String::from(
        "INSERT INTO orders (id, customer_id, product, quantity, price, ordered_at) VALUES ",
    );
    for (index, id) in ids.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let product = PRODUCTS[(id % PRODUCTS.len() as u64) as usize];
        write!(
            sql,
            "{comma}({id}, {}, '{product}', {}, {}.{:02}, '2026-{:02}-{:02} {:02}:00:00')",
            id * 7 % 100 + 1,
            id % 5 + 1,
            id * 13 % 400 + 5,
            id * 31 % 100,
            id % 12 + 1,
            id % 28 + 1,
            id % 24
        )
        .expect("a string takes every write");
    }
    sql
}

/// The first column of the answer.
async fn column(connection: &mut Connection, sql: &str) -> Result<Vec<String>> {
    let QueryResult::Rows(set) = connection.query(sql.as_bytes()).await? else {
        return Ok(Vec::new());
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(set.rows.iter().filter_map(|row| row.get(0).map(text)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_depend_on_their_number_alone() {
        assert_eq!(
            insert_sql(&[1, 12]),
            "INSERT INTO orders (id, customer_id, product, quantity, price, ordered_at) VALUES \
             (1, 8, 'chair', 2, 18.31, '2026-02-02 01:00:00'), (12, 85, 'lamp', 3, 161.72, '2026-01-13 12:00:00')"
        );
    }
}
