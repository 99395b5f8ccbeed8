//! MariaDB's COM_STMT_BULK_EXECUTE: the parameters of many executions in one packet. Before each
//! value stands a byte that says whether it is one.

use crate::DecodeError;
use crate::lenenc::Reader;
use crate::stmt::{ParamType, is_binary, read_types};
use crate::value::Value;

/// The client wants the result of each row.
pub const SEND_UNIT_RESULTS: u16 = 64;
/// The parameters' types stand before the rows.
pub const SEND_TYPES: u16 = 128;

/// What a row gives for a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum BulkValue {
    /// A value, NULL among them.
    Value(Value),
    /// The column's default.
    Default,
    /// Nothing: an inserted column gets its default, a changed one keeps its value.
    Ignore,
}

/// The rows, read one by one.
#[derive(Clone, Debug)]
pub struct BulkRows<'a> {
    reader: Reader<'a>,
}

impl<'a> BulkRows<'a> {
    /// Reads the types, if the flags say that there are any, into `types`, which holds those of the
    /// last execution.
    pub fn new(
        params: &'a [u8],
        flags: u16,
        count: usize,
        types: &mut Vec<ParamType>,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(params);
        if flags & SEND_TYPES != 0 {
            *types = read_types(&mut reader, count)?;
        }
        Ok(Self { reader })
    }

    /// Whether all rows are read.
    pub fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    /// The next row.
    pub fn next_row(&mut self, types: &[ParamType]) -> Result<Vec<BulkValue>, DecodeError> {
        let reader = &mut self.reader;
        let one = |kind: &ParamType| {
            Ok(match reader.u8()? {
                0 => {
                    let binary = is_binary(kind.column_type);
                    BulkValue::Value(Value::read_binary(
                        reader,
                        kind.column_type,
                        kind.unsigned,
                        binary,
                    )?)
                }
                1 => BulkValue::Value(Value::Null),
                2 => BulkValue::Default,
                3 => BulkValue::Ignore,
                _ => return Err(DecodeError::Malformed("a bulk parameter's indicator")),
            })
        };
        types.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::column::ColumnType;
    use proptest::prelude::*;

    #[test]
    fn rows_are_read_with_the_types_sent_before() {
        let mut types = Vec::new();
        let packed = b"\x03\x00\xfd\x00\x00\x07\x00\x00\x00\x00\x02hi\x01\x02\x03\x03";
        let mut rows = BulkRows::new(packed, SEND_TYPES, 2, &mut types).unwrap();
        assert_eq!(types[1].column_type, ColumnType::VarString);
        let value = |value| BulkValue::Value(value);
        let first = rows.next_row(&types).unwrap();
        assert_eq!(first, [value(Value::Int(7)), value(Value::Bytes(b"hi".to_vec()))]);
        assert_eq!(rows.next_row(&types).unwrap(), [value(Value::Null), BulkValue::Default]);
        assert_eq!(rows.next_row(&types).unwrap(), [BulkValue::Ignore, BulkValue::Ignore]);
        assert!(rows.is_empty() && rows.next_row(&types).is_err());
        let mut again = BulkRows::new(b"\x01\x04", 0, 2, &mut types).unwrap();
        assert!(again.next_row(&types).is_err());
        assert!(BulkRows::new(b"\x03\x00\xfd", SEND_TYPES, 2, &mut types).is_err());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(packed in proptest::collection::vec(any::<u8>(), 0..64), flags: u16) {
            let mut types = Vec::new();
            if let Ok(mut rows) = BulkRows::new(&packed, flags, 3, &mut types)
                && types.len() == 3
            {
                while !rows.is_empty() && rows.next_row(&types).is_ok() {}
            }
        }
    }
}
