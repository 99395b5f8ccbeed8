//! What a column's type text says: its class, an integer's bounds, a decimal's digits.

use crate::model::{Column, ColumnClass};

impl ColumnClass {
    /// The class of a COLUMN_TYPE text such as `bigint(20) unsigned` or `varchar(20)`.
    pub fn from_column_type(column_type: &str) -> ColumnClass {
        let lower = column_type.trim().to_ascii_lowercase();
        match base_name(&lower) {
            "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint" | "year"
            | "bool" | "boolean" | "serial" => {
                let unsigned = lower.contains("unsigned")
                    || lower.contains("zerofill")
                    || lower.starts_with("serial")
                    || lower.starts_with("year");
                if unsigned { ColumnClass::UnsignedInteger } else { ColumnClass::Integer }
            }
            "decimal" | "numeric" | "dec" | "fixed" => ColumnClass::Decimal {
                scale: arguments(&lower).get(1).map_or(0, |scale| clamp(*scale)),
            },
            "float" | "double" | "real" => ColumnClass::Float,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum"
            | "set" | "json" | "nchar" | "nvarchar" | "character" => ColumnClass::Text,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                ColumnClass::Binary
            }
            "date" => ColumnClass::Date,
            "datetime" | "timestamp" => ColumnClass::DateTime,
            "time" => ColumnClass::Time,
            "bit" => ColumnClass::Bit,
            _ => ColumnClass::Other,
        }
    }
}

/// A type's text in lower case, but for the values of an ENUM or SET.
pub fn lower_type(column_type: &str) -> String {
    let mut quoted = false;
    let lower = |letter: char| {
        quoted ^= letter == '\'';
        if quoted { letter } else { letter.to_ascii_lowercase() }
    };
    column_type.chars().map(lower).collect()
}

impl Column {
    /// A nullable column of this name and type, with nothing else said.
    pub fn plain(name: &str, column_type: &str) -> Column {
        Column {
            name: name.to_owned(),
            column_type: lower_type(column_type),
            class: ColumnClass::from_column_type(column_type),
            collation: None,
            nullable: true,
            auto_increment: false,
            generated: false,
            invisible: false,
            has_default: true,
        }
    }

    /// The first word of its type: `bigint`, `varchar`.
    pub fn type_name(&self) -> &str {
        base_name(&self.column_type)
    }

    /// How many bits an integer column has.
    pub fn integer_bits(&self) -> Option<u32> {
        Some(match self.type_name() {
            "tinyint" | "bool" | "boolean" => 8,
            "smallint" => 16,
            "mediumint" => 24,
            "int" | "integer" => 32,
            "bigint" | "serial" => 64,
            _ => return None,
        })
    }

    /// The lowest and highest value of an integer or whole decimal column.
    pub fn integer_bounds(&self) -> Option<(i128, i128)> {
        if let Some(bits) = self.integer_bits() {
            return Some(match self.class {
                ColumnClass::UnsignedInteger => (0, (1_i128 << bits) - 1),
                _ => (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1),
            });
        }
        let precision = self.decimal_precision()?;
        let high = 10_i128.checked_pow(precision)? - 1;
        Some((if self.column_type.contains("unsigned") { 0 } else { -high }, high))
    }

    /// A decimal's number of digits.
    pub fn decimal_precision(&self) -> Option<u32> {
        matches!(self.class, ColumnClass::Decimal { .. })
            .then(|| arguments(&self.column_type).first().copied().unwrap_or(10))
    }

    /// Whether texts of this column that compare as equal have equal bytes.
    pub fn is_compared_by_bytes(&self) -> bool {
        match self.class {
            ColumnClass::Text => self.collation.as_deref().is_some_and(|collation| {
                collation == "binary"
                    || collation.ends_with("_nopad_bin")
                    || collation.ends_with("_0900_bin")
            }),
            _ => true,
        }
    }
}

/// The first word of a type.
fn base_name(column_type: &str) -> &str {
    let end = column_type
        .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .unwrap_or(column_type.len());
    &column_type[..end]
}

/// The numbers in a type's brackets.
fn arguments(column_type: &str) -> Vec<u32> {
    let Some((_, rest)) = column_type.split_once('(') else { return Vec::new() };
    let Some((inside, _)) = rest.split_once(')') else { return Vec::new() };
    inside.split(',').filter_map(|number| number.trim().parse().ok()).collect()
}

fn clamp(scale: u32) -> u8 {
    u8::try_from(scale).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_case() {
        assert_eq!(lower_type("ENUM('Yes','it''S No')"), "enum('Yes','it''S No')");
        assert_eq!(lower_type("BIGINT(20) UNSIGNED"), "bigint(20) unsigned");
    }

    #[test]
    fn classes() {
        for (column_type, class) in [
            ("bigint(20) unsigned", ColumnClass::UnsignedInteger),
            ("BIGINT", ColumnClass::Integer),
            ("tinyint(1)", ColumnClass::Integer),
            ("int(5) zerofill", ColumnClass::UnsignedInteger),
            ("year(4)", ColumnClass::UnsignedInteger),
            ("decimal(10,2)", ColumnClass::Decimal { scale: 2 }),
            ("decimal", ColumnClass::Decimal { scale: 0 }),
            ("double", ColumnClass::Float),
            ("varchar(20)", ColumnClass::Text),
            ("enum('a','int')", ColumnClass::Text),
            ("varbinary(3)", ColumnClass::Binary),
            ("longblob", ColumnClass::Binary),
            ("date", ColumnClass::Date),
            ("datetime(6)", ColumnClass::DateTime),
            ("timestamp", ColumnClass::DateTime),
            ("time", ColumnClass::Time),
            ("bit(8)", ColumnClass::Bit),
            ("point", ColumnClass::Other),
        ] {
            assert_eq!(ColumnClass::from_column_type(column_type), class, "{column_type}");
        }
    }

    #[test]
    fn bounds() {
        let bounds = |column_type| Column::plain("c", column_type).integer_bounds();
        assert_eq!(bounds("tinyint(4)"), Some((-128, 127)));
        assert_eq!(bounds("mediumint(8) unsigned"), Some((0, 16_777_215)));
        assert_eq!(bounds("bigint(20)"), Some((i64::MIN.into(), i64::MAX.into())));
        assert_eq!(bounds("decimal(3,0)"), Some((-999, 999)));
        assert_eq!(bounds("varchar(3)"), None);
    }
}
