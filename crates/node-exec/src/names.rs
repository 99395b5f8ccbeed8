//! Physical names back into logical ones: in the columns of an answer and in a data node's error
//! texts. A client never sees a physical database or table.

use crate::decision::OWN_DATABASE;
use mysql_wire::column::{ColumnDefinition, ColumnView, Renames, rewrite_column, strip_extended};
use mysql_wire::error::DecodeError;
use sql_plan::plan::{PlanTable, TablePlace};
use topology::model::DATABASE_DIGITS;

/// A temporary table of a session with such a name stands for one of information_schema.
pub const CATALOGUE_STAND_IN: &str = "_ddm_catalogue_of_";

/// The same for a sequence that is read as a table.
pub const SEQUENCE_STAND_IN: &str = "_ddm_sequence_as_table_";

/// What a table of the plan is called physically, by form.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    tables: &'a [PlanTable],
    /// Names of scratch tables begin so; the number is the table's.
    scratch: Option<&'a str>,
}

impl<'a> Names<'a> {
    /// The names of a plan's tables.
    pub fn of(tables: &'a [PlanTable]) -> Self {
        Self { tables, scratch: None }
    }

    /// The same, with scratch tables called `prefix` and the table's number.
    pub fn with_scratch(tables: &'a [PlanTable], prefix: &'a str) -> Self {
        Self { tables, scratch: Some(prefix) }
    }

    /// The plan's tables, when names follow from them alone.
    pub fn plain_tables(&self) -> Option<&'a [PlanTable]> {
        self.scratch.is_none().then_some(self.tables)
    }

    fn schema(&self, physical: &[u8]) -> Option<&'a str> {
        if self.scratch.is_some() && physical == OWN_DATABASE.as_bytes() {
            return Some("");
        }
        let named = |schema: &str| {
            physical
                .strip_prefix(schema.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"_"))
                .is_some_and(|digits| {
                    digits.len() == DATABASE_DIGITS && digits.iter().all(u8::is_ascii_digit)
                })
        };
        self.tables.iter().map(|table| table.schema.as_str()).find(|schema| named(schema))
    }

    /// Whether a table holds the result of a part of the statement.
    fn is_result(&self, physical: &[u8]) -> bool {
        let digits = self.scratch.and_then(|prefix| physical.strip_prefix(prefix.as_bytes()));
        let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        number.is_some_and(|number: usize| number >= self.tables.len())
    }

    fn table(&self, physical: &[u8]) -> Option<&'a str> {
        if let Some(number) =
            self.scratch.and_then(|prefix| physical.strip_prefix(prefix.as_bytes()))
        {
            let number: usize = std::str::from_utf8(number).ok()?.parse().ok()?;
            return Some(self.tables.get(number).map_or("", |table| table.name.as_str()));
        }
        let named = |table: &PlanTable| {
            let base = table.physical_base().as_bytes();
            if physical.len() < base.len() || !physical[..base.len()].eq_ignore_ascii_case(base) {
                return false;
            }
            let rest = &physical[base.len()..];
            match table.place {
                TablePlace::Sharded { suffixed: true } => {
                    rest.strip_prefix(b"_").is_some_and(|digits| {
                        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
                    })
                }
                _ => rest.is_empty() && table.physical_base.is_some(),
            }
        };
        self.tables.iter().find(|table| named(table)).map(|table| table.name.as_str())
    }

    /// A column's definition with logical names.
    pub fn logical_column(
        &self,
        column: &ColumnDefinition,
    ) -> Result<ColumnDefinition, DecodeError> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        column.encode_extended(&mut before);
        self.rewrite_column(&before, true, &mut after)?;
        ColumnDefinition::decode(&after)
    }

    /// Appends a column definition's payload with logical names, and with its extended type if that
    /// is wanted.
    pub fn rewrite_column(
        &self,
        payload: &[u8],
        extended: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let view = ColumnView::decode(payload)?;
        let of_result = self.is_result(view.org_table);
        let org_table = self.table(view.org_table);
        let stands_in = org_table
            .map_or(view.org_table, str::as_bytes)
            .starts_with(CATALOGUE_STAND_IN.as_bytes());
        let schema = match (of_result, stands_in) {
            (true, _) => Some(""),
            (false, true) => Some("information_schema"),
            (false, false) => self.schema(view.schema),
        };
        let renames = Renames {
            schema: schema.map(str::as_bytes),
            table: self.table(view.table).map(str::as_bytes),
            org_table: org_table.map(str::as_bytes),
            name: None,
        };
        if renames.schema.is_none() && renames.table.is_none() && renames.org_table.is_none() {
            match extended || view.extended.is_none() {
                true => out.extend_from_slice(payload),
                false => strip_extended(payload, &view, out),
            }
            return Ok(());
        }
        rewrite_column(payload, &renames, extended, out)
    }

    /// A data node's error text with logical names.
    pub fn rewrite_message(&self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len());
        let is_name =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80;
        let mut at = 0;
        while at < message.len() {
            let end = message[at..]
                .iter()
                .position(|byte| !is_name(*byte))
                .map_or(message.len(), |length| at + length);
            if end == at {
                out.push(message[at]);
                at += 1;
                continue;
            }
            let word = &message[at..end];
            match self.schema(word).or_else(|| self.table(word)) {
                Some(logical) => out.extend_from_slice(logical.as_bytes()),
                None => out.extend_from_slice(word),
            }
            at = end;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_logical_names_only() {
        let tables = [PlanTable {
            schema: "shop".into(),
            name: "orders".into(),
            physical_base: None,
            alias: "orders".into(),
            place: TablePlace::Sharded { suffixed: true },
        }];
        let names = Names::of(&tables);
        for (physical, logical) in [
            ("Table 'shop_0003.orders_12' doesn't exist", "Table 'shop.orders' doesn't exist"),
            (
                "Duplicate entry 'orders_x' for key 'PRIMARY'",
                "Duplicate entry 'orders_x' for key 'PRIMARY'",
            ),
            ("shop_003 shop_00031 orders_", "shop_003 shop_00031 orders_"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&names.rewrite_message(physical.as_bytes())),
                logical
            );
        }
    }
}
