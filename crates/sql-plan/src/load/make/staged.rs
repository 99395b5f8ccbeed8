//! LOAD DATA whose records cannot be cut out of the file or placed as they come: one data node loads
//! the file, as it is, into a temporary table; the rows that this made go to their shards.

use super::{Goal, Maker};
use crate::load::LoadWay;
use crate::load::charset::Charset;
use crate::names::{NameMode, name_edits};
use crate::plan::PlanTable;
use crate::scratch::needed_columns;
use crate::scratch_write::{
    InsertVerb, ScratchInsertPlan, ScratchRows, WriteLoad, Written, own_place, read_load,
};
use crate::template::{Edit, Piece, Template, TokenRange, quoted};
use base::sql_error::SqlError;
use sql_syntax::ast::LoadDuplicates;
use std::sync::Arc;

/// Why a file is not cut into records.
pub(super) enum Unsplit {
    /// It has to go into a temporary table first.
    Staged(&'static str),
    /// The statement is wrong.
    Refused(SqlError),
}

impl From<SqlError> for Unsplit {
    fn from(error: SqlError) -> Self {
        Unsplit::Refused(error)
    }
}

impl Maker<'_, '_> {
    /// The plan that loads into a temporary table.
    pub(super) fn staged(
        &self,
        reason: &'static str,
        charset: &Charset,
    ) -> (Arc<[PlanTable]>, LoadWay) {
        let bound = self.bound;
        let target = &bound.refs[0];
        let written = Written::of(target);
        let auto_increment = written.columns.iter().position(|column| column.auto_increment);
        let read: Vec<usize> = (1..bound.refs.len()).collect();
        let needed = needed_columns(bound, &self.subject.parsed.stmt);
        let loads: Vec<WriteLoad> =
            read.iter().map(|index| read_load(bound, *index, &needed[*index])).collect();
        let mut tables: Vec<_> = bound.refs.iter().map(own_place).collect();
        tables.push(own_place(target));
        let tables: Arc<[PlanTable]> = tables.into();
        // A client's file is loaded under the rules of IGNORE, if it is not under those of REPLACE.
        let verb = match self.load.duplicates {
            LoadDuplicates::Replace => InsertVerb::Replace,
            LoadDuplicates::Ignore | LoadDuplicates::Default => InsertVerb::Ignore,
        };
        let insert = ScratchInsertPlan {
            check: None,
            tables: tables.clone(),
            loads,
            load_references: read,
            extras: 0,
            written,
            rows: ScratchRows::Listed(self.staged_text(charset)),
            verb,
            tail: Template::default(),
            meets_rows: false,
            meets_all: false,
            pushed_tail: Template::default(),
            updates_on_duplicate: false,
            sequence: if target.is_single() { None } else { self.sequence() },
            auto_increment,
            one_row: false,
            reason,
            schema: target.schema.name.clone(),
        };
        (tables, LoadWay::Staged(Box::new(insert)))
    }

    /// The statement into the temporary table, which has a hidden column more.
    fn staged_text(&self, charset: &Charset) -> Template {
        let range = self.bound.range(self.load.span);
        let mut edits = name_edits(self.bound, NameMode::TemporaryPlain(0));
        edits.extend(self.variable_edits());
        edits.extend(self.charset_edit(charset));
        let (name, partitions) = (self.bound.range(self.load.table.span), self.partition_tokens());
        if partitions.last > name.last {
            let at = TokenRange { first: name.last + 1, last: partitions.last };
            edits.push(Edit::replace(at, Vec::new()));
        }
        if self.load.columns.is_empty() {
            let names = self.fields.iter().filter_map(|goal| match goal {
                Goal::Column(name) => Some(quoted(name)),
                Goal::Variable(_) => None,
            });
            let list = names.collect::<Vec<_>>().join(&b", "[..]);
            let list = vec![Piece::Text([b" (", &list[..], b")"].concat())];
            // Before SET, which is the word before its first column.
            let before_set = self
                .load
                .assignments
                .first()
                .map(|assignment| self.bound.range(assignment.span).first.saturating_sub(2));
            edits.push(Edit::after(before_set.unwrap_or(range.last), list));
        }
        Template::edited(range, edits)
    }
}
