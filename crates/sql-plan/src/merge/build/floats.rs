//! FLOAT columns of an answer. A data node's text shows six digits of them; the same values as DOUBLE
//! come along hidden, for clients that get binary rows.

use super::{Builder, item_expr};
use crate::bind::{ColumnOf, Source};
use crate::expr::function_name;
use crate::merge::ColumnAt;
use crate::names::number;
use crate::template::{Piece, quoted};
use sql_syntax::ast::{Expr, ExprKind, Ident, SelectItem};

impl Builder<'_, '_> {
    /// Hides a DOUBLE for each FLOAT that is selected, as far as the columns' places are known.
    pub(super) fn show_floats(&mut self) {
        let mut place = 0;
        let mut pieces: Vec<(usize, Vec<Piece>)> = Vec::new();
        for item in &self.select.items {
            match item {
                SelectItem::Star { schema, table, .. } => {
                    let Some(columns) = self.starred(*schema, *table) else { break };
                    for column in columns {
                        if self.is_float(column) {
                            pieces.push((place, self.named_exactly(column)));
                        }
                        place += 1;
                    }
                }
                SelectItem::Expr { expr, .. } => {
                    if item_expr(item).is_some_and(|expr| self.gives_float(expr)) {
                        let tokens = Piece::Tokens(self.bound.range(expr.span));
                        let exact = vec![Piece::text("(("), tokens, Piece::text(")*1e0)")];
                        pieces.push((place, exact));
                    }
                    place += 1;
                }
            }
        }
        for (place, exact) in pieces {
            let hidden = self.hide(exact);
            self.merge.exact.push((ColumnAt::Visible(number(place)), hidden));
        }
    }

    fn is_float(&self, column: ColumnOf) -> bool {
        self.bound.column(column).type_name() == "float"
    }

    fn named_exactly(&self, column: ColumnOf) -> Vec<Piece> {
        let alias = quoted(&self.bound.refs[column.reference].alias);
        let name = quoted(&self.bound.column(column).name);
        vec![Piece::Text([b"(".as_slice(), &alias, b".", &name, b"*1e0)"].concat())]
    }

    /// The columns that a star stands for.
    fn starred(&self, schema: Option<Ident>, table: Option<Ident>) -> Option<Vec<ColumnOf>> {
        let block = &self.bound.blocks[self.block];
        if table.is_none() && (!block.using.is_empty() || block.natural) {
            return None;
        }
        let mut columns = Vec::new();
        for source in &block.sources {
            let Source::Table(index) = source else { return None };
            if table.is_some_and(|table| !self.bound.is_named(*index, schema, table)) {
                continue;
            }
            let own = self.bound.refs[*index].table.columns.iter().enumerate();
            let visible = own.filter(|(_, column)| !column.invisible);
            columns.extend(visible.map(|(column, _)| ColumnOf { reference: *index, column }));
        }
        Some(columns)
    }

    /// Whether an expression can be of type FLOAT: a column, or a function that gives one of its
    /// arguments.
    fn gives_float(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Paren(inner) => self.gives_float(inner),
            ExprKind::Column(_) => {
                self.bound.column_of(self.block, expr).is_some_and(|column| self.is_float(column))
            }
            ExprKind::Case { arms, otherwise, .. } => {
                let results = arms.iter().map(|(_, then)| then);
                results.chain(otherwise.as_deref()).all(|part| self.gives_float(part))
            }
            ExprKind::Func(call) => {
                let choices = match function_name(call, self.bound.src).as_str() {
                    "COALESCE" | "IFNULL" | "NVL" | "GREATEST" | "LEAST" | "MIN" | "MAX"
                    | "ANY_VALUE" => call.args.as_slice(),
                    "IF" => call.args.get(1..).unwrap_or_default(),
                    "NULLIF" => call.args.get(..1).unwrap_or_default(),
                    _ => return false,
                };
                !choices.is_empty() && choices.iter().all(|part| self.gives_float(part))
            }
            _ => false,
        }
    }
}
