//! ALTER TABLE.

use super::{Parser, Result};
use crate::ast::{
    AlterAction, AlterKind, AlterTable, ColumnDef, Ident, PartitionAction, PartitionActionKind,
    ShardingClause, ShardingRule, Statement,
};
use crate::lexer::TokenKind as T;

impl Parser<'_> {
    /// From after ALTER.
    pub(super) fn alter_table(&mut self, start: u32) -> Result<Statement> {
        self.eat("ONLINE");
        let ignore = self.eat("IGNORE");
        self.expect("TABLE")?;
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let name = self.table_name()?;
        self.lock_wait()?;
        let mut actions = Vec::new();
        while !self.at_end() {
            let start = self.start();
            let kind = self.alter_kind()?;
            actions.push(AlterAction { kind, span: self.since(start) });
            // A partition operation and a sharding clause may follow without a comma.
            if !self.eat_kind(T::Comma)
                && !self.at_end()
                && !self.at_sharding()
                && !self.at_words(&["PARTITION", "BY"])
                && !self.at_words(&["REMOVE", "PARTITIONING"])
                && !self.table_option_follows()
            {
                return self.unexpected();
            }
        }
        Ok(Statement::AlterTable(Box::new(AlterTable {
            ignore,
            if_exists,
            name,
            actions,
            span: self.since(start),
        })))
    }

    fn table_option_follows(&self) -> bool {
        self.at_any(&["DEFAULT", "CHARSET", "CHARACTER", "COLLATE", "UNION"])
            || (self.at_ident() && self.peek(1).kind == T::Eq)
    }

    fn alter_kind(&mut self) -> Result<AlterKind> {
        if self.at_sharding() {
            return Ok(AlterKind::Sharding(self.sharding_clause()?));
        }
        if self.at("SINGLE") && self.peek(1).kind == T::Eof {
            let start = self.start();
            self.bump();
            let clause = ShardingClause { rule: ShardingRule::Single, span: self.since(start) };
            return Ok(AlterKind::Sharding(clause));
        }
        if let Some(action) = self.partition_action()? {
            return Ok(AlterKind::Partition(action));
        }
        if self.eat("ADD") {
            return self.alter_add();
        }
        if self.eat("DROP") {
            return self.alter_drop();
        }
        if self.eat("MODIFY") {
            self.eat("COLUMN");
            self.eat_words(&["IF", "EXISTS"]);
            return Ok(AlterKind::ModifyColumn(Box::new(self.placed_column()?)));
        }
        if self.eat("CHANGE") {
            self.eat("COLUMN");
            self.eat_words(&["IF", "EXISTS"]);
            let from = self.ident()?;
            return Ok(AlterKind::ChangeColumn { from, to: Box::new(self.placed_column()?) });
        }
        if self.eat("ALTER") {
            return self.alter_alter();
        }
        if self.eat("RENAME") {
            return self.alter_rename();
        }
        self.alter_rest()
    }

    fn alter_rest(&mut self) -> Result<AlterKind> {
        if self.eat_words(&["CONVERT", "TO"]) {
            let charset = Some(self.charset_words()?).filter(|name| !name.is(self.src, b"DEFAULT"));
            let collation = if self.eat("COLLATE") { Some(self.collation()?) } else { None };
            return Ok(AlterKind::ConvertCharset { charset, collation });
        }
        for (word, lock) in [("ALGORITHM", false), ("LOCK", true)] {
            if self.eat(word) {
                self.eat_kind(T::Eq);
                let value = self.ident_or_keyword()?;
                return Ok(if lock { AlterKind::Lock(value) } else { AlterKind::Algorithm(value) });
            }
        }
        if self.eat_words(&["ORDER", "BY"]) {
            self.comma_list(|p| p.order_item())?;
            return Ok(AlterKind::OrderBy);
        }
        let maintenance: [&[&str]; 5] = [
            &["ENABLE", "KEYS"],
            &["DISABLE", "KEYS"],
            &["FORCE"],
            &["WITH", "VALIDATION"],
            &["WITHOUT", "VALIDATION"],
        ];
        if maintenance.iter().any(|words| self.eat_words(words)) {
            return Ok(AlterKind::Maintenance);
        }
        if self.eat_words(&["DISCARD", "TABLESPACE"]) || self.eat_words(&["IMPORT", "TABLESPACE"]) {
            return Ok(AlterKind::Tablespace);
        }
        if self.at_words(&["DROP", "SYSTEM"]) || self.at_words(&["ADD", "SYSTEM"]) {
            self.pos += 3;
            return Ok(AlterKind::Other);
        }
        match self.table_option()? {
            Some(option) => Ok(AlterKind::Option(option)),
            None => self.unexpected(),
        }
    }

    fn alter_add(&mut self) -> Result<AlterKind> {
        if self.eat_words(&["SYSTEM", "VERSIONING"]) {
            return Ok(AlterKind::Other);
        }
        if self.at_constraint() {
            return Ok(AlterKind::AddConstraint(self.constraint()?));
        }
        self.eat("COLUMN");
        self.eat_words(&["IF", "NOT", "EXISTS"]);
        let columns = if self.is(T::LParen) {
            self.paren_list(|p| p.column_def())?
        } else {
            vec![self.placed_column()?]
        };
        Ok(AlterKind::AddColumns(columns))
    }

    /// A definition with FIRST or AFTER.
    fn placed_column(&mut self) -> Result<ColumnDef> {
        let column = self.column_def()?;
        if self.eat("AFTER") {
            self.ident()?;
        } else {
            self.eat("FIRST");
        }
        Ok(column)
    }

    fn alter_drop(&mut self) -> Result<AlterKind> {
        if self.eat_words(&["PRIMARY", "KEY"]) {
            return Ok(AlterKind::DropPrimaryKey);
        }
        if self.eat_words(&["SYSTEM", "VERSIONING"]) {
            return Ok(AlterKind::Other);
        }
        if self.at("PERIOD") && (self.is_at(1, "FOR") || self.is_at(1, "IF")) {
            self.bump();
            self.eat_words(&["IF", "EXISTS"]);
            self.expect("FOR")?;
            self.ident()?;
            return Ok(AlterKind::Other);
        }
        if self.at("CONSTRAINT") && self.is_at(1, "PRIMARY") && self.is_at(2, "KEY") {
            self.pos += 3;
            return Ok(AlterKind::DropPrimaryKey);
        }
        let index = self.eat_any(&["INDEX", "KEY"]);
        let constraint = !index
            && (self.eat_words(&["FOREIGN", "KEY"]) || self.eat_any(&["CONSTRAINT", "CHECK"]));
        if !index && !constraint {
            self.eat("COLUMN");
        }
        self.eat_words(&["IF", "EXISTS"]);
        let name = self.ident()?;
        self.eat_any(&["RESTRICT", "CASCADE"]);
        Ok(if index {
            AlterKind::DropIndex(name)
        } else if constraint {
            AlterKind::DropConstraint(name)
        } else {
            AlterKind::DropColumn(name)
        })
    }

    fn alter_alter(&mut self) -> Result<AlterKind> {
        if self.eat_any(&["INDEX", "KEY"]) {
            self.eat_words(&["IF", "EXISTS"]);
            let name = self.ident()?;
            return self.skip_words().map(|()| AlterKind::AlterIndex(name));
        }
        if self.eat_any(&["CHECK", "CONSTRAINT"]) {
            let name = self.ident()?;
            return self.skip_words().map(|()| AlterKind::AlterConstraint(name));
        }
        self.eat("COLUMN");
        self.eat_words(&["IF", "EXISTS"]);
        let name: Ident = self.ident()?;
        if self.eat_words(&["SET", "DEFAULT"]) {
            self.bit_expr()?;
        } else if !self.eat_words(&["DROP", "DEFAULT"])
            && !self.eat_words(&["SET", "INVISIBLE"])
            && !self.eat_words(&["SET", "VISIBLE"])
        {
            return self.unexpected();
        }
        Ok(AlterKind::AlterColumn(name))
    }

    /// Words up to the next action.
    fn skip_words(&mut self) -> Result<()> {
        while matches!(self.kind(), T::Ident | T::Keyword) {
            self.bump();
        }
        Ok(())
    }

    fn alter_rename(&mut self) -> Result<AlterKind> {
        if self.eat("COLUMN") {
            self.eat_words(&["IF", "EXISTS"]);
            let from = self.ident()?;
            self.expect("TO")?;
            return Ok(AlterKind::RenameColumn(from, self.ident()?));
        }
        if self.eat_any(&["INDEX", "KEY"]) {
            self.eat_words(&["IF", "EXISTS"]);
            let from = self.ident()?;
            self.expect("TO")?;
            return Ok(AlterKind::RenameIndex(from, self.ident()?));
        }
        if !self.eat_any(&["TO", "AS"]) {
            self.eat_kind(T::Eq);
        }
        Ok(AlterKind::RenameTo(self.table_name()?))
    }

    /// An operation on the data node's own partitions, taken to its end.
    fn partition_action(&mut self) -> Result<Option<PartitionAction>> {
        use PartitionActionKind as K;
        let forms: [(&[&str], K); 17] = [
            (&["PARTITION", "BY"], K::By),
            (&["REMOVE", "PARTITIONING"], K::Remove),
            (&["ADD", "PARTITION"], K::Add),
            (&["DROP", "PARTITION"], K::Drop),
            (&["TRUNCATE", "PARTITION"], K::Truncate),
            (&["COALESCE", "PARTITION"], K::Coalesce),
            (&["REORGANIZE", "PARTITION"], K::Reorganize),
            (&["EXCHANGE", "PARTITION"], K::Exchange),
            (&["ANALYZE", "PARTITION"], K::Analyze),
            (&["CHECK", "PARTITION"], K::Check),
            (&["OPTIMIZE", "PARTITION"], K::Optimize),
            (&["REBUILD", "PARTITION"], K::Rebuild),
            (&["REPAIR", "PARTITION"], K::Repair),
            (&["DISCARD", "PARTITION"], K::Discard),
            (&["IMPORT", "PARTITION"], K::Import),
            (&["CONVERT", "PARTITION"], K::Convert),
            (&["CONVERT", "TABLE"], K::Convert),
        ];
        let Some((_, kind)) = forms.into_iter().find(|(words, _)| self.at_words(words)) else {
            return Ok(None);
        };
        if kind == K::By {
            self.partition_by()?;
            return Ok(Some(PartitionAction { kind, exchange: None }));
        }
        let table = self.is_at(1, "TABLE");
        self.pos += 2;
        let mut exchange = if table { Some(self.table_name()?) } else { None };
        while !self.at_end() && !self.at_sharding() {
            match self.kind() {
                T::LParen => {
                    self.skip_parens()?;
                }
                T::Invalid | T::RParen => return self.unexpected(),
                _ if self.at_words(&["WITH", "TABLE"]) || self.at_words(&["TO", "TABLE"]) => {
                    self.pos += 2;
                    exchange = Some(self.table_name()?);
                }
                _ => {
                    self.bump();
                }
            }
        }
        Ok(Some(PartitionAction { kind, exchange }))
    }
}
