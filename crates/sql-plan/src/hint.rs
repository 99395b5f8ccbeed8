//! Hints: what stands as a comment before everything else in a statement and says where it runs.
//! `/*+db=shop_0000*/` and `/*+db={shop_0000, shop_0001}*/` name shards, `/*+sql=SELECT …*/` names
//! the shard of another query's rows, `/*+table=t_3*/` a physical table of a TRUNCATE. The keys in the
//! statement then decide nothing: it runs on the shards that are named, as it is. A hint that is not
//! known, or cannot be obeyed, is an error: a statement that runs elsewhere than its author believes
//! is worse than one that does not run.

use crate::plan::{Access, Action, DdlPlan, Home, LoadSource, Many, Place, Plan, RoutedPlan};
use crate::planner::{Made, PlanContext, Subject};
use crate::route::{Condition, Route};
use crate::value::Values;
use base::sql_error::{SqlError, WRONG_HINT};
use sql_syntax::ast::Statement;
use sql_syntax::{Hint, TokenBuf, lex, parse};
use topology::model::Schema;

/// What the leading hints of a statement say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hints<'t> {
    /// `db=`: physical databases.
    databases: Vec<&'t str>,
    /// `table=`: a physical table.
    table: Option<&'t str>,
    /// `sql=`: the query whose shard it is.
    query: Option<&'t str>,
    /// `skip_plancache=true`.
    skip_plan_cache: bool,
}

/// Changes a plan as the statement's hints say; also says what else the account must be allowed to do.
pub(crate) fn apply(subject: &Subject<'_>, made: Made) -> Result<(Made, Vec<Access>), SqlError> {
    let is_leading = |hint: &&Hint| hint.before_tok == 0;
    if !subject.tokens.hints().iter().any(|hint| is_leading(&hint)) {
        return Ok((made, Vec::new()));
    }
    let mut hints = Hints::default();
    for hint in subject.tokens.hints().iter().filter(is_leading) {
        let body = std::str::from_utf8(hint.body(subject.src))
            .map_err(|_| wrong("a hint must be UTF-8"))?;
        hints.read(body)?;
    }
    let mut made = made;
    made.cacheable &= !hints.skip_plan_cache;
    let mut access = Vec::new();
    if let Some(query) = hints.query {
        if !hints.databases.is_empty() {
            return Err(wrong("hint 'sql' names the shard already; leave 'db' out"));
        }
        check_statement(subject, "sql")?;
        let (schema, shard, more) = shard_of(subject, query)?;
        access = more;
        restrict(subject, &mut made, &schema, &[shard], None)?;
    } else if !hints.databases.is_empty() || hints.table.is_some() {
        check_statement(subject, if hints.databases.is_empty() { "table" } else { "db" })?;
        let named = named_shards(subject, &made, &hints.databases)?;
        if let Some((schema, shards)) = named {
            restrict(subject, &mut made, &schema, &shards, hints.table)?;
        }
    }
    Ok((made, access))
}

impl<'t> Hints<'t> {
    fn read(&mut self, body: &'t str) -> Result<(), SqlError> {
        let mut rest = body.trim();
        while !rest.is_empty() {
            // A comment in the form of a hint that says nothing of ours is a comment to every server.
            let Some((name, after)) = rest.split_once('=') else { return Ok(()) };
            let name = name.trim();
            let after = after.trim_start();
            if name.eq_ignore_ascii_case("sql") {
                self.query = Some(after.trim_end());
                return Ok(());
            }
            let (value, next) = match after.strip_prefix('{') {
                Some(list) => {
                    let (list, next) =
                        list.split_once('}').ok_or_else(|| wrong("a hint's '{' has no '}'"))?;
                    (list, next.trim_start())
                }
                None => {
                    let end = after.find(',').unwrap_or(after.len());
                    (after[..end].trim(), &after[end..])
                }
            };
            self.set(name, value, after.starts_with('{'))?;
            rest = match next.strip_prefix(',') {
                Some(more) => more.trim(),
                None if next.is_empty() => "",
                None => return Err(wrong(format!("hints are separated by ',': '{next}'"))),
            };
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &'t str, is_list: bool) -> Result<(), SqlError> {
        let lower = name.to_ascii_lowercase();
        if is_list && lower != "db" {
            return Err(wrong(format!("hint '{name}' takes one value")));
        }
        let one_of = |allowed: &[&str]| {
            let fits = allowed.iter().any(|word| word.eq_ignore_ascii_case(value));
            let words = allowed.join(" or ");
            fits.then_some(()).ok_or_else(|| wrong(format!("hint '{name}' takes {words}")))
        };
        match lower.as_str() {
            "db" => {
                for database in value.split(',').map(str::trim) {
                    let again =
                        self.databases.iter().any(|known| known.eq_ignore_ascii_case(database));
                    if database.is_empty() || again {
                        return Err(wrong("hint 'db' takes names of shards, each one once"));
                    }
                    self.databases.push(database);
                }
            }
            "table" if value.is_empty() => return Err(wrong("hint 'table' takes a table's name")),
            "table" => self.table = Some(value),
            "skip_plancache" => {
                one_of(&["true", "false"])?;
                self.skip_plan_cache = value.eq_ignore_ascii_case("true");
            }
            "db_type" => one_of(&["master", "slave"])?,
            "allow_alter_rerun" => one_of(&["true", "false"])?,
            // Checked where rows are cut into chunks.
            "split_chunk_size" => {}
            _ => return Err(wrong(format!("unknown hint '{name}'"))),
        }
        Ok(())
    }
}

/// Statements that a hint can send to a shard.
fn check_statement(subject: &Subject<'_>, hint: &str) -> Result<(), SqlError> {
    let truncates = matches!(subject.parsed.stmt, Statement::Truncate(_));
    if hint == "table" && !truncates {
        return Err(wrong("hint 'table' is for TRUNCATE TABLE"));
    }
    if truncates && hint == "sql" {
        return Err(wrong("TRUNCATE TABLE takes the hints 'db' and 'table'"));
    }
    match &subject.parsed.stmt {
        Statement::Query(_) | Statement::Update(_) | Statement::Delete(_) => Ok(()),
        Statement::Truncate(_) => Ok(()),
        Statement::Insert(_) => Err(wrong(format!(
            "hint '{hint}' is not for INSERT and REPLACE: a row's place is decided by its sharding key"
        ))),
        _ => Err(wrong(format!("hint '{hint}' is for SELECT, UPDATE, DELETE and TRUNCATE TABLE"))),
    }
}

/// The schema that the plan's sharded tables are of.
fn schema_of(made: &Made) -> Option<&str> {
    match &made.plan {
        Plan::Routed(plan) => match &plan.home {
            Home::Any { schema } => schema.as_deref(),
            Home::Shard { schema, .. }
            | Home::Everywhere { schema, .. }
            | Home::Sharded { schema, .. } => Some(schema),
            Home::Apart => plan.tables.first().map(|table| table.schema.as_str()),
        },
        Plan::Ddl(plan) => Some(&plan.schema),
        _ => None,
    }
}

/// The schema and the numbers of its shards that are named; all of them when none is.
fn named_shards(
    subject: &Subject<'_>,
    made: &Made,
    names: &[&str],
) -> Result<Option<(String, Vec<u32>)>, SqlError> {
    let current = subject.context.current_schema;
    let Some(schema) = schema_of(made).or(current).and_then(|name| subject.snapshot.schema(name))
    else {
        return Ok(None);
    };
    let shards = names.iter().map(|name| shard_named(schema, name)).collect::<Result<_, _>>()?;
    let shards: Vec<u32> =
        if names.is_empty() { (0..schema.shard_count()).collect() } else { shards };
    Ok(Some((schema.name.clone(), shards)))
}

fn shard_named(schema: &Schema, name: &str) -> Result<u32, SqlError> {
    let found = schema.shards.iter().find(|shard| shard.database.eq_ignore_ascii_case(name));
    found.map(|shard| shard.index).ok_or_else(|| {
        let text =
            format!("schema '{}' has no shard '{name}'; SHOW DATA NODE lists them", schema.name);
        wrong(text)
    })
}

/// The one shard at which a query's rows are.
fn shard_of(subject: &Subject<'_>, query: &str) -> Result<(String, u32, Vec<Access>), SqlError> {
    let (text, mode) = (query.as_bytes(), subject.context.mode);
    let mut tokens = TokenBuf::new();
    lex(text, 0, mode, &mut tokens);
    let parsed = parse(text, &tokens, mode)
        .map_err(|error| wrong(format!("the query of hint 'sql' cannot be read: {error}")))?;
    let not_one = || wrong("the query of hint 'sql' must have its rows on one shard");
    if !matches!(parsed.stmt, Statement::Query(_)) || tokens.rest().is_some() {
        return Err(wrong("hint 'sql' takes a SELECT"));
    }
    let context = PlanContext {
        current_schema: subject.context.current_schema,
        mode,
        plain_names: false,
        check: None,
    };
    let planned = crate::planner::plan(&parsed, text, &tokens, subject.snapshot, &context)?;
    let Plan::Routed(routed) = &planned.plan else { return Err(not_one()) };
    let values = Values {
        text,
        tokens: &tokens,
        mode,
        param_tokens: &[],
        params: &[],
        evaluated: &[],
        zero_is_a_value: false,
    };
    let (schema, shards) = match routed.decide(&values)? {
        Action::Forward { place: Place::Target(schema, target), .. } => {
            (schema, vec![target.shard])
        }
        Action::Scatter { schema, targets, .. } => {
            (schema, targets.iter().map(|target| target.shard).collect())
        }
        _ => return Err(not_one()),
    };
    match shards.split_first() {
        Some((first, more)) if more.iter().all(|shard| shard == first) => {
            Ok((schema.to_owned(), *first, planned.access))
        }
        _ => Err(not_one()),
    }
}

/// Sends a plan to these shards.
fn restrict(
    subject: &Subject<'_>,
    made: &mut Made,
    schema: &str,
    shards: &[u32],
    table: Option<&str>,
) -> Result<(), SqlError> {
    match &mut made.plan {
        Plan::Routed(plan) => restrict_routed(plan, schema, shards),
        Plan::Ddl(plan) => restrict_truncate(subject, plan, shards, table),
        _ => Err(wrong("a hint cannot send this statement to a shard")),
    }
}

fn restrict_routed(plan: &mut RoutedPlan, schema: &str, shards: &[u32]) -> Result<(), SqlError> {
    let only = |route: &mut Route| route.condition = Condition::Shards(shards.to_vec());
    match &mut plan.home {
        Home::Sharded { schema: of, routes, forwardable } => {
            check_schema(of, schema)?;
            let stays = |shard: &u32| {
                forwardable.as_ref().is_none_or(|may| may.get(*shard as usize) == Some(&true))
            };
            if !shards.iter().all(stays) {
                return Err(wrong("the statement's other tables are not on the shard of its hint"));
            }
            routes.iter_mut().for_each(only);
        }
        // No table: any server will do.
        Home::Any { schema: None } => return Ok(()),
        Home::Any { .. } | Home::Shard { .. } | Home::Everywhere { .. } => {
            return Err(wrong(
                "hints for shards are for sharded tables, not for single and broadcast ones",
            ));
        }
        Home::Apart => {}
    }
    if let Many::Scratch(scratch) = &mut plan.many {
        // One plan for the hint's shards is enough.
        if let Some(groups) = scratch.groups.take() {
            **scratch = *groups.otherwise;
        }
        for load in &mut scratch.loads {
            match &mut load.source {
                LoadSource::Route(route) | LoadSource::Groups(route) => {
                    check_schema(&load.schema, schema)?;
                    only(route);
                }
                LoadSource::Query(part) => restrict_routed(part, schema, shards)?,
                LoadSource::Shard(_) | LoadSource::Copy(_) => {}
            }
        }
    }
    Ok(())
}

fn check_schema(of: &str, schema: &str) -> Result<(), SqlError> {
    if of == schema {
        return Ok(());
    }
    Err(wrong(
        "a hint names shards of one schema, and the statement's sharded tables are of others",
    ))
}

fn restrict_truncate(
    subject: &Subject<'_>,
    plan: &mut DdlPlan,
    shards: &[u32],
    table: Option<&str>,
) -> Result<(), SqlError> {
    let schema = subject.snapshot.schema(&plan.schema);
    for statement in &mut plan.statements {
        let of = statement.tables.first();
        let logical = of.and_then(|of| schema.and_then(|schema| schema.table(&of.name)));
        let is_sharded = logical
            .is_some_and(|table| matches!(table.placement, topology::model::Placement::Sharded(_)));
        let Some(logical) = logical.filter(|_| is_sharded) else {
            return Err(wrong("hints of TRUNCATE TABLE are for sharded tables"));
        };
        let wanted = |suffix: u32| {
            table.is_none_or(|name| logical.physical_name(suffix).eq_ignore_ascii_case(name))
        };
        statement.targets.retain(|target| shards.contains(&target.shard) && wanted(target.suffix));
        if statement.targets.is_empty() {
            let name = table.unwrap_or_default();
            return Err(wrong(format!(
                "table '{}' has no physical table '{name}' there; SHOW TOPOLOGY lists them",
                logical.name
            )));
        }
    }
    // Rows with generated values stay elsewhere.
    plan.sequence_reset.clear();
    Ok(())
}

fn wrong(text: impl Into<String>) -> SqlError {
    SqlError::new(WRONG_HINT, text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Hints<'_>, SqlError> {
        let mut hints = Hints::default();
        hints.read(body).map(|()| hints)
    }

    #[test]
    fn hints_are_read_or_refused() {
        let both = read(" db = a_0001 , table=T_3").unwrap();
        assert_eq!((both.databases, both.table), (vec!["a_0001"], Some("T_3")));
        assert_eq!(read("db={a, b},db_type=slave").unwrap().databases, ["a", "b"]);
        assert_eq!(read("sql= select 1, 2 ").unwrap().query, Some("select 1, 2"));
        assert!(read("skip_plancache=TRUE").unwrap().skip_plan_cache);
        assert_eq!(read("MAX_EXECUTION_TIME(1000)").unwrap(), Hints::default());
        assert_eq!(read("split_chunk_size=7").unwrap(), Hints::default());
        for bad in
            ["db=", "db={a", "db={a, A}", "dbs=a", "table={a}", "db={a} table=x", "db_type=other"]
        {
            assert_eq!(read(bad).unwrap_err().code.number, 3120, "{bad}");
        }
    }
}
