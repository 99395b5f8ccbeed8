//! Types of columns and of variables in stored programs, with character sets and collations.

use super::{Parser, Result};
use crate::ast::{DataType, Ident, Span, TypeKind};
use crate::lexer::TokenKind as T;
use crate::text;

/// Type words and what they are; of two that begin alike the longer stands first.
const TYPES: &[(&[&str], TypeKind)] = &[
    (&["TINYINT"], TypeKind::TinyInt),
    (&["INT1"], TypeKind::TinyInt),
    (&["BOOLEAN"], TypeKind::TinyInt),
    (&["BOOL"], TypeKind::TinyInt),
    (&["SMALLINT"], TypeKind::SmallInt),
    (&["INT2"], TypeKind::SmallInt),
    (&["MEDIUMINT"], TypeKind::MediumInt),
    (&["MIDDLEINT"], TypeKind::MediumInt),
    (&["INT3"], TypeKind::MediumInt),
    (&["INTEGER"], TypeKind::Int),
    (&["INT4"], TypeKind::Int),
    (&["INT"], TypeKind::Int),
    (&["BIGINT"], TypeKind::BigInt),
    (&["INT8"], TypeKind::BigInt),
    (&["DECIMAL"], TypeKind::Decimal),
    (&["NUMERIC"], TypeKind::Decimal),
    (&["DEC"], TypeKind::Decimal),
    (&["FIXED"], TypeKind::Decimal),
    (&["NUMBER"], TypeKind::Decimal),
    (&["DOUBLE", "PRECISION"], TypeKind::Double),
    (&["DOUBLE"], TypeKind::Double),
    (&["FLOAT8"], TypeKind::Double),
    (&["REAL"], TypeKind::Double),
    (&["FLOAT4"], TypeKind::Float),
    (&["FLOAT"], TypeKind::Float),
    (&["BIT"], TypeKind::Bit),
    (&["DATETIME"], TypeKind::DateTime),
    (&["DATE"], TypeKind::Date),
    (&["TIMESTAMP"], TypeKind::Timestamp),
    (&["TIME"], TypeKind::Time),
    (&["YEAR"], TypeKind::Year),
    (&["NATIONAL", "VARCHAR"], TypeKind::VarChar),
    (&["NATIONAL", "CHARACTER", "VARYING"], TypeKind::VarChar),
    (&["NATIONAL", "CHAR", "VARYING"], TypeKind::VarChar),
    (&["NATIONAL", "CHARACTER"], TypeKind::Char),
    (&["NATIONAL", "CHAR"], TypeKind::Char),
    (&["NVARCHAR"], TypeKind::VarChar),
    (&["NCHAR", "VARYING"], TypeKind::VarChar),
    (&["NCHAR", "VARCHAR"], TypeKind::VarChar),
    (&["NCHAR"], TypeKind::Char),
    (&["CHARACTER", "VARYING"], TypeKind::VarChar),
    (&["CHAR", "VARYING"], TypeKind::VarChar),
    (&["CHAR", "BYTE"], TypeKind::Binary),
    (&["CHARACTER"], TypeKind::Char),
    (&["CHAR"], TypeKind::Char),
    (&["VARCHARACTER"], TypeKind::VarChar),
    (&["VARCHAR2"], TypeKind::VarChar),
    (&["VARCHAR"], TypeKind::VarChar),
    (&["VARBINARY"], TypeKind::VarBinary),
    (&["BINARY"], TypeKind::Binary),
    (&["RAW"], TypeKind::VarBinary),
    (&["TINYTEXT"], TypeKind::TinyText),
    (&["MEDIUMTEXT"], TypeKind::MediumText),
    (&["LONGTEXT"], TypeKind::LongText),
    (&["CLOB"], TypeKind::LongText),
    (&["TEXT"], TypeKind::Text),
    (&["TINYBLOB"], TypeKind::TinyBlob),
    (&["MEDIUMBLOB"], TypeKind::MediumBlob),
    (&["LONGBLOB"], TypeKind::LongBlob),
    (&["BLOB"], TypeKind::Blob),
    (&["LONG", "VARBINARY"], TypeKind::MediumBlob),
    (&["LONG", "VARCHAR"], TypeKind::MediumText),
    (&["LONG"], TypeKind::MediumText),
    (&["ENUM"], TypeKind::Enum),
    (&["SET"], TypeKind::Set),
    (&["JSON"], TypeKind::Json),
    (&["GEOMETRYCOLLECTION"], TypeKind::Geometry),
    (&["GEOMETRY"], TypeKind::Geometry),
    (&["MULTIPOINT"], TypeKind::Geometry),
    (&["MULTILINESTRING"], TypeKind::Geometry),
    (&["MULTIPOLYGON"], TypeKind::Geometry),
    (&["POINT"], TypeKind::Geometry),
    (&["LINESTRING"], TypeKind::Geometry),
    (&["POLYGON"], TypeKind::Geometry),
    (&["UUID"], TypeKind::Uuid),
    (&["INET4"], TypeKind::Inet4),
    (&["INET6"], TypeKind::Inet6),
    (&["VECTOR"], TypeKind::Vector),
    (&["SERIAL"], TypeKind::Serial),
];

impl Parser<'_> {
    /// A collation's name after COLLATE.
    pub(super) fn collation(&mut self) -> Result<Ident> {
        self.eat_kind(T::Eq);
        if self.at_any(&["BINARY", "DEFAULT"]) {
            Ok(self.any_ident())
        } else {
            self.ident_or_string()
        }
    }

    pub(super) fn data_type(&mut self) -> Result<DataType> {
        let start = self.start();
        let known = TYPES.iter().find(|(words, _)| self.eat_words(words)).map(|(_, kind)| kind);
        let kind = match known {
            Some(kind) => kind,
            // A word that is no type here may be one of the data node's; it says so if not.
            None if self.is(T::Ident) => {
                self.bump();
                if self.eat_kind(T::Dot) {
                    self.after_dot()?;
                }
                if self.is(T::LParen) {
                    self.skip_parens()?;
                }
                &TypeKind::Other
            }
            None => return self.unexpected(),
        };
        let mut ty = DataType {
            kind: *kind,
            length: None,
            scale: None,
            values: Vec::new(),
            unsigned: *kind == TypeKind::Serial,
            zerofill: false,
            charset: None,
            collation: None,
            span: Span::default(),
        };
        if self.is(T::LParen) {
            self.type_arguments(&mut ty)?;
        }
        loop {
            if self.eat("UNSIGNED") {
                ty.unsigned = true;
            } else if self.eat("ZEROFILL") {
                (ty.unsigned, ty.zerofill) = (true, true);
            } else if self.at("CHARSET")
                || self.at_words(&["CHARACTER", "SET"])
                || self.at_words(&["CHAR", "SET"])
            {
                ty.charset = Some(self.charset_words()?);
            } else if self.eat("COLLATE") {
                ty.collation = Some(self.collation()?);
            } else if compressible(ty.kind) && self.eat("COMPRESSED") {
                if self.eat_kind(T::Eq) {
                    self.ident_or_keyword()?;
                }
            } else if !self.eat_any(&["SIGNED", "BINARY", "ASCII", "UNICODE", "BYTE"]) {
                break;
            }
        }
        ty.span = self.since(start);
        Ok(ty)
    }

    fn type_arguments(&mut self, ty: &mut DataType) -> Result<()> {
        if matches!(ty.kind, TypeKind::Enum | TypeKind::Set) {
            ty.values = self.paren_list(|p| p.string())?;
            return Ok(());
        }
        self.expect_kind(T::LParen)?;
        ty.length = Some(self.length()?);
        if self.eat_kind(T::Comma) {
            ty.scale = Some(self.number()?);
        }
        self.eat_any(&["CHAR", "BYTE"]);
        self.expect_kind(T::RParen)?;
        Ok(())
    }

    /// A length, which the data node refuses when it is too great or has a fraction.
    fn length(&mut self) -> Result<u64> {
        let unfit = self.is(T::Decimal)
            || (self.is(T::Int) && text::parse_u64(self.peek(0).span().of(self.src)).is_none());
        if unfit {
            self.bump();
            return Ok(u64::MAX);
        }
        self.number()
    }

    /// CHARSET, CHAR SET or CHARACTER SET, `=` and the name.
    pub(super) fn charset_words(&mut self) -> Result<Ident> {
        if !self.eat("CHARSET") {
            if !self.eat("CHAR") {
                self.expect("CHARACTER")?;
            }
            self.expect("SET")?;
        }
        self.eat_kind(T::Eq);
        if self.at_any(&["BINARY", "DEFAULT"]) {
            Ok(self.any_ident())
        } else {
            self.ident_or_string()
        }
    }
}

/// Types of texts that have no fixed length.
fn compressible(kind: TypeKind) -> bool {
    use TypeKind as K;
    matches!(
        kind,
        K::VarChar
            | K::VarBinary
            | K::TinyText
            | K::Text
            | K::MediumText
            | K::LongText
            | K::TinyBlob
            | K::Blob
            | K::MediumBlob
            | K::LongBlob
    )
}
