//! CREATE TABLE: columns, keys, options, and the sharding clause.

use super::{Parser, Result};
use crate::ast::{
    ColumnDef, ConstraintKind, CreateTable, KeyPart, OptionKind, PartitionFn, RangeItem,
    ShardingClause, ShardingRule, Span, Statement, TableConstraint, TableOption, TypeKind,
};
use crate::lexer::TokenKind as T;

impl Parser<'_> {
    /// CREATE [OR REPLACE] [TEMPORARY] TABLE, from after CREATE and its words.
    pub(super) fn create_table(
        &mut self,
        start: u32,
        or_replace: bool,
        temporary: bool,
    ) -> Result<Statement> {
        self.expect("TABLE")?;
        let if_not_exists = self.eat_words(&["IF", "NOT", "EXISTS"]);
        let mut create = CreateTable {
            temporary,
            or_replace,
            if_not_exists,
            name: self.table_name()?,
            like: None,
            columns: Vec::new(),
            constraints: Vec::new(),
            body_span: None,
            options: Vec::new(),
            partition: None,
            sharding: None,
            query: None,
            span: Span::default(),
        };
        if self.eat("LIKE") {
            create.like = Some(self.table_name()?);
        } else if self.is(T::LParen) && self.is_at(1, "LIKE") {
            self.bump();
            self.bump();
            create.like = Some(self.table_name()?);
            self.expect_kind(T::RParen)?;
        } else {
            self.create_body(&mut create)?;
        }
        create.span = self.since(start);
        Ok(Statement::CreateTable(Box::new(create)))
    }

    fn create_body(&mut self, create: &mut CreateTable) -> Result<()> {
        if self.is(T::LParen) && !self.at_query_in_parens() {
            let start = self.start();
            self.bump();
            loop {
                self.create_item(create)?;
                if !self.eat_kind(T::Comma) {
                    break;
                }
            }
            self.expect_kind(T::RParen)?;
            create.body_span = Some(self.since(start));
        }
        loop {
            if self.at_sharding() {
                if create.sharding.is_some() {
                    return self.unexpected();
                }
                create.sharding = Some(self.sharding_clause()?);
            } else if self.at_words(&["PARTITION", "BY"]) {
                create.partition = Some(self.partition_by()?);
            } else if let Some(option) = self.table_option()? {
                create.options.push(option);
            } else {
                break;
            }
        }
        if self.eat_any(&["IGNORE", "REPLACE"])
            || self.at("AS")
            || self.at_any(&["SELECT", "WITH", "VALUES", "TABLE"])
            || self.is(T::LParen)
        {
            self.eat("AS");
            create.query = Some(Box::new(self.query()?));
        }
        if create.body_span.is_none() && create.query.is_none() {
            return self.unexpected();
        }
        Ok(())
    }

    fn create_item(&mut self, create: &mut CreateTable) -> Result<()> {
        if self.at_constraint() {
            create.constraints.push(self.constraint()?);
        } else {
            create.columns.push(self.column_def()?);
        }
        Ok(())
    }

    pub(super) fn at_constraint(&self) -> bool {
        let key_words = [
            "CONSTRAINT",
            "PRIMARY",
            "UNIQUE",
            "INDEX",
            "KEY",
            "FULLTEXT",
            "SPATIAL",
            "FOREIGN",
            "CHECK",
        ];
        self.at_any(&key_words)
            || (self.at("PERIOD") && (self.is_at(1, "FOR") || self.is_at(1, "IF")))
    }

    /// A key or check as an item of its own.
    pub(super) fn constraint(&mut self) -> Result<TableConstraint> {
        let start = self.start();
        let mut name = None;
        if self.eat("CONSTRAINT") && !self.at_any(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
            self.eat_words(&["IF", "NOT", "EXISTS"]);
            name = Some(self.ident()?);
        }
        let kind = self.constraint_kind()?;
        let mut constraint = TableConstraint {
            kind,
            name,
            parts: Vec::new(),
            references: None,
            check: None,
            span: Span::default(),
        };
        match kind {
            ConstraintKind::Check => {
                self.expect_kind(T::LParen)?;
                constraint.check = Some(self.expr()?);
                self.expect_kind(T::RParen)?;
                self.eat_words(&["NOT", "ENFORCED"]);
                self.eat("ENFORCED");
            }
            ConstraintKind::Period => {
                self.ident()?;
                self.skip_parens()?;
            }
            _ => {
                self.eat_words(&["IF", "NOT", "EXISTS"]);
                if self.at_ident() && !self.at("USING") {
                    constraint.name = Some(self.ident()?).or(constraint.name);
                }
                self.index_type()?;
                constraint.parts = self.key_parts()?;
                if kind == ConstraintKind::ForeignKey {
                    constraint.references = Some(self.references()?);
                }
                self.index_options()?;
            }
        }
        constraint.span = self.since(start);
        Ok(constraint)
    }

    fn constraint_kind(&mut self) -> Result<ConstraintKind> {
        let forms: [(&[&str], ConstraintKind); 14] = [
            (&["PRIMARY", "KEY"], ConstraintKind::Primary),
            (&["UNIQUE", "INDEX"], ConstraintKind::Unique),
            (&["UNIQUE", "KEY"], ConstraintKind::Unique),
            (&["UNIQUE"], ConstraintKind::Unique),
            (&["INDEX"], ConstraintKind::Index),
            (&["KEY"], ConstraintKind::Index),
            (&["FULLTEXT", "INDEX"], ConstraintKind::Fulltext),
            (&["FULLTEXT", "KEY"], ConstraintKind::Fulltext),
            (&["FULLTEXT"], ConstraintKind::Fulltext),
            (&["FOREIGN", "KEY"], ConstraintKind::ForeignKey),
            (&["CHECK"], ConstraintKind::Check),
            (&["PERIOD", "FOR"], ConstraintKind::Period),
            (&["PERIOD", "IF", "NOT", "EXISTS", "FOR"], ConstraintKind::Period),
            (&["SPATIAL"], ConstraintKind::Spatial),
        ];
        let Some((_, kind)) = forms.into_iter().find(|(words, _)| self.eat_words(words)) else {
            return self.unexpected();
        };
        if kind == ConstraintKind::Spatial {
            self.eat_any(&["INDEX", "KEY"]);
        }
        Ok(kind)
    }

    pub(super) fn index_type(&mut self) -> Result<()> {
        if self.eat("USING") {
            self.ident_or_keyword()?;
        }
        Ok(())
    }

    pub(super) fn key_parts(&mut self) -> Result<Vec<KeyPart>> {
        self.paren_list(|p| {
            let mut part = KeyPart { column: None, expr: None, length: None, desc: false };
            if p.is(T::LParen) {
                part.expr = Some(p.expr()?);
            } else {
                part.column = Some(p.ident()?);
                if p.eat_kind(T::LParen) {
                    part.length = Some(p.number()?);
                    p.expect_kind(T::RParen)?;
                }
            }
            part.desc = p.eat("DESC");
            p.eat("ASC");
            p.eat_words(&["WITHOUT", "OVERLAPS"]);
            Ok(part)
        })
    }

    /// What may follow a key's parts.
    pub(super) fn index_options(&mut self) -> Result<()> {
        loop {
            if self.at_any(&[
                "KEY_BLOCK_SIZE",
                "COMMENT",
                "ALGORITHM",
                "LOCK",
                "CLUSTERING",
                "ENGINE_ATTRIBUTE",
            ]) {
                self.bump();
                self.eat_kind(T::Eq);
                self.bump();
            } else if self.at("USING") {
                self.index_type()?;
            } else if self.eat_words(&["WITH", "PARSER"]) {
                self.ident()?;
            } else if self.at_engine_attribute() {
                self.pos += 3;
            } else if !self.eat_any(&["INVISIBLE", "VISIBLE", "IGNORED", "NOT"]) {
                return Ok(());
            }
        }
    }

    /// `name = value`, which means something to a storage engine alone.
    fn at_engine_attribute(&self) -> bool {
        use T::{Eq, Hex, Ident, Int, Keyword, QuotedIdent, String};
        self.at_ident()
            && self.peek(1).kind == Eq
            && matches!(self.peek(2).kind, Int | String | Hex | Ident | QuotedIdent | Keyword)
    }

    pub(super) fn references(&mut self) -> Result<crate::ast::TableName> {
        self.expect("REFERENCES")?;
        let table = self.table_name()?;
        if self.is(T::LParen) {
            self.ident_list()?;
        }
        if self.eat("MATCH") {
            self.ident_or_keyword()?;
        }
        while self.at_words(&["ON", "DELETE"])
            || (self.at_words(&["ON", "UPDATE"]) && !self.is_at(2, "CURRENT_TIMESTAMP"))
        {
            self.pos += 2;
            let actions: [&[&str]; 5] = [
                &["RESTRICT"],
                &["CASCADE"],
                &["SET", "NULL"],
                &["NO", "ACTION"],
                &["SET", "DEFAULT"],
            ];
            if !actions.iter().any(|words| self.eat_words(words)) {
                return self.unexpected();
            }
        }
        Ok(table)
    }

    pub(super) fn column_def(&mut self) -> Result<ColumnDef> {
        let start = self.start();
        let mut name = self.ident()?;
        // The table's own name may stand before.
        while self.eat_kind(T::Dot) {
            name = self.after_dot()?;
        }
        let ty = self.data_type()?;
        let mut column = ColumnDef {
            name,
            ty,
            nullable: None,
            auto_increment: None,
            primary_key: false,
            unique: false,
            default: None,
            on_update: None,
            comment_tok: None,
            generated: None,
            checks: Vec::new(),
            references: None,
            span: Span::default(),
        };
        if column.ty.kind == TypeKind::Serial {
            column.auto_increment = Some(column.ty.span);
            column.nullable = Some(false);
            column.unique = true;
        }
        while self.column_attribute(&mut column)? {}
        column.span = self.since(start);
        Ok(column)
    }

    fn column_attribute(&mut self, column: &mut ColumnDef) -> Result<bool> {
        let start = self.start();
        if column.generated.is_some() && self.mode.mariadb {
            return self.generated_attribute(column);
        }
        if self.eat_words(&["NOT", "NULL"]) {
            column.nullable = Some(false);
        } else if self.eat("NULL") {
            column.nullable = Some(true);
        } else if self.eat("AUTO_INCREMENT") {
            column.auto_increment = Some(self.since(start));
        } else if self.eat("PRIMARY") {
            self.expect("KEY")?;
            column.primary_key = true;
        } else if self.eat("UNIQUE") {
            self.eat("KEY");
            column.unique = true;
        } else if self.eat("KEY") {
            column.primary_key = true;
        } else if self.eat("DEFAULT") {
            column.default = Some(self.bit_expr()?);
        } else if self.eat_words(&["ON", "UPDATE"]) {
            column.on_update = Some(self.bit_expr()?);
        } else if self.eat("COMMENT") {
            column.comment_tok = Some(self.string()?);
        } else if self.at("REFERENCES") {
            column.references = Some(self.references()?);
        } else if self.at("CONSTRAINT") && self.is_at(2, "REFERENCES") {
            self.pos += 2;
            column.references = Some(self.references()?);
        } else if self.at("CHECK")
            || (self.at("CONSTRAINT") && (self.is_at(1, "CHECK") || self.is_at(2, "CHECK")))
        {
            column.checks.extend(self.constraint()?.check);
        } else {
            return self.rare_attribute(column);
        }
        Ok(true)
    }

    /// What MariaDB lets follow a generated column's expression.
    fn generated_attribute(&mut self, column: &mut ColumnDef) -> Result<bool> {
        if self.eat("UNIQUE") {
            self.eat("KEY");
            column.unique = true;
        } else if self.eat("COMMENT") {
            column.comment_tok = Some(self.string()?);
        } else if self.at_any(&["CHECK", "CONSTRAINT"]) {
            column.checks.extend(self.constraint()?.check);
        } else if self.at_engine_attribute() {
            self.pos += 3;
        } else {
            return Ok(self.eat("INVISIBLE"));
        }
        Ok(true)
    }

    fn rare_attribute(&mut self, column: &mut ColumnDef) -> Result<bool> {
        if self.eat_words(&["GENERATED", "ALWAYS", "AS", "ROW"]) || self.eat_words(&["AS", "ROW"]) {
            return if self.eat_any(&["START", "END"]) { Ok(true) } else { self.unexpected() };
        }
        if self.eat_words(&["GENERATED", "ALWAYS", "AS"])
            || (self.at("AS") && self.peek(1).kind == T::LParen)
        {
            self.eat("AS");
            let expr = self.expr()?;
            let stored = self.eat_any(&["STORED", "PERSISTENT"]);
            self.eat("VIRTUAL");
            column.generated = Some((expr, stored));
            return Ok(true);
        }
        for word in
            ["COLUMN_FORMAT", "STORAGE", "SRID", "REF_SYSTEM_ID", "ENGINE_ATTRIBUTE", "COMPRESSED"]
        {
            if self.eat(word) {
                if word != "COMPRESSED" {
                    self.eat_kind(T::Eq);
                    self.bump();
                }
                return Ok(true);
            }
        }
        if self.eat("COLLATE") {
            column.ty.collation = Some(self.collation()?);
            return Ok(true);
        }
        if self.at_engine_attribute() {
            self.pos += 3;
            return Ok(true);
        }
        let words: [&[&str]; 6] = [
            &["INVISIBLE"],
            &["VISIBLE"],
            &["NOT", "ENFORCED"],
            &["ENFORCED"],
            &["WITH", "SYSTEM", "VERSIONING"],
            &["WITHOUT", "SYSTEM", "VERSIONING"],
        ];
        Ok(words.iter().any(|words| self.eat_words(words)))
    }

    /// One `NAME [=] value`, if one stands here.
    pub(super) fn table_option(&mut self) -> Result<Option<TableOption>> {
        let start = self.start();
        self.eat_kind(T::Comma);
        if self.eat("DEFAULT") && !self.at_any(&["CHARSET", "CHARACTER", "COLLATE"]) {
            return self.unexpected();
        }
        let kind = if self.at("CHARSET") || self.at_words(&["CHARACTER", "SET"]) {
            let value = self.charset_words()?;
            let span = self.since(start);
            return Ok(Some(TableOption {
                kind: OptionKind::Charset,
                value: value.span,
                value_tok: value.tok,
                span,
            }));
        } else if self.eat("COLLATE") {
            OptionKind::Collate
        } else if self.eat("UNION") {
            OptionKind::Union
        } else if self.eat_words(&["DATA", "DIRECTORY"])
            || self.eat_words(&["INDEX", "DIRECTORY"])
            || self.eat("TABLESPACE")
        {
            OptionKind::Placement
        } else if self.eat_words(&["WITH", "SYSTEM", "VERSIONING"]) {
            let span = self.since(start);
            return Ok(Some(TableOption {
                kind: OptionKind::Other,
                value: span,
                value_tok: self.tok() - 1,
                span,
            }));
        } else if self.at_ident() && self.option_follows() {
            self.named_option()
        } else {
            return Ok(None);
        };
        self.eat_kind(T::Eq);
        let (value_start, value_tok) = (self.start(), self.tok());
        if self.is(T::LParen) {
            self.skip_parens()?;
        } else if matches!(self.kind(), T::Eof | T::Semi | T::Comma | T::RParen | T::Invalid) {
            return self.unexpected();
        } else {
            self.bump();
        }
        Ok(Some(TableOption {
            kind,
            value: self.since(value_start),
            value_tok,
            span: self.since(start),
        }))
    }

    /// A name that is followed by `=` or a value is an option's name.
    fn option_follows(&self) -> bool {
        let value =
            matches!(self.peek(1).kind, T::Eq | T::Int | T::String | T::Ident | T::QuotedIdent);
        value && !self.at_any(&["BROADCAST", "DBPARTITION", "TBPARTITION", "IGNORE"])
    }

    fn named_option(&mut self) -> OptionKind {
        let kind = if self.at("AUTO_INCREMENT") {
            OptionKind::AutoIncrement
        } else if self.at("ENGINE") {
            OptionKind::Engine
        } else if self.at("COMMENT") {
            OptionKind::Comment
        } else {
            OptionKind::Other
        };
        self.bump();
        kind
    }

    pub(super) fn partition_by(&mut self) -> Result<Span> {
        let start = self.start();
        self.expect("PARTITION")?;
        self.expect("BY")?;
        while !self.at_end() && !self.at_sharding() && !self.at_any(&["SELECT", "AS"]) {
            match self.kind() {
                T::LParen => {
                    self.skip_parens()?;
                }
                T::Invalid | T::RParen => return self.unexpected(),
                _ => {
                    self.bump();
                }
            }
        }
        Ok(self.since(start))
    }

    pub(super) fn at_sharding(&self) -> bool {
        (self.at("BROADCAST") && self.peek(1).kind != T::Eq)
            || self.at_words(&["DBPARTITION", "BY"])
    }

    /// `DBPARTITION BY … [TBPARTITION BY … [TBPARTITIONS n]]`, or `BROADCAST`.
    pub(super) fn sharding_clause(&mut self) -> Result<ShardingClause> {
        let start = self.start();
        if self.eat("BROADCAST") {
            return Ok(ShardingClause { rule: ShardingRule::Broadcast, span: self.since(start) });
        }
        self.expect("DBPARTITION")?;
        self.expect("BY")?;
        let db = self.partition_fn()?;
        let mut tb = None;
        let mut tb_count = None;
        if self.eat_words(&["TBPARTITION", "BY"]) {
            tb = Some(self.partition_fn()?);
            if self.eat("TBPARTITIONS") {
                tb_count = Some(self.number()?);
            }
        }
        Ok(ShardingClause {
            rule: ShardingRule::Partition { db, tb, tb_count },
            span: self.since(start),
        })
    }

    fn partition_fn(&mut self) -> Result<PartitionFn> {
        let start = self.start();
        let name = self.ident_or_keyword()?;
        self.expect_kind(T::LParen)?;
        let mut column = self.ident()?;
        let mut wrap = None;
        if self.eat_kind(T::LParen) {
            wrap = Some(column);
            column = self.ident()?;
            self.expect_kind(T::RParen)?;
        }
        let arg = if self.eat_kind(T::Comma) { Some(self.number()?) } else { None };
        self.expect_kind(T::RParen)?;
        let (mut ranges, mut default) = (Vec::new(), None);
        if self.eat_kind(T::LBrace) {
            loop {
                if self.eat("DEFAULT") {
                    self.expect_kind(T::Eq)?;
                    default = Some(self.number()?);
                } else {
                    ranges.push(self.range_item()?);
                }
                if !self.eat_kind(T::Comma) {
                    break;
                }
            }
            self.expect_kind(T::RBrace)?;
        }
        Ok(PartitionFn { name, wrap, column, arg, ranges, default, span: self.since(start) })
    }

    /// `low-high=shard`, or `value=shard`.
    fn range_item(&mut self) -> Result<RangeItem> {
        let low = self.signed_number()?;
        let high = if self.eat_kind(T::Minus) { self.signed_number()? } else { low };
        self.expect_kind(T::Eq)?;
        Ok(RangeItem { low, high, shard: self.number()? })
    }
}
