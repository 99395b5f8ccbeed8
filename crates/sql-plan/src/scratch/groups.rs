//! Groups of several shards whose answer a merge cannot make (expressions over aggregates, ROLLUP
//! …): each shard sends its own part of each group, and the statement runs over
//! these parts, with sums of sums in the place of its aggregates. A server's own statement over no
//! rows tells the columns; where they show a difference, the rows are loaded instead.

mod scales;

use super::results::types;
use crate::bind::{Bound, aggregates};
use crate::colocate;
use crate::expr::{self, Part, for_each_part, function_name, has_aggregate, position_of};
use crate::keys::route_of_unit;
use crate::names::{NameMode, name_edits, number, string_alias};
use crate::plan::{GroupParts, Load, LoadSource, ScratchPlan};
use crate::template::{Edit, Piece, Template, TokenRange};
use sql_syntax::TokenKind;
use sql_syntax::ast::{
    BinaryOp, Expr, ExprKind, FuncCall, LiteralKind, Query, Select, SelectItem, SetExpr,
};
use topology::model::ColumnClass;

/// Functions whose texts may be grouped by, though not be part of another expression.
const WHOLE_ONLY: [&str; 8] =
    ["DATE_FORMAT", "MONTHNAME", "DAYNAME", "CONCAT", "CONCAT_WS", "UPPER", "LOWER", "TRIM"];

/// The plan over parts of groups, instead of `otherwise`; with whether it serves every statement of
/// the digest. `names` are the edits of the statement's text for a shard.
pub(crate) fn over_groups(
    bound: &Bound<'_>,
    query: &Query,
    range: TokenRange,
    names: &[Edit],
    otherwise: ScratchPlan,
) -> (ScratchPlan, bool) {
    let SetExpr::Select(select) = &query.body else { return (otherwise, true) };
    if !is_simple(bound, query, select) {
        return (otherwise, true);
    }
    let Some(grouper) = Grouper::of(bound, query, select) else { return (otherwise, true) };
    let cacheable = grouper.cacheable;
    (grouper.plan(range, names, otherwise), cacheable)
}

fn is_simple(bound: &Bound<'_>, query: &Query, select: &Select) -> bool {
    let facts = &bound.facts;
    let has_own = query.with.is_some() || query.into.is_some() || select.into.is_some();
    let examined = query.limit.as_ref().is_some_and(|limit| limit.rows_examined.is_some());
    query.locks.is_empty()
        && !has_own
        && !examined
        && select.procedure.is_none()
        // Servers have bugs in these over groups, which only the same rows show again.
        && !select.distinct
        && !facts.windows
        && bound.additions.is_empty()
        && !facts.random
        && !facts.assigns_variables
        && !facts.default_values
        && !facts.system_schema
        && !facts.uses.user_variables
        && !facts.uses.connection_state
        && !facts.uses.other_functions
        // A column of parts has lost that it is true or false.
        && !types::writes_json(bound.src)
        && !aggregates::of_around(bound, query)
}

struct Grouper<'g, 's> {
    bound: &'g Bound<'s>,
    query: &'g Query,
    select: &'g Select,
    block: usize,
    unit: Vec<usize>,
    /// What is grouped by.
    terms: Vec<GroupTerm<'g>>,
    /// Other columns of the parts, with the text that makes each.
    parts: Vec<(String, Vec<Piece>)>,
    /// What parts are told apart by besides the terms: arguments of distinct values.
    apart: Vec<Piece>,
    edits: Vec<Edit>,
    cacheable: bool,
}

struct GroupTerm<'g> {
    expr: &'g Expr,
    /// It may stand alone, not inside of an expression.
    whole_only: bool,
}

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq)]
enum Clause {
    Items,
    OrderBy,
    Having,
}

impl<'g, 's> Grouper<'g, 's> {
    fn of(bound: &'g Bound<'s>, query: &'g Query, select: &'g Select) -> Option<Self> {
        let block = *bound.block_by_token.get(&select.select_tok)?;
        let unit = colocate::check(bound, block, &select.from).ok()?;
        colocate::check_select(bound, block, &unit, select, query).ok()?;
        let mut grouper = Grouper {
            bound,
            query,
            select,
            block,
            unit,
            terms: Vec::new(),
            parts: Vec::new(),
            apart: Vec::new(),
            edits: Vec::new(),
            cacheable: true,
        };
        grouper.find_terms()?;
        let mut aggregated = !select.group_by.is_empty();
        for item in &select.items {
            let SelectItem::Expr { expr, .. } = item else { return None };
            aggregated |= has_aggregate(expr, bound.src);
            grouper.expr(expr, Clause::Items, true)?;
        }
        for expr in query.order_by.iter().map(|item| &item.expr) {
            if position_of(expr, bound.src).is_none() {
                aggregated |= has_aggregate(expr, bound.src);
                grouper.expr(expr, Clause::OrderBy, true)?;
            }
        }
        if let Some(having) = &select.having {
            aggregated |= has_aggregate(having, bound.src);
            grouper.expr(having, Clause::Having, true)?;
        }
        aggregated.then_some(grouper)
    }

    fn find_terms(&mut self) -> Option<()> {
        for item in &self.select.group_by {
            let expr = self.meant(&item.expr)?;
            let usable = expr::has_column(expr)
                && !expr::has_query(expr)
                && !has_aggregate(expr, self.bound.src)
                && !has_parameter(expr);
            if !usable {
                return None;
            }
            let is_certain = types::is_certain(self.bound, self.block, expr);
            if !is_certain && !self.may_stand_whole(expr) || self.reads_timestamp(expr) {
                return None;
            }
            // What type ROLLUP makes of it hangs on how the server runs the statement; and it makes
            // NULLs of columns inside of expressions, but not of expressions there.
            let column = self.bound.column_of(self.block, expr);
            let whole_only = !is_certain || (self.select.rollup && column.is_none());
            if self.select.rollup
                && column.is_some_and(|column| self.bound.column(column).type_name() == "char")
            {
                return None;
            }
            // A server makes its NULLs of one column that stands there twice by its own lights.
            let known: Vec<&Expr> = self.terms.iter().map(|term| term.expr).collect();
            if self.select.rollup && known.into_iter().any(|known| self.same(known, expr)) {
                return None;
            }
            if has_literal(expr) {
                self.cacheable = false;
            }
            let name = format!("`{}`", term_name(self.terms.len()));
            let at = self.bound.range(item.expr.span);
            self.edits.push(Edit::replace(at, vec![Piece::text(name)]));
            self.terms.push(GroupTerm { expr, whole_only });
        }
        Some(())
    }

    /// What an item of GROUP BY means: a position, a column, an alias, or itself.
    fn meant(&mut self, expr: &'g Expr) -> Option<&'g Expr> {
        if let Some(position) = position_of(expr, self.bound.src) {
            self.cacheable = false;
            return match self.select.items.get(position.checked_sub(1)?)? {
                SelectItem::Expr { expr, .. } => Some(expr),
                SelectItem::Star { .. } => None,
            };
        }
        let alias = self.alias_of(expr);
        match (self.bound.column_of(self.block, expr), alias) {
            (Some(_), Some(item)) if !self.same(item, expr) => None,
            (Some(_), _) | (None, None) => Some(expr),
            (None, Some(item)) => Some(item),
        }
    }

    /// The item whose alias a bare name is.
    fn alias_of(&self, expr: &Expr) -> Option<&'g Expr> {
        let column = expr.as_column().filter(|column| column.table.is_none())?;
        let name = column.name.name(self.bound.src);
        self.select.items.iter().find_map(|item| match item {
            SelectItem::Expr { expr, alias: Some(alias), .. } => {
                let is_it = alias.name(self.bound.src).eq_ignore_ascii_case(&name)
                    || string_alias(self.bound.text(alias.span)) == Some(&*name);
                is_it.then_some(expr)
            }
            _ => None,
        })
    }

    /// A text whose collation is not certain, of columns that a temporary table has as they are.
    fn may_stand_whole(&self, expr: &Expr) -> bool {
        let ExprKind::Func(call) = &expr.unparen().kind else { return false };
        let is_known = WHOLE_ONLY.contains(&function_name(call, self.bound.src).as_str());
        let plain = |argument: &Expr| {
            matches!(argument.kind, ExprKind::Literal(_))
                || (argument.as_column().is_some()
                    && types::is_certain(self.bound, self.block, argument))
        };
        is_known && !call.special && call.args.iter().all(plain)
    }

    /// A named time zone has an hour twice, in which texts of TIMESTAMP are not certain.
    fn reads_timestamp(&self, expr: &Expr) -> bool {
        expr::any(expr, &|part| {
            let column = self.bound.column_of(self.block, part);
            column.is_some_and(|column| self.bound.column(column).type_name() == "timestamp")
        })
    }

    fn same(&mut self, left: &Expr, right: &Expr) -> bool {
        if std::ptr::eq(left, right) {
            return true;
        }
        let column = self.bound.column_of(self.block, left);
        if column.is_some() {
            return column == self.bound.column_of(self.block, right);
        }
        let text = |expr: &Expr| self.bound.text(expr.unparen().span);
        let same = !has_parameter(left) && text(left) == text(right);
        if same && has_literal(left) {
            self.cacheable = false;
        }
        same
    }

    /// Puts the columns of the parts in the place of what they are.
    fn expr(&mut self, expr: &'g Expr, clause: Clause, whole: bool) -> Option<()> {
        if let Some(term) =
            (0..self.terms.len()).find(|term| self.same(self.terms[*term].expr, expr))
        {
            if !whole && self.terms[term].whole_only {
                return None;
            }
            if clause != Clause::Items && self.hides_column(expr) {
                return None;
            }
            let name = format!("`{}`", term_name(term));
            self.edits.push(Edit::replace(self.bound.range(expr.span), vec![Piece::text(name)]));
            return Some(());
        }
        match &expr.kind {
            ExprKind::Column(_) => {
                // An alias stays what it is; a column that is in no group cannot be told.
                let is_alias = clause != Clause::Items
                    && self.bound.column_of(self.block, expr).is_none()
                    && self.alias_of(expr).is_some();
                return is_alias.then_some(());
            }
            ExprKind::Func(call) => {
                let name = function_name(call, self.bound.src);
                if expr::is_aggregate(&name) {
                    return self.aggregate((expr, call, &name), whole && clause != Clause::Having);
                }
            }
            // A server that evaluates a quotient before its groups are whole warns of zeros.
            ExprKind::Binary { op, left, right } if is_division(*op) => {
                let in_order = clause == Clause::OrderBy && !whole;
                if in_order || !self.divides_early(left, right) {
                    return None;
                }
            }
            ExprKind::Default(_)
            | ExprKind::Values(_)
            | ExprKind::Match { .. }
            | ExprKind::UserVar { .. }
            | ExprKind::Assign { .. }
            | ExprKind::SequenceValue { .. } => return None,
            _ => {}
        }
        let inside = whole && matches!(expr.kind, ExprKind::Paren(_));
        let mut all = Some(());
        for_each_part(expr, &mut |part| {
            all = all.and_then(|()| match part {
                Part::Expr(part) => self.expr(part, clause, inside),
                Part::Query(_) => None,
            });
        });
        all
    }

    /// Whether a quotient over no rows is NULL without a division.
    fn divides_early(&self, left: &Expr, right: &Expr) -> bool {
        match &right.unparen().kind {
            ExprKind::Literal(_) => true,
            ExprKind::Func(call) => {
                let name = function_name(call, self.bound.src);
                expr::is_aggregate(&name)
                    && (self.select.group_by.is_empty()
                        || self.is_null_of_nothing(right)
                        || self.is_null_of_nothing(left))
            }
            _ => false,
        }
    }

    /// Whether an expression is NULL over no rows.
    fn is_null_of_nothing(&self, expr: &Expr) -> bool {
        match &expr.unparen().kind {
            ExprKind::Func(call) => {
                let name = function_name(call, self.bound.src);
                matches!(name.as_str(), "SUM" | "MIN" | "MAX" | "AVG")
            }
            ExprKind::Binary { op: BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, left, right } => {
                self.is_null_of_nothing(left) || self.is_null_of_nothing(right)
            }
            _ => false,
        }
    }

    /// Whether a bare name in the expression is a column and also the alias of something else.
    fn hides_column(&self, expr: &Expr) -> bool {
        expr::any(expr, &|part| {
            let column = self.bound.column_of(self.block, part);
            let item = self.alias_of(part);
            item.is_some_and(|item| {
                column.is_none() || self.bound.column_of(self.block, item) != column
            })
        })
    }

    fn aggregate(
        &mut self,
        (expr, call, name): (&'g Expr, &'g FuncCall, &str),
        whole: bool,
    ) -> Option<()> {
        let inside = |argument: &Expr| {
            expr::has_query(argument)
                || has_aggregate(argument, self.bound.src)
                || self.knows_not_all(argument)
        };
        let is_list = name == "GROUP_CONCAT" && call.distinct;
        if call.special && !call.star && !is_list || call.args.iter().any(inside) {
            return None;
        }
        let at = self.bound.range(expr.span);
        if call.distinct && !matches!(name, "MIN" | "MAX") {
            return self.distinct(call, name);
        }
        let tokens = Piece::Tokens(at);
        let text = match name {
            "COUNT" => count_of(&self.part(vec![tokens])),
            "SUM" => {
                self.summable(call)?;
                format!("SUM({})", self.part(vec![tokens]))
            }
            // Inside of an expression it has more digits than it shows, or not, as the server runs it.
            "AVG" if whole => {
                self.summable(call)?;
                let argument = self.bound.range(call.args.first()?.span);
                let mut of = |name: &str| {
                    let head = Piece::text(format!("{name}("));
                    self.part(vec![head, Piece::Tokens(argument), Piece::text(")")])
                };
                let (sum, count) = (of("SUM"), of("COUNT"));
                format!("(SUM({sum})/{})", count_of(&count))
            }
            "MIN" | "MAX" => {
                self.comparable(call.args.first()?)?;
                format!("{name}({})", self.part(vec![tokens]))
            }
            "BIT_AND" | "BIT_OR" | "BIT_XOR" => format!("{name}({})", self.part(vec![tokens])),
            _ => return None,
        };
        self.edits.push(Edit::replace(at, vec![Piece::text(text)]));
        Some(())
    }

    /// Whether a column of the expression is not one of a table of this block.
    fn knows_not_all(&self, expr: &Expr) -> bool {
        expr::any(expr, &|part| {
            matches!(part.kind, ExprKind::Column(_))
                && self.bound.column_of(self.block, part).is_none()
        })
    }

    /// An aggregate of distinct values: the values come along.
    fn distinct(&mut self, call: &'g FuncCall, name: &str) -> Option<()> {
        let is_list = name == "GROUP_CONCAT" && call.args.len() == 1;
        if !is_list && !matches!(name, "COUNT" | "SUM" | "AVG") {
            return None;
        }
        for item in &call.order_by {
            // The values, put together in their own order.
            let [argument] = call.args.as_slice() else { return None };
            let column = self.bound.column_of(self.block, &item.expr)?;
            if self.bound.column_of(self.block, argument) != Some(column) {
                return None;
            }
            let part = self.part(vec![Piece::Tokens(self.bound.range(argument.span))]);
            let at = self.bound.range(item.expr.span);
            self.edits.push(Edit::replace(at, vec![Piece::text(part)]));
        }
        if is_list && call.order_by.is_empty() {
            return None;
        }
        for argument in &call.args {
            let column = self.bound.column(self.bound.column_of(self.block, argument)?);
            let exact = matches!(
                column.class,
                ColumnClass::Integer | ColumnClass::UnsignedInteger | ColumnClass::Decimal { .. }
            );
            let is_certain = types::is_certain(self.bound, self.block, argument);
            if !is_certain || (name != "COUNT" && !exact) || self.reads_timestamp(argument) {
                return None;
            }
            let at = self.bound.range(argument.span);
            self.apart.extend([Piece::text(", "), Piece::Tokens(at)]);
            let column = self.part(vec![Piece::Tokens(at)]);
            self.edits.push(Edit::replace(at, vec![Piece::text(column)]));
        }
        Some(())
    }

    fn summable(&mut self, call: &FuncCall) -> Option<()> {
        let argument = call.args.first()?;
        if has_literal(argument) {
            self.cacheable = false;
        }
        scales::is_even(self.bound, self.block, argument).then_some(())
    }

    /// Whether the lowest and highest value come back from a temporary table as they are.
    fn comparable(&mut self, argument: &Expr) -> Option<()> {
        let Some(column) = self.bound.column_of(self.block, argument) else {
            if has_literal(argument) {
                self.cacheable = false;
            }
            let fits =
                expr::has_column(argument) && scales::is_even(self.bound, self.block, argument);
            return fits.then_some(());
        };
        let column = self.bound.column(column);
        let fits = match column.class {
            ColumnClass::Integer
            | ColumnClass::UnsignedInteger
            | ColumnClass::Decimal { .. }
            | ColumnClass::Date
            | ColumnClass::Time => true,
            ColumnClass::DateTime => column.type_name() == "datetime",
            ColumnClass::Float => column.column_type == "double",
            ColumnClass::Text => !matches!(column.type_name(), "enum" | "set" | "json"),
            ColumnClass::Binary | ColumnClass::Bit | ColumnClass::Other => false,
        };
        fits.then_some(())
    }

    /// A column of the parts.
    fn part(&mut self, pieces: Vec<Piece>) -> String {
        let shown = self.shown(&pieces);
        let known = self.parts.iter().position(|(_, known)| {
            *known == pieces || (shown.is_some() && self.shown(known) == shown)
        });
        let at = known.unwrap_or(self.parts.len());
        if known.is_none() {
            self.parts.push((format!("_ddm_part{at}"), pieces));
        }
        format!("`_ddm_part{at}`")
    }

    /// The text, where it is the same for every statement of the digest.
    fn shown(&self, pieces: &[Piece]) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => all.extend_from_slice(text),
                Piece::Tokens(range) => {
                    let tokens = self.bound.tokens.tokens();
                    let tokens = tokens.get(range.first as usize..=range.last as usize)?;
                    let differs = |kind: TokenKind| kind.is_literal() || kind == TokenKind::Param;
                    if tokens.iter().any(|token| differs(token.kind)) {
                        return None;
                    }
                    for token in tokens {
                        all.extend_from_slice(token.span().of(self.bound.src));
                        all.push(0);
                    }
                }
                _ => return None,
            }
        }
        Some(all)
    }

    fn plan(self, range: TokenRange, names: &[Edit], otherwise: ScratchPlan) -> ScratchPlan {
        let (bound, select) = (self.bound, self.select);
        let from = select.from_span.map(|span| bound.range(span));
        let route = route_of_unit(bound, self.block, &self.unit);
        let schema = self.unit.first().map(|index| bound.refs[*index].schema.name.clone());
        let (Some(from), Some(route), Some(schema)) = (from, route, schema) else {
            return otherwise;
        };
        let last = select.where_span.map_or(from.last, |span| bound.range(span).last);
        let from = TokenRange { first: from.first, last };
        let load = number(bound.refs.len());
        let (text, columns) = self.load_text(from);
        let pieces = vec![Piece::text("FROM "), Piece::Temporary(load)];
        let mut edits = self.edits;
        edits.push(Edit::replace(from, pieces));
        edits.extend(name_edits(bound, NameMode::Temporary));
        let none = vec![Piece::text(" LIMIT 0")];
        let cut = match &self.query.limit {
            Some(limit) => Edit::replace(bound.range(limit.span), none),
            None => Edit::after(bound.range(self.query.span).last, none),
        };
        let template = Template::edited(range, [names, &[cut]].concat());
        let load = Load {
            number: load,
            schema: schema.clone(),
            definition: String::new(),
            primary_key: Vec::new(),
            selective: true,
            effort: 0,
            keys: Vec::new(),
            large_keys: Vec::new(),
            in_place: false,
            columns,
            source: LoadSource::Groups(Box::new(route)),
            text,
        };
        ScratchPlan {
            loads: vec![load],
            reductions: Vec::new(),
            text: Template::edited(range, edits),
            reason: otherwise.reason,
            schema,
            groups: Some(GroupParts { columns: template, otherwise: Box::new(otherwise) }),
        }
    }

    /// What a shard is asked for, and the names of its columns.
    fn load_text(&self, from: TokenRange) -> (Template, Vec<String>) {
        let mut pieces = vec![Piece::text("SELECT ")];
        let mut columns = Vec::new();
        let mut grouping = Vec::new();
        for (place, term) in self.terms.iter().enumerate() {
            let tokens = Piece::Tokens(self.bound.range(term.expr.span));
            grouping.extend([Piece::text(", "), tokens.clone()]);
            columns.push((term_name(place), vec![tokens]));
        }
        grouping.extend_from_slice(&self.apart);
        columns.extend(self.parts.iter().cloned());
        let mut names = Vec::new();
        for (name, of) in columns {
            if !names.is_empty() {
                pieces.push(Piece::text(", "));
            }
            pieces.extend(of);
            pieces.push(Piece::text(format!(" AS `{name}`")));
            names.push(name);
        }
        pieces.extend([Piece::text(" "), Piece::Tokens(from)]);
        if let Some(first) = grouping.first_mut() {
            *first = Piece::text(" GROUP BY ");
            pieces.extend(grouping);
        }
        (Template::made(pieces, name_edits(self.bound, NameMode::Target)), names)
    }
}

fn term_name(place: usize) -> String {
    format!("_ddm_group{place}")
}

/// A count of counts; nothing counts as none.
fn count_of(part: &str) -> String {
    format!("CAST(COALESCE(SUM({part}), 0) AS SIGNED)")
}

fn is_division(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Div | BinaryOp::IntDiv | BinaryOp::Mod)
}

fn has_literal(expr: &Expr) -> bool {
    expr::any(expr, &|part| match &part.kind {
        ExprKind::Literal(literal) => literal.kind != LiteralKind::Null,
        _ => false,
    })
}

fn has_parameter(expr: &Expr) -> bool {
    expr::any(expr, &|part| matches!(part.kind, ExprKind::Param { .. }))
}
