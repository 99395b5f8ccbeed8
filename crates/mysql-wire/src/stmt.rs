//! Prepared statements: the answer to COM_STMT_PREPARE, and the parameters of COM_STMT_EXECUTE,
//! whose types a client sends only when they changed and whose long values it sent ahead.

use crate::DecodeError;
use crate::column::ColumnType;
use crate::command::CommandCode;
use crate::lenenc::Reader;
use crate::value::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The bit that marks an unsigned type.
const UNSIGNED: u8 = 0x80;

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamType {
    /// Type.
    pub column_type: ColumnType,
    /// Whether a whole number has no sign.
    pub unsigned: bool,
}

impl ParamType {
    fn packed(self) -> [u8; 2] {
        [self.column_type as u8, if self.unsigned { UNSIGNED } else { 0 }]
    }
}

/// Parameters sent ahead by COM_STMT_SEND_LONG_DATA, kept until the statement is executed or reset.
#[derive(Clone, Debug)]
pub struct LongData {
    values: BTreeMap<u16, Vec<u8>>,
    bytes: usize,
    bytes_max: usize,
}

impl LongData {
    /// Nothing yet; all values together may take `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        Self { values: BTreeMap::new(), bytes: 0, bytes_max }
    }

    /// Appends to a parameter's value. The command has no answer, so an error is for the next
    /// COM_STMT_EXECUTE.
    pub fn append(&mut self, param: u16, data: &[u8]) -> Result<(), DecodeError> {
        if data.len() > self.bytes_max - self.bytes {
            return Err(DecodeError::TooLarge { limit: self.bytes_max });
        }
        self.bytes += data.len();
        self.values.entry(param).or_default().extend_from_slice(data);
        Ok(())
    }

    /// A parameter's value, if it was sent ahead.
    pub fn get(&self, param: u16) -> Option<&[u8]> {
        self.values.get(&param).map(Vec::as_slice)
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.values.clear();
        self.bytes = 0;
    }

    /// Whether no value was sent ahead.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Reads the parameters of COM_STMT_EXECUTE (`StmtExecute::params`). `types` holds the types of
/// the last execution; new ones replace them.
pub fn decode_params(
    params: &[u8],
    count: usize,
    types: &mut Vec<ParamType>,
    long_data: &LongData,
) -> Result<Vec<Value>, DecodeError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(params);
    let nulls = reader.take(count.div_ceil(8))?;
    if reader.u8()? == 1 {
        *types = read_types(&mut reader, count)?;
    }
    if types.len() != count {
        return Err(DecodeError::Malformed("an execution without types of its parameters"));
    }
    let mut values = Vec::with_capacity(count);
    for (index, kind) in types.iter().enumerate() {
        let binary = is_binary(kind.column_type);
        values.push(if let Some(long) = long_data.get(index as u16) {
            Value::string(long, binary)
        } else if nulls[index / 8] >> (index % 8) & 1 == 1 {
            Value::Null
        } else {
            Value::read_binary(&mut reader, kind.column_type, kind.unsigned, binary)?
        });
    }
    Ok(values)
}

/// Parameters that [`decode_params`] has read, with their types where they came without: for a server that has
/// not seen them.
pub fn with_types<'a>(params: &'a [u8], types: &[ParamType]) -> Cow<'a, [u8]> {
    let (nulls, rest) = params.split_at(types.len().div_ceil(8).min(params.len()));
    let Some((0, values)) = rest.split_first() else { return params.into() };
    let mut typed = Vec::with_capacity(params.len() + 2 * types.len());
    typed.extend_from_slice(nulls);
    typed.push(1);
    typed.extend(types.iter().flat_map(|kind| kind.packed()));
    typed.extend_from_slice(values);
    typed.into()
}

/// Reads the types of all parameters.
pub(crate) fn read_types(
    reader: &mut Reader<'_>,
    count: usize,
) -> Result<Vec<ParamType>, DecodeError> {
    let packed = reader.take(count * 2)?;
    packed
        .chunks_exact(2)
        .map(|pair| {
            let column_type =
                ColumnType::from_u8(pair[0]).ok_or(DecodeError::Malformed("a parameter's type"))?;
            Ok(ParamType { column_type, unsigned: pair[1] & UNSIGNED != 0 })
        })
        .collect()
}

/// The types by which a client says that a string has no character set.
pub(crate) fn is_binary(column_type: ColumnType) -> bool {
    use ColumnType::*;
    matches!(column_type, TinyBlob | MediumBlob | LongBlob | Blob)
}

/// The first packet of the answer to COM_STMT_PREPARE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrepareOk {
    /// The statement's number.
    pub statement_id: u32,
    /// Columns of its result; 0 for no result.
    pub columns: u16,
    /// Parameters.
    pub params: u16,
    /// Warnings of preparing.
    pub warnings: u16,
}

impl PrepareOk {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(0);
        out.extend_from_slice(&self.statement_id.to_le_bytes());
        out.extend_from_slice(&self.columns.to_le_bytes());
        out.extend_from_slice(&self.params.to_le_bytes());
        out.push(0);
        out.extend_from_slice(&self.warnings.to_le_bytes());
    }

    /// Reads the packet.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != 0 {
            return Err(DecodeError::Malformed("the answer to COM_STMT_PREPARE"));
        }
        let statement_id = reader.u32()?;
        let columns = reader.u16()?;
        let params = reader.u16()?;
        let mut warnings = 0;
        if !reader.is_empty() {
            reader.skip(1)?;
            warnings = reader.u16()?;
        }
        Ok(Self { statement_id, columns, params, warnings })
    }
}

/// Appends COM_STMT_EXECUTE with all types and values.
pub fn encode_execute(out: &mut Vec<u8>, statement_id: u32, flags: u8, params: &[Value]) {
    out.push(CommandCode::StmtExecute as u8);
    out.extend_from_slice(&statement_id.to_le_bytes());
    out.push(flags);
    out.extend_from_slice(&1u32.to_le_bytes());
    encode_params(out, params);
}

/// Appends the null bitmap, types and values of parameters.
pub fn encode_params(out: &mut Vec<u8>, params: &[Value]) {
    if params.is_empty() {
        return;
    }
    let bitmap = out.len();
    out.resize(bitmap + params.len().div_ceil(8), 0);
    out.push(1);
    for (index, value) in params.iter().enumerate() {
        if *value == Value::Null {
            out[bitmap + index / 8] |= 1 << (index % 8);
        }
        let (column_type, unsigned) = value.param_type();
        out.extend_from_slice(&ParamType { column_type, unsigned }.packed());
    }
    for value in params {
        value.put_param(out);
    }
}

/// Appends COM_STMT_PREPARE.
pub fn encode_prepare(out: &mut Vec<u8>, sql: &[u8]) {
    out.push(CommandCode::StmtPrepare as u8);
    out.extend_from_slice(sql);
}

/// Appends COM_STMT_CLOSE.
pub fn encode_close(out: &mut Vec<u8>, statement_id: u32) {
    put_command(out, CommandCode::StmtClose, statement_id);
}

/// Appends COM_STMT_RESET.
pub fn encode_reset(out: &mut Vec<u8>, statement_id: u32) {
    put_command(out, CommandCode::StmtReset, statement_id);
}

/// Appends COM_STMT_FETCH.
pub fn encode_fetch(out: &mut Vec<u8>, statement_id: u32, rows: u32) {
    put_command(out, CommandCode::StmtFetch, statement_id);
    out.extend_from_slice(&rows.to_le_bytes());
}

/// Appends COM_STMT_SEND_LONG_DATA.
pub fn encode_long_data(out: &mut Vec<u8>, statement_id: u32, param: u16, data: &[u8]) {
    put_command(out, CommandCode::StmtSendLongData, statement_id);
    out.extend_from_slice(&param.to_le_bytes());
    out.extend_from_slice(data);
}

fn put_command(out: &mut Vec<u8>, code: CommandCode, statement_id: u32) {
    out.push(code as u8);
    out.extend_from_slice(&statement_id.to_le_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::command::Command;
    use crate::temporal::{DateValue, TimeValue};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Int),
            any::<u64>().prop_map(Value::UInt),
            (-1e30f32..1e30).prop_map(Value::Float),
            (-1e300..1e300).prop_map(Value::Double),
            vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
            vec(any::<u8>(), 0..300).prop_map(Value::Blob),
            Just(Value::Decimal(b"1.50".to_vec())),
            (any::<u16>(), any::<bool>()).prop_map(|(year, has_time)| {
                Value::Date(DateValue { year, month: 3, day: 4, has_time, ..Default::default() })
            }),
            (1u32..9).prop_map(|days| Value::Time(TimeValue {
                days,
                micros: 5,
                ..Default::default()
            })),
        ]
    }

    fn params_of(payload: &[u8]) -> &[u8] {
        match Command::parse(payload).unwrap() {
            Command::StmtExecute(execute) => {
                assert_eq!((execute.statement_id, execute.flags, execute.iterations), (9, 1, 1));
                execute.params
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn types_are_remembered() {
        let long = LongData::new(0);
        let mut types = Vec::new();
        let mut payload = Vec::new();
        encode_execute(&mut payload, 9, 1, &[Value::Int(1), Value::Bytes(b"a".to_vec())]);
        decode_params(params_of(&payload), 2, &mut types, &long).unwrap();
        let again = b"\x02\x00\x07\0\0\0\0\0\0\0";
        let values = decode_params(again, 2, &mut types, &long).unwrap();
        assert_eq!(values, [Value::Int(7), Value::Null]);
        assert!(decode_params(again, 2, &mut Vec::new(), &long).is_err());
        let typed = with_types(again, &types);
        assert_eq!(decode_params(&typed, 2, &mut Vec::new(), &long).unwrap(), values);
        assert!(matches!(with_types(&typed, &types), Cow::Borrowed(same) if same == &*typed));
        assert!(with_types(b"", &[]).is_empty());
    }

    #[test]
    fn long_data_takes_the_place_of_a_value() {
        let mut long = LongData::new(8);
        long.append(1, b"abc").unwrap();
        long.append(1, b"def").unwrap();
        assert_eq!(long.append(0, b"xyz"), Err(DecodeError::TooLarge { limit: 8 }));
        let body = b"\x00\x01\x08\x00\xfc\x00\x01\x80\x05\0\0\0\0\0\0\0\xff";
        let values = decode_params(body, 3, &mut Vec::new(), &long).unwrap();
        assert_eq!(values, [Value::Int(5), Value::Blob(b"abcdef".to_vec()), Value::UInt(255)]);
        long.clear();
        assert!(long.is_empty() && long.append(0, b"12345678").is_ok());
    }

    #[test]
    fn commands_of_the_client_are_read_back() {
        let mut out = Vec::new();
        encode_long_data(&mut out, 3, 1, b"xy");
        let want = Command::StmtSendLongData { statement_id: 3, param: 1, data: b"xy" };
        assert_eq!(Command::parse(&out).unwrap(), want);
        out.clear();
        encode_fetch(&mut out, 3, 10);
        assert_eq!(Command::parse(&out).unwrap(), Command::StmtFetch { statement_id: 3, rows: 10 });
        out.clear();
        encode_close(&mut out, 3);
        assert_eq!(Command::parse(&out).unwrap(), Command::StmtClose(3));
        out.clear();
        encode_reset(&mut out, 3);
        assert_eq!(Command::parse(&out).unwrap(), Command::StmtReset(3));
        out.clear();
        encode_prepare(&mut out, b"select ?");
        assert_eq!(Command::parse(&out).unwrap(), Command::StmtPrepare(b"select ?"));
    }

    proptest! {
        #[test]
        fn round_trip(values in vec(value(), 0..20)) {
            let mut payload = Vec::new();
            encode_execute(&mut payload, 9, 1, &values);
            let read = decode_params(params_of(&payload), values.len(), &mut Vec::new(), &LongData::new(0));
            prop_assert_eq!(read.unwrap(), values);
        }

        #[test]
        fn prepare_ok_round_trip(statement_id: u32, columns: u16, params: u16, warnings: u16) {
            let ok = PrepareOk { statement_id, columns, params, warnings };
            let mut out = Vec::new();
            ok.encode(&mut out);
            prop_assert_eq!(PrepareOk::decode(&out).unwrap(), ok);
        }

        #[test]
        fn garbage_never_panics(params in vec(any::<u8>(), 0..80), count in 0usize..20) {
            let _ = decode_params(&params, count, &mut Vec::new(), &LongData::new(0));
            let _ = PrepareOk::decode(&params);
        }
    }
}
