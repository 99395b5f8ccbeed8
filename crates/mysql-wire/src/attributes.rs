//! Query attributes (`QUERY_ATTRIBUTES`): names and values that a client sends beside a statement. No
//! statement of ours reads them; they are taken out, so that what is behind them is read rightly.

use crate::DecodeError;
use crate::column::ColumnType;
use crate::lenenc::Reader;
use crate::stmt::ParamType;
use crate::value::Value;
use std::borrow::Cow;

/// The flag of COM_STMT_EXECUTE that says that the number of parameters is in the packet.
pub const PARAMETER_COUNT_AVAILABLE: u8 = 8;

/// More attributes than this are refused.
const ATTRIBUTES_MAX: usize = 65_535;

/// The text of COM_QUERY behind its attributes.
pub fn query_text(body: &[u8]) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new(body);
    let count = read_count(&mut reader)?;
    if reader.lenenc_int()? != 1 {
        return Err(DecodeError::Malformed("several sets of query attributes"));
    }
    if count > 0 {
        let nulls = reader.take(count.div_ceil(8))?;
        if reader.u8()? != 1 {
            return Err(DecodeError::Malformed("query attributes without types"));
        }
        let types = read_named_types(&mut reader, count)?;
        skip_values(&mut reader, &types, nulls, 0)?;
    }
    Ok(reader.rest())
}

/// The parameters of COM_STMT_EXECUTE as they would be without attributes, which follow those of the
/// statement, and without names. `known` are the types of the last execution.
pub fn execute_params<'a>(
    params: &'a [u8],
    flags: u8,
    count: usize,
    known: &[ParamType],
    is_sent_ahead: impl Fn(u16) -> bool,
) -> Result<Cow<'a, [u8]>, DecodeError> {
    let mut reader = Reader::new(params);
    // Without the flag nothing says that there are attributes; a statement with parameters of its
    // own has their number nevertheless.
    let all = match count > 0 || flags & PARAMETER_COUNT_AVAILABLE != 0 {
        true => read_count(&mut reader)?,
        false => 0,
    };
    if all < count {
        return Err(DecodeError::Malformed("fewer parameters than the statement has"));
    }
    if count == 0 {
        return Ok(Cow::Borrowed(&[]));
    }
    let nulls = reader.take(all.div_ceil(8))?;
    let bound = reader.u8()?;
    let types = match bound {
        1 => read_named_types(&mut reader, all)?,
        _ => known.to_vec(),
    };
    let types = types.get(..count).ok_or(DecodeError::Malformed("parameters without types"))?;
    let values = reader;
    for (index, kind) in types.iter().enumerate() {
        if !is_null(nulls, index) && !is_sent_ahead(u16::try_from(index).unwrap_or(u16::MAX)) {
            skip_value(&mut reader, kind)?;
        }
    }
    let length = values.remaining() - reader.remaining();
    let mut out = nulls[..count.div_ceil(8)].to_vec();
    if let (Some(last), used @ 1..) = (out.last_mut(), count % 8) {
        *last &= (1 << used) - 1;
    }
    out.push(bound);
    if bound == 1 {
        for kind in types {
            out.extend_from_slice(&[kind.column_type as u8, if kind.unsigned { 0x80 } else { 0 }]);
        }
    }
    let mut values = values;
    out.extend_from_slice(values.take(length)?);
    Ok(Cow::Owned(out))
}

fn read_count(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let count = usize::try_from(reader.lenenc_int()?).unwrap_or(usize::MAX);
    match count {
        0..=ATTRIBUTES_MAX => Ok(count),
        _ => Err(DecodeError::TooLarge { limit: ATTRIBUTES_MAX }),
    }
}

fn read_named_types(reader: &mut Reader<'_>, count: usize) -> Result<Vec<ParamType>, DecodeError> {
    let mut types = Vec::new();
    for _ in 0..count {
        let [kind, flags] = reader.u16()?.to_le_bytes();
        let column_type =
            ColumnType::from_u8(kind).ok_or(DecodeError::Malformed("a parameter's type"))?;
        types.push(ParamType { column_type, unsigned: flags & 0x80 != 0 });
        reader.lenenc_bytes()?;
    }
    Ok(types)
}

fn skip_values(
    reader: &mut Reader<'_>,
    types: &[ParamType],
    nulls: &[u8],
    from: usize,
) -> Result<(), DecodeError> {
    for (index, kind) in types.iter().enumerate().skip(from) {
        if !is_null(nulls, index) {
            skip_value(reader, kind)?;
        }
    }
    Ok(())
}

fn skip_value(reader: &mut Reader<'_>, kind: &ParamType) -> Result<(), DecodeError> {
    Value::read_binary(reader, kind.column_type, kind.unsigned, true).map(drop)
}

fn is_null(nulls: &[u8], index: usize) -> bool {
    nulls.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stmt::{LongData, decode_params};
    use proptest::prelude::*;

    #[test]
    fn the_text_stands_behind_the_attributes() {
        assert_eq!(query_text(b"\x00\x01SELECT 1").unwrap(), b"SELECT 1");
        let two = b"\x02\x01\x02\x01\x03\x00\x01a\xfd\x00\x01b\x07\x00\x00\x00SELECT 2";
        assert_eq!(query_text(two).unwrap(), b"SELECT 2");
        for bad in
            [&b"\x01\x01\x00\x00"[..], b"\x00\x02SELECT", b"", b"\x01\x01\x00\x01\x03\x00\x01a\x07"]
        {
            assert!(query_text(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn parameters_stand_before_the_attributes() {
        let packed = b"\x02\x00\x01\x03\x00\x00\xfd\x00\x02id\x07\x00\x00\x00\x03abc";
        let plain = execute_params(packed, 8, 1, &[], |_| false).unwrap();
        assert_eq!(plain.as_ref(), b"\x00\x01\x03\x00\x07\x00\x00\x00");
        let mut types = Vec::new();
        let values = decode_params(&plain, 1, &mut types, &LongData::new(9)).unwrap();
        assert_eq!(values, [Value::Int(7)]);
        let again = execute_params(b"\x01\x00\x00\x09\x00\x00\x00", 8, 1, &types, |_| false);
        assert_eq!(again.unwrap().as_ref(), b"\x00\x00\x09\x00\x00\x00");
        let unflagged = b"\x01\x00\x01\x03\x00\x02id\x07\x00\x00\x00";
        let named = execute_params(unflagged, 0, 1, &[], |_| false);
        assert_eq!(named.unwrap().as_ref(), b"\x00\x01\x03\x00\x07\x00\x00\x00");
        assert_eq!(
            execute_params(b"\x01\x01\x01\xfd\x00\x00", 8, 0, &[], |_| false).unwrap().len(),
            0
        );
        assert!(execute_params(b"\x00", 8, 1, &[], |_| false).is_err());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(packed in proptest::collection::vec(any::<u8>(), 0..64), flags: u8, count in 0usize..9) {
            let _ = query_text(&packed);
            let _ = execute_params(&packed, flags, count, &[], |_| false);
        }
    }
}
