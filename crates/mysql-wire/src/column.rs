//! Column definitions: what a result says of each of its columns before the rows.
//!
//! A router must never show physical names, so [`rewrite_column`] replaces the names in a packet
//! and copies everything else as it is, also fields that we do not know.

use crate::DecodeError;
use crate::flags::bit_flags;
use crate::lenenc::{Reader, put_bytes};

/// The collation number of binary strings.
pub const BINARY_COLLATION: u16 = 63;
/// Length of the fixed fields behind the names.
const FIXED_LEN: u8 = 0x0C;
/// The catalogue's name, always this.
const CATALOG: &[u8] = b"def";

/// The type of a column or parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // The names are the protocol's.
pub enum ColumnType {
    Decimal = 0x00,
    Tiny = 0x01,
    Short = 0x02,
    Long = 0x03,
    Float = 0x04,
    Double = 0x05,
    Null = 0x06,
    Timestamp = 0x07,
    LongLong = 0x08,
    Int24 = 0x09,
    Date = 0x0A,
    Time = 0x0B,
    Datetime = 0x0C,
    Year = 0x0D,
    NewDate = 0x0E,
    VarChar = 0x0F,
    Bit = 0x10,
    Timestamp2 = 0x11,
    Datetime2 = 0x12,
    Time2 = 0x13,
    Vector = 0xF2,
    Json = 0xF5,
    NewDecimal = 0xF6,
    Enum = 0xF7,
    Set = 0xF8,
    TinyBlob = 0xF9,
    MediumBlob = 0xFA,
    LongBlob = 0xFB,
    Blob = 0xFC,
    VarString = 0xFD,
    String = 0xFE,
    Geometry = 0xFF,
}

impl ColumnType {
    /// The type of a byte, if there is one.
    pub fn from_u8(byte: u8) -> Option<Self> {
        use ColumnType::*;
        const LOW: [ColumnType; 0x14] = [
            Decimal, Tiny, Short, Long, Float, Double, Null, Timestamp, LongLong, Int24, Date,
            Time, Datetime, Year, NewDate, VarChar, Bit, Timestamp2, Datetime2, Time2,
        ];
        Some(match byte {
            0xF2 => Vector,
            0xF5 => Json,
            0xF6 => NewDecimal,
            0xF7 => Enum,
            0xF8 => Set,
            0xF9 => TinyBlob,
            0xFA => MediumBlob,
            0xFB => LongBlob,
            0xFC => Blob,
            0xFD => VarString,
            0xFE => String,
            0xFF => Geometry,
            low => *LOW.get(usize::from(low))?,
        })
    }

    /// Whether values are whole numbers in binary rows.
    pub fn is_integer(self) -> bool {
        use ColumnType::*;
        matches!(self, Tiny | Short | Long | LongLong | Int24 | Year)
    }

    /// Whether values are dates, with or without a time of day.
    pub fn is_date(self) -> bool {
        use ColumnType::*;
        matches!(self, Date | NewDate | Datetime | Datetime2 | Timestamp | Timestamp2)
    }

    /// Whether values are durations.
    pub fn is_time(self) -> bool {
        matches!(self, ColumnType::Time | ColumnType::Time2)
    }
}

bit_flags! {
    /// Properties of a column.
    ColumnFlags(u16) {
        /// NOT NULL.
        NOT_NULL = 0;
        /// Part of the primary key.
        PRI_KEY = 1;
        /// Part of a unique key.
        UNIQUE_KEY = 2;
        /// Part of a key that is not unique.
        MULTIPLE_KEY = 3;
        /// A BLOB or TEXT.
        BLOB = 4;
        /// UNSIGNED.
        UNSIGNED = 5;
        /// ZEROFILL.
        ZEROFILL = 6;
        /// A binary collation.
        BINARY = 7;
        /// An ENUM.
        ENUM = 8;
        /// AUTO_INCREMENT.
        AUTO_INCREMENT = 9;
        /// A TIMESTAMP.
        TIMESTAMP = 10;
        /// A SET.
        SET = 11;
        /// NOT NULL and without a default.
        NO_DEFAULT_VALUE = 12;
        /// ON UPDATE CURRENT_TIMESTAMP.
        ON_UPDATE_NOW = 13;
        /// A number for clients.
        NUM = 15;
    }
}

/// A column's definition that owns its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDefinition {
    /// Database.
    pub schema: Vec<u8>,
    /// The table's alias in the statement.
    pub table: Vec<u8>,
    /// The table.
    pub org_table: Vec<u8>,
    /// The column's alias in the statement.
    pub name: Vec<u8>,
    /// The column.
    pub org_name: Vec<u8>,
    /// Collation number of the values; 63 is binary.
    pub collation: u16,
    /// Greatest length of a value in bytes.
    pub length: u32,
    /// Type.
    pub column_type: ColumnType,
    /// Properties.
    pub flags: ColumnFlags,
    /// Digits after the point; 31 where it is not fixed.
    pub decimals: u8,
    /// MariaDB's extended type, still packed; mostly empty.
    pub extended: Vec<u8>,
}

/// A column's definition whose names lie in the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // As in ColumnDefinition.
pub struct ColumnView<'a> {
    pub schema: &'a [u8],
    pub table: &'a [u8],
    pub org_table: &'a [u8],
    pub name: &'a [u8],
    pub org_name: &'a [u8],
    pub collation: u16,
    pub length: u32,
    pub column_type: ColumnType,
    pub flags: ColumnFlags,
    pub decimals: u8,
    pub extended: Option<&'a [u8]>,
}

impl<'a> ColumnView<'a> {
    /// Reads a definition, with or without an extended type. What follows the fixed fields (a default in COM_FIELD_LIST) is left out.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        reader.lenenc_bytes()?;
        let schema = reader.lenenc_bytes()?;
        let table = reader.lenenc_bytes()?;
        let org_table = reader.lenenc_bytes()?;
        let name = reader.lenenc_bytes()?;
        let org_name = reader.lenenc_bytes()?;
        let extended = read_extended(&mut reader);
        if reader.lenenc_int()? < u64::from(FIXED_LEN) {
            return Err(DecodeError::Malformed("a column definition's fixed fields"));
        }
        Ok(Self {
            extended,
            schema,
            table,
            org_table,
            name,
            org_name,
            collation: reader.u16()?,
            length: reader.u32()?,
            column_type: ColumnType::from_u8(reader.u8()?)
                .ok_or(DecodeError::Malformed("a column's type"))?,
            flags: ColumnFlags(reader.u16()?),
            decimals: reader.u8()?,
        })
    }

    /// Appends the packet without the extended type.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.put_names(out);
        self.put_fixed(out);
    }

    /// Appends the packet for a peer with `MARIADB_EXTENDED_METADATA`.
    pub fn encode_extended(&self, out: &mut Vec<u8>) {
        self.put_names(out);
        put_bytes(out, self.extended.unwrap_or_default());
        self.put_fixed(out);
    }

    fn put_names(&self, out: &mut Vec<u8>) {
        for name in [CATALOG, self.schema, self.table, self.org_table, self.name, self.org_name] {
            put_bytes(out, name);
        }
    }

    fn put_fixed(&self, out: &mut Vec<u8>) {
        out.push(FIXED_LEN);
        out.extend_from_slice(&self.collation.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.push(self.column_type as u8);
        out.extend_from_slice(&self.flags.0.to_le_bytes());
        out.extend_from_slice(&[self.decimals, 0, 0]);
    }

    /// A definition that owns its names.
    pub fn to_definition(&self) -> ColumnDefinition {
        ColumnDefinition {
            schema: self.schema.to_vec(),
            table: self.table.to_vec(),
            org_table: self.org_table.to_vec(),
            name: self.name.to_vec(),
            org_name: self.org_name.to_vec(),
            collation: self.collation,
            length: self.length,
            column_type: self.column_type,
            flags: self.flags,
            decimals: self.decimals,
            extended: self.extended.unwrap_or_default().to_vec(),
        }
    }
}

/// The extended type in front of the fixed fields, if the packet has one: the length of the fixed
/// fields stands in the same place, but nothing other than these follows it.
fn read_extended<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let fixed = usize::from(FIXED_LEN) + 1;
    if reader.remaining() == fixed {
        return None;
    }
    let mut ahead = *reader;
    match ahead.lenenc_bytes() {
        Ok(extended) if ahead.remaining() >= fixed && ahead.peek() == Some(FIXED_LEN) => {
            *reader = ahead;
            Some(extended)
        }
        _ => None,
    }
}

impl ColumnDefinition {
    /// A definition without table: the column of an expression.
    pub fn expression(
        name: impl Into<Vec<u8>>,
        column_type: ColumnType,
        collation: u16,
        length: u32,
    ) -> Self {
        Self {
            schema: Vec::new(),
            table: Vec::new(),
            org_table: Vec::new(),
            name: name.into(),
            org_name: Vec::new(),
            collation,
            length,
            column_type,
            flags: ColumnFlags::default(),
            decimals: 0,
            extended: Vec::new(),
        }
    }

    /// Reads a definition.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        ColumnView::decode(payload).map(|view| view.to_definition())
    }

    /// Appends the packet without the extended type.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.view().encode(out);
    }

    /// Appends the packet for a peer with `MARIADB_EXTENDED_METADATA`.
    pub fn encode_extended(&self, out: &mut Vec<u8>) {
        self.view().encode_extended(out);
    }

    /// The definition with borrowed names.
    pub fn view(&self) -> ColumnView<'_> {
        ColumnView {
            schema: &self.schema,
            table: &self.table,
            org_table: &self.org_table,
            name: &self.name,
            org_name: &self.org_name,
            collation: self.collation,
            length: self.length,
            column_type: self.column_type,
            flags: self.flags,
            decimals: self.decimals,
            extended: Some(&self.extended),
        }
    }

    /// Whether values are UNSIGNED.
    pub fn is_unsigned(&self) -> bool {
        self.flags.contains(ColumnFlags::UNSIGNED)
    }

    /// Whether values are bytes without a character set.
    pub fn is_binary(&self) -> bool {
        self.collation == BINARY_COLLATION
    }
}

/// The names to put into a column packet; `None` keeps what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renames<'a> {
    /// Database.
    pub schema: Option<&'a [u8]>,
    /// The table's alias.
    pub table: Option<&'a [u8]>,
    /// The table.
    pub org_table: Option<&'a [u8]>,
    /// The column's alias.
    pub name: Option<&'a [u8]>,
}

/// Appends the column packet `payload` with other names. All other bytes are copied, those of an
/// extended type if it is wanted.
pub fn rewrite_column(
    payload: &[u8],
    renames: &Renames<'_>,
    extended: bool,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(payload);
    let catalog = reader.lenenc_bytes()?;
    let schema = reader.lenenc_bytes()?;
    let table = reader.lenenc_bytes()?;
    let org_table = reader.lenenc_bytes()?;
    let name = reader.lenenc_bytes()?;
    put_bytes(out, catalog);
    put_bytes(out, renames.schema.unwrap_or(schema));
    put_bytes(out, renames.table.unwrap_or(table));
    put_bytes(out, renames.org_table.unwrap_or(org_table));
    put_bytes(out, renames.name.unwrap_or(name));
    if !extended {
        put_bytes(out, reader.lenenc_bytes()?);
        read_extended(&mut reader);
    }
    out.extend_from_slice(reader.rest());
    Ok(())
}

/// Appends the column packet `payload`, of which `view` was read, without its extended type.
pub fn strip_extended(payload: &[u8], view: &ColumnView<'_>, out: &mut Vec<u8>) {
    let tail = payload.len().saturating_sub(usize::from(FIXED_LEN) + 1);
    // The type's length takes one byte: names of types are short.
    let head = view.extended.map_or(tail, |extended| tail.saturating_sub(1 + extended.len()));
    out.extend_from_slice(&payload[..head]);
    out.extend_from_slice(&payload[tail..]);
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A column of a type, for other modules' tests.
    pub(crate) fn column(column_type: ColumnType, flags: ColumnFlags) -> ColumnDefinition {
        ColumnDefinition { flags, ..ColumnDefinition::expression("c", column_type, 45, 20) }
    }

    #[test]
    fn type_bytes_round_trip() {
        let known: Vec<u8> = (0..=255u8).filter(|b| ColumnType::from_u8(*b).is_some()).collect();
        assert_eq!(known.len(), 0x14 + 12);
        for byte in known {
            assert_eq!(ColumnType::from_u8(byte).unwrap() as u8, byte);
        }
    }

    #[test]
    fn names_are_replaced_and_the_rest_is_kept() {
        let definition = ColumnDefinition {
            schema: b"shop_0003".to_vec(),
            table: b"t_7".to_vec(),
            org_table: b"t_7".to_vec(),
            org_name: b"id".to_vec(),
            ..column(ColumnType::LongLong, ColumnFlags::PRI_KEY)
        };
        let mut packet = Vec::new();
        definition.encode(&mut packet);
        packet.extend_from_slice(b"\x03abc");
        let renames =
            Renames { schema: Some(b"shop"), table: Some(b"t"), org_table: Some(b"t"), name: None };
        let mut out = Vec::new();
        rewrite_column(&packet, &renames, true, &mut out).unwrap();
        let want = ColumnDefinition {
            schema: b"shop".to_vec(),
            table: b"t".to_vec(),
            org_table: b"t".to_vec(),
            ..definition
        };
        assert_eq!(ColumnDefinition::decode(&out).unwrap(), want);
        assert!(out.ends_with(b"\x03abc"));
    }

    proptest! {
        #[test]
        fn round_trip(names in vec(vec(any::<u8>(), 0..300), 5), extended in vec(any::<u8>(), 0..40), collation: u16, length: u32, flags: u16, decimals: u8) {
            let [schema, table, org_table, name, org_name]: [Vec<u8>; 5] = names.try_into().unwrap();
            let definition = ColumnDefinition { schema, table, org_table, name, org_name, collation, length,
                column_type: ColumnType::Enum, flags: ColumnFlags(flags), decimals, extended };
            let mut out = Vec::new();
            definition.encode_extended(&mut out);
            prop_assert_eq!(&ColumnDefinition::decode(&out).unwrap(), &definition);
            let (mut stripped, mut rewritten, mut plain) = (Vec::new(), Vec::new(), Vec::new());
            strip_extended(&out, &ColumnView::decode(&out).unwrap(), &mut stripped);
            rewrite_column(&out, &Renames::default(), false, &mut rewritten).unwrap();
            definition.encode(&mut plain);
            prop_assert_eq!(&stripped, &plain);
            prop_assert_eq!(&rewritten, &plain);
            let known = ColumnDefinition { extended: Vec::new(), ..definition };
            prop_assert_eq!(ColumnDefinition::decode(&plain).unwrap(), known);
        }

        #[test]
        fn garbage_never_panics(payload in vec(any::<u8>(), 0..80)) {
            let _ = ColumnView::decode(&payload);
            let _ = rewrite_column(&payload, &Renames::default(), false, &mut Vec::new());
        }
    }
}
