//! The plan of a LOAD DATA LOCAL.

mod staged;

use super::charset::{Charset, CharsetKind};
use super::records::Format;
use super::{
    Evaluation, EvaluationPart, LoadKey, LoadPlan, LoadValue, LoadVariable, LoadWay, SplitLoad,
};
use crate::bind::Bound;
use crate::expr;
use crate::insert::{InsertHome, SequenceUse};
use crate::names::{NameMode, name_edits, number};
use crate::plan::{Home, Plan, PlanTable, TablePlace};
use crate::planner::{Made, Subject, refused};
use crate::query::places::{Found, Places, plan_table};
use crate::template::{Edit, Piece, Template, TokenRange, quoted};
use base::sql_error::{SqlError, UNKNOWN_CHARACTER_SET, UNKNOWN_COLUMN, WRONG_FIELD_SEPARATOR};
use sql_syntax::ast::{Assignment, Expr, ExprKind, Load, LoadDuplicates};
use sql_syntax::text::user_var_name;
use sql_syntax::{LiteralValue, TokenKind};
use staged::Unsplit;
use std::sync::Arc;
use topology::model::{Column, Placement};

/// The character set of files when neither the statement nor a schema says one.
const DEFAULT_CHARSET: &str = "utf8mb4";
/// How records are written to the targets; the numbers are read alike in every sql_mode.
const OWN_FORMAT: &str = " FIELDS TERMINATED BY 0x09 ESCAPED BY 0x5C LINES TERMINATED BY 0x0A (";
/// Variables of a column list are called so on data nodes, with the field's number behind.
const OWN_VARIABLE: &str = "@`_ddm_load_";
/// The servers' note on separators outside of ASCII.
const NON_ASCII_SEPARATOR: (u16, &str) =
    (1638, "Non-ASCII separator arguments are not fully supported");

/// Plans a LOAD DATA LOCAL.
pub(crate) fn plan(subject: &Subject<'_>, load: &Load) -> Result<Made, SqlError> {
    if load.xml {
        return Err(refused("LOAD XML is not supported; use LOAD DATA LOCAL INFILE or INSERT"));
    }
    let mut binder = subject.binder();
    let block = binder.open_block(None);
    if binder.table_name(load.table, None, block, false)?.is_none() {
        return Err(refused("tables of system schemas cannot be changed"));
    }
    for column in &load.columns {
        binder.expr(column, block)?;
    }
    for assignment in &load.assignments {
        binder.column(&assignment.column, block);
        binder.expr(&assignment.value, block)?;
    }
    let bound = binder.finish();
    if bound.facts.assigns_variables {
        return Err(refused("':=' in a LOAD DATA is not supported"));
    }
    let mut maker = Maker { subject, load, bound: &bound, fields: Vec::new() };
    maker.fields = maker.fields()?;
    let plan = maker.plan()?;
    Ok(Made::write(Plan::Load(Box::new(plan)), false, bound.facts.uses))
}

/// What a field of the file goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Goal {
    /// A column, by its name in the table.
    Column(String),
    /// A variable, by name.
    Variable(String),
}

struct Maker<'m, 's> {
    subject: &'m Subject<'s>,
    load: &'m Load,
    bound: &'m Bound<'s>,
    fields: Vec<Goal>,
}

impl Maker<'_, '_> {
    fn plan(&self) -> Result<LoadPlan, SqlError> {
        let charset = self.charset()?;
        let file = self.string(Some(self.load.file_tok), b"");
        let way = match self.bound.refs[0].is_single() {
            true => self.whole(&charset),
            false => self.split(&charset),
        };
        let (tables, way) = match way {
            Ok(way) => way,
            Err(Unsplit::Staged(reason)) => self.staged(reason, &charset),
            Err(Unsplit::Refused(error)) => return Err(error),
        };
        let schema = self.bound.refs[0].schema.name.clone();
        Ok(LoadPlan { tables, schema, file, way, variables: self.variables(), charset })
    }

    /// What each field goes to: the list as written, or all columns.
    fn fields(&self) -> Result<Vec<Goal>, SqlError> {
        let table = self.bound.refs[0].table;
        if self.load.columns.is_empty() {
            let shown = table.columns.iter().filter(|column| !column.invisible);
            return Ok(shown.map(|column| Goal::Column(column.name.clone())).collect());
        }
        let goal = |item: &Expr| match &item.kind {
            ExprKind::Column(column) => {
                let name = crate::bind::ident_text(column.name, self.bound.src);
                self.column(&name).map(|column| Goal::Column(column.name.clone()))
            }
            ExprKind::UserVar { tok } => Ok(Goal::Variable(self.variable_name(*tok))),
            _ => Err(refused("the list of a LOAD DATA holds columns and user variables only")),
        };
        self.load.columns.iter().map(goal).collect()
    }

    fn column(&self, name: &str) -> Result<&Column, SqlError> {
        self.bound.refs[0].table.column(name).map(|(_, column)| column).ok_or_else(|| {
            SqlError::new(UNKNOWN_COLUMN, format!("Unknown column '{name}' in 'SELECT'"))
        })
    }

    fn variable_name(&self, token: u32) -> String {
        let raw = self.bound.tokens.bytes(self.bound.src, token);
        String::from_utf8_lossy(&user_var_name(raw)).to_lowercase()
    }

    /// The last field that a variable takes.
    fn field_of_variable(&self, name: &str) -> Option<usize> {
        self.fields.iter().rposition(|goal| *goal == Goal::Variable(name.to_owned()))
    }

    fn variables(&self) -> Vec<LoadVariable> {
        let mut known: Vec<LoadVariable> = Vec::new();
        for goal in &self.fields {
            if let Goal::Variable(name) = goal
                && known.iter().all(|one| one.name != *name)
                && let Some(field) = self.field_of_variable(name)
            {
                known.push(LoadVariable { name: name.clone(), own: own_variable(field), field });
            }
        }
        known
    }

    fn charset(&self) -> Result<Charset, SqlError> {
        let Some(ident) = self.load.charset else {
            let schema =
                self.bound.current_schema.and_then(|name| self.bound.snapshot.schema(name));
            return Ok(Charset::of(schema.map_or(DEFAULT_CHARSET, |schema| &schema.character_set)));
        };
        let raw = crate::bind::ident_text(ident, self.bound.src);
        let name = raw.trim_matches(['\'', '"']);
        let fine = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() || !fine {
            let text = format!("Unknown character set: '{name}'");
            return Err(SqlError::new(UNKNOWN_CHARACTER_SET, text));
        }
        if name.eq_ignore_ascii_case("default") {
            return Ok(Charset::of(DEFAULT_CHARSET));
        }
        Ok(Charset::of(name))
    }

    /// A string of the statement.
    fn string(&self, token: Option<u32>, default: &[u8]) -> Vec<u8> {
        let Some(token) = token else { return default.to_vec() };
        let mode = self.subject.context.mode;
        match self.bound.tokens.value(self.bound.src, token, mode) {
            LiteralValue::String(text) => text.into_owned(),
            LiteralValue::Hex(bytes) | LiteralValue::Bit(bytes) => bytes,
            _ => default.to_vec(),
        }
    }

    /// Variables of the list under their own names.
    fn variable_edits(&self) -> Vec<Edit> {
        let tokens = self.bound.tokens.tokens();
        let end = self.bound.range(self.load.span).last as usize;
        let mut edits = Vec::new();
        for (at, token) in tokens.iter().enumerate().take(end + 1) {
            if token.kind == TokenKind::UserVar
                && let Some(field) = self.field_of_variable(&self.variable_name(number(at)))
            {
                let at = TokenRange { first: number(at), last: number(at) };
                edits.push(Edit::replace(at, vec![Piece::Text(own_variable(field))]));
            }
        }
        edits
    }

    /// A single table: its data node does it all.
    fn whole(&self, charset: &Charset) -> Result<(Arc<[PlanTable]>, LoadWay), Unsplit> {
        let places = Places::of(self.bound);
        let Found::One(Home::Shard { shard, .. }) = places.home else {
            return Err(Unsplit::Staged("SET reads tables of other shards"));
        };
        let mut edits = name_edits(self.bound, NameMode::TargetPlain);
        edits.extend(self.variable_edits());
        edits.extend(self.charset_edit(charset));
        let range = self.bound.range(self.load.span);
        let generates = self.bound.refs[0].table.columns.iter().any(|column| column.auto_increment);
        let text = Template::edited(range, edits);
        Ok((places.tables, LoadWay::Whole { shard, text, generates }))
    }

    /// The file's character set, where the statement leaves it open.
    fn charset_edit(&self, charset: &Charset) -> Option<Edit> {
        let text = format!(" CHARACTER SET {}", charset.name);
        let at = self.partition_tokens().last;
        let edit = Edit::after(at, vec![Piece::text(text)]).always();
        self.load.charset.is_none().then_some(edit)
    }

    /// The table's name and PARTITION.
    fn partition_tokens(&self) -> TokenRange {
        let name = self.bound.range(self.load.table.span);
        let Some(last) = self.load.partitions.last() else { return name };
        TokenRange { first: name.first, last: last.tok + 1 }
    }

    fn format(&self) -> Result<Format, Unsplit> {
        let written = &self.load.format;
        let escape: &[u8] =
            if self.subject.context.mode.no_backslash_escapes { b"" } else { b"\\" };
        let enclosed = self.string(written.enclosed, b"");
        let escaped = self.string(written.escaped, escape);
        if enclosed.len() > 1 || escaped.len() > 1 {
            let text = "Field separator argument is not what is expected; check the manual";
            return Err(SqlError::new(WRONG_FIELD_SEPARATOR, text).into());
        }
        let format = Format {
            field_end: self.string(written.fields_terminated, b"\t"),
            enclosed: enclosed.first().copied(),
            escaped: escaped.first().copied(),
            line_start: self.string(written.lines_starting, b""),
            line_end: self.string(written.lines_terminated, b"\n"),
        };
        if format.field_end.is_empty() && format.enclosed.is_none() {
            return Err(Unsplit::Staged("fields have a fixed length"));
        }
        Ok(format)
    }

    fn split(&self, charset: &Charset) -> Result<(Arc<[PlanTable]>, LoadWay), Unsplit> {
        self.check_split(charset)?;
        let format = self.format()?;
        let mut notes = Vec::new();
        let separators = [&format.field_end, &format.line_end, &format.line_start];
        if separators.into_iter().flatten().chain(&format.enclosed).any(|byte| !byte.is_ascii()) {
            notes.push((NON_ASCII_SEPARATOR.0, NON_ASCII_SEPARATOR.1.to_owned()));
        }
        let mut given = Given {
            maker: self,
            names: Vec::new(),
            values: Vec::new(),
            keys: Vec::new(),
            evaluation: Vec::new(),
            left_out: None,
            removed: Vec::new(),
        };
        let sequence = self.sequence();
        if let Some(sequence) = &sequence {
            given.sequence(&sequence.column)?;
        }
        let target = &self.bound.refs[0];
        let home = match &target.router {
            Some(router) => {
                for key in &router.columns {
                    given.key(&key.name, sequence.as_ref())?;
                }
                InsertHome::Sharded(router.clone())
            }
            None => InsertHome::Everywhere { shards: target.schema.shard_count() },
        };
        given.check_readers()?;
        let text = self.split_text(&given, charset);
        let place = match &target.table.placement {
            Placement::Sharded(rule) => TablePlace::Sharded { suffixed: rule.table.is_some() },
            Placement::Broadcast => TablePlace::Broadcast,
            Placement::Single => TablePlace::Fixed { shard: 0 },
        };
        let Given { values, keys, evaluation, left_out, .. } = given;
        let split = SplitLoad {
            home,
            format,
            width: self.fields.len(),
            skip_lines: self.skip_lines(),
            text,
            given: values,
            left_out,
            keys,
            sequence,
            evaluation,
            notes,
        };
        Ok((Arc::from([plan_table(target, place)]), LoadWay::Split(Box::new(split))))
    }

    fn skip_lines(&self) -> u64 {
        let mode = self.subject.context.mode;
        match self
            .load
            .ignore_lines
            .map(|token| self.bound.tokens.value(self.bound.src, token, mode))
        {
            Some(LiteralValue::Int(lines)) => lines,
            Some(LiteralValue::Decimal(_)) => u64::MAX,
            _ => 0,
        }
    }

    fn check_split(&self, charset: &Charset) -> Result<(), Unsplit> {
        if charset.kind == CharsetKind::Wide {
            return Err(Unsplit::Staged("characters of the file may look like separators"));
        }
        if self.bound.refs.len() > 1 {
            return Err(Unsplit::Staged("SET reads tables"));
        }
        let broadcast = self.bound.refs[0].router.is_none();
        let src = self.bound.src;
        let random = |value: &Expr| {
            expr::any(value, &|part| match &part.kind {
                ExprKind::Func(call) => expr::is_random_function(&expr::function_name(call, src)),
                _ => false,
            })
        };
        if broadcast && self.load.assignments.iter().any(|one| random(&one.value)) {
            return Err(Unsplit::Staged("copies of a broadcast table would differ"));
        }
        Ok(())
    }

    fn sequence(&self) -> Option<SequenceUse> {
        let table = self.bound.refs[0].table;
        let (_, column) = table.column(table.sequence_column.as_deref()?)?;
        let max = column
            .integer_bounds()
            .map_or(u64::MAX, |(_, high)| u64::try_from(high).unwrap_or(u64::MAX));
        Some(SequenceUse {
            table: table.name.clone(),
            column: column.name.clone(),
            max,
            keeps_null: column.nullable,
        })
    }

    /// The statement that each target gets.
    fn split_text(&self, given: &Given<'_, '_, '_>, charset: &Charset) -> Template {
        let priority = match self.load.priority {
            Some(span) => [self.bound.text(span), b" "].concat(),
            None => Vec::new(),
        };
        let duplicates = match self.load.duplicates {
            LoadDuplicates::Default => "",
            LoadDuplicates::Replace => "REPLACE ",
            LoadDuplicates::Ignore => "IGNORE ",
        };
        let mut pieces = vec![
            Piece::Text([b"LOAD DATA ", &priority[..], b"LOCAL INFILE 'rows' "].concat()),
            Piece::text(format!("{duplicates}INTO TABLE ")),
            Piece::Tokens(self.partition_tokens()),
            Piece::text(format!(" CHARACTER SET {}{OWN_FORMAT}", charset.name)),
        ];
        let own: Vec<Vec<u8>> = given.names.iter().map(|name| quoted(name)).collect();
        let listed = self.fields.iter().enumerate().filter(|(at, _)| given.left_out != Some(*at));
        let listed = listed.map(|(at, goal)| match goal {
            Goal::Column(name) => quoted(name),
            Goal::Variable(name) => own_variable(self.field_of_variable(name).unwrap_or(at)),
        });
        let list: Vec<Vec<u8>> = own.into_iter().chain(listed).collect();
        pieces.push(Piece::Text([list.join(&b", "[..]), b")".to_vec()].concat()));
        let mut word = " SET ";
        for (at, assignment) in self.load.assignments.iter().enumerate() {
            if !given.removed.contains(&at) {
                pieces.push(Piece::text(word));
                pieces.push(Piece::Tokens(self.bound.range(assignment.span)));
                word = ", ";
            }
        }
        let mut edits = name_edits(self.bound, NameMode::TargetPlain);
        edits.extend(self.variable_edits());
        Template::made(pieces, edits)
    }
}

/// `` @`name` `` of a variable that takes this field.
fn own_variable(field: usize) -> Vec<u8> {
    format!("{OWN_VARIABLE}{field}`").into_bytes()
}

/// Columns that must be known before a record is placed.
struct Given<'g, 'm, 's> {
    maker: &'g Maker<'m, 's>,
    /// Columns that are written before the fields of the file.
    names: Vec<String>,
    values: Vec<LoadValue>,
    keys: Vec<LoadKey>,
    evaluation: Vec<Evaluation>,
    left_out: Option<usize>,
    /// Assignments that are no longer the data nodes' work.
    removed: Vec<usize>,
}

impl Given<'_, '_, '_> {
    fn is(&self, assignment: &Assignment, column: &str) -> bool {
        assignment.column.name.is(self.maker.bound.src, column.as_bytes())
    }

    /// The one assignment of a column.
    fn assignment(&self, column: &str) -> Result<Option<(usize, &Assignment)>, Unsplit> {
        let all = self.maker.load.assignments.iter().enumerate();
        let mut own = all.filter(|(_, assignment)| self.is(assignment, column));
        let first = own.next();
        if own.next().is_some() {
            return Err(Unsplit::Staged("SET gives a column that places rows two values"));
        }
        Ok(first)
    }

    fn field(&self, column: &str) -> Option<usize> {
        self.maker.fields.iter().rposition(|goal| *goal == Goal::Column(column.to_owned()))
    }

    /// The column that takes generated ids.
    fn sequence(&mut self, column: &str) -> Result<(), Unsplit> {
        let readers = self.maker.load.assignments.iter();
        if readers.into_iter().any(|other| self.reads(&other.value, column)) {
            return Err(Unsplit::Staged("SET reads the AUTO_INCREMENT column"));
        }
        let value = match self.assignment(column)?.map(|(at, _)| at) {
            Some(at) => LoadValue::Evaluated(self.evaluate(at)?),
            None => {
                let goal = Goal::Column(column.to_owned());
                if self.maker.fields.iter().filter(|other| **other == goal).count() > 1 {
                    return Err(Unsplit::Staged("the AUTO_INCREMENT column is listed twice"));
                }
                self.left_out = self.field(column);
                LoadValue::Id(self.left_out)
            }
        };
        self.names.push(column.to_owned());
        self.values.push(value);
        Ok(())
    }

    fn key(&mut self, column: &str, sequence: Option<&SequenceUse>) -> Result<(), Unsplit> {
        if sequence.is_some_and(|sequence| sequence.column == column) {
            self.keys.push(LoadKey::Id);
            return Ok(());
        }
        let key = match (self.assignment(column)?, self.field(column)) {
            (None, Some(field)) => LoadKey::Field(field),
            (None, None) => LoadKey::Default,
            (Some((at, assignment)), _) => match self.simple(&assignment.value) {
                Some(key) => key,
                None => {
                    let index = self.evaluate(at)?;
                    self.names.push(column.to_owned());
                    self.values.push(LoadValue::Evaluated(index));
                    LoadKey::Evaluated(index)
                }
            },
        };
        self.keys.push(key);
        Ok(())
    }

    /// A value that is known without a data node.
    fn simple(&self, value: &Expr) -> Option<LoadKey> {
        let maker = self.maker;
        match &value.unparen().kind {
            ExprKind::UserVar { tok } => {
                maker.field_of_variable(&maker.variable_name(*tok)).map(LoadKey::Field)
            }
            ExprKind::Default(None) => Some(LoadKey::Default),
            _ => expr::value_of(value, maker.bound.src).map(LoadKey::Value),
        }
    }

    /// A data node computes what SET gives this column; the record takes the value along.
    fn evaluate(&mut self, at: usize) -> Result<usize, Unsplit> {
        let maker = self.maker;
        let value = &maker.load.assignments[at].value;
        if expr::has_column(value) || expr::has_query(value) {
            return Err(Unsplit::Staged("SET computes a column that places rows from others"));
        }
        self.removed.push(at);
        let range = maker.bound.range(value.span);
        let mut parts = Vec::new();
        let mut from = range.first;
        let text = |first: u32, last: u32| {
            let edits = name_edits(maker.bound, NameMode::TargetPlain);
            EvaluationPart::Text(Template::edited(TokenRange { first, last }, edits))
        };
        for token in range.first..=range.last {
            let is_variable =
                maker.bound.tokens.tokens()[token as usize].kind == TokenKind::UserVar;
            let name = is_variable.then(|| maker.variable_name(token));
            if let Some(field) = name.and_then(|name| maker.field_of_variable(&name)) {
                if from < token {
                    parts.push(text(from, token - 1));
                }
                parts.push(EvaluationPart::Field(field));
                from = token + 1;
            }
        }
        if from <= range.last {
            parts.push(text(from, range.last));
        }
        self.evaluation.push(Evaluation { parts });
        Ok(self.evaluation.len() - 1)
    }

    fn reads(&self, value: &Expr, column: &str) -> bool {
        expr::any(value, &|part| match &part.kind {
            ExprKind::Column(other) => other.name.is(self.maker.bound.src, column.as_bytes()),
            _ => false,
        })
    }

    /// A column whose value is computed first must not be read where it had another one before.
    fn check_readers(&self) -> Result<(), Unsplit> {
        for removed in &self.removed {
            let column = &self.maker.load.assignments[*removed].column;
            let name = crate::bind::ident_text(column.name, self.maker.bound.src);
            let listed = self.field(&name).is_some();
            let others = self.maker.load.assignments.iter().enumerate();
            for (at, other) in others {
                if (listed || at < *removed) && self.reads(&other.value, &name) {
                    return Err(Unsplit::Staged(
                        "SET reads a column that places rows before it computes it",
                    ));
                }
            }
        }
        Ok(())
    }
}
