//! Runs the statements of the server's own test files on a plain server and on DDM, statement by
//! statement in a fresh schema each, and says of each whether a client sees the same.
//!
//! A statement that DDM refuses and that writes is run on neither server; what it would have made or
//! changed is set aside, and later statements that name it are not counted.

use crate::compare::{Nature, Verdict, judge_as};
use crate::mtr::{MtrStatement, statements};
use crate::mtr_order::{Order, order, picks_any_rows};
use crate::mtr_rules::{left_out, reads, sharded, targets, words};
use crate::observe::{Observed, Protocol, SeenColumn, observe};
use crate::plain_server::PlainServer;
use anyhow::Result;
use node_backend::{ConnectOptions, Connection};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How the tables of a file are made on DDM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// As they are.
    Single,
    /// Sharded by a fitting column.
    Sharded,
    /// A copy on every data node.
    Broadcast,
}

/// What went wrong with one statement.
#[derive(Clone, Debug)]
pub struct MtrFinding {
    /// File and line.
    pub place: String,
    /// The statement.
    pub sql: String,
    /// What differs.
    pub how: String,
}

/// The counts of one file in one placement.
#[derive(Clone, Debug, Default)]
pub struct MtrTally {
    /// A client sees no difference.
    pub equal: usize,
    /// Of them, both fail alike.
    pub errors: usize,
    /// By DDM's text: how often, and the first example.
    pub refused: BTreeMap<String, (usize, String)>,
    /// Differences.
    pub wrong: Vec<MtrFinding>,
    /// Lost connections.
    pub crashed: Vec<MtrFinding>,
    /// Left out, by rule.
    pub left_out: BTreeMap<&'static str, usize>,
    /// Tables that could not be sharded or broadcast and are single.
    pub kept_single: usize,
}

impl MtrTally {
    /// Adds another's counts.
    pub fn add(&mut self, other: MtrTally) {
        self.equal += other.equal;
        self.errors += other.errors;
        for (reason, (count, example)) in other.refused {
            self.refused.entry(reason).or_insert((0, example)).0 += count;
        }
        self.wrong.extend(other.wrong);
        self.crashed.extend(other.crashed);
        for (rule, count) in other.left_out {
            *self.left_out.entry(rule).or_insert(0) += count;
        }
        self.kept_single += other.kept_single;
    }

    /// How many of the statements that the plain server accepts are equal, and the other counts.
    pub fn share(&self) -> String {
        let (wrong, crashed, refused) =
            (self.wrong.len(), self.crashed.len(), self.refused_count());
        let equal = self.equal - self.errors;
        let accepted = equal + refused + wrong + crashed;
        format!(
            "{:.2} % ({equal} of {accepted}), {} errors alike, {refused} refused, {wrong} wrong, {crashed} crashed",
            100.0 * equal as f64 / accepted.max(1) as f64,
            self.errors
        )
    }

    /// How many statements were refused.
    pub fn refused_count(&self) -> usize {
        self.refused.values().map(|(count, _)| count).sum()
    }
}

/// The servers, and the schema of the same contents on both.
#[derive(Debug)]
pub struct MtrBench<'a> {
    /// The plain server.
    pub plain: &'a PlainServer,
    /// How to reach DDM, with the schema.
    pub ddm: &'a ConnectOptions,
    /// The schema's name on both.
    pub schema: &'a str,
    /// How tables are made.
    pub placement: Placement,
    /// Places (`file:line`) whose answer is left open, with a reason in `mtr-known.txt`.
    pub open: &'a BTreeSet<String>,
}

struct Run<'a> {
    bench: &'a MtrBench<'a>,
    plain: Connection,
    ddm: Connection,
    file: String,
    set_aside: BTreeSet<String>,
    /// Views that show any rows of those they could, and prepared statements that make lists so.
    loose_views: BTreeSet<String>,
    /// The statement before was left out.
    skipped: bool,
    /// After `USE` of another database.
    elsewhere: bool,
    tally: MtrTally,
}

impl MtrBench<'_> {
    /// Runs one file in an empty schema.
    pub async fn run_file(&self, path: &Path) -> Result<MtrTally> {
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let mut plain = self.plain.connect(None).await?;
        let schema = self.schema;
        for sql in [
            format!("DROP DATABASE IF EXISTS {schema}"),
            format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"),
        ] {
            plain.execute_sql(sql.as_bytes()).await?;
        }
        let mut run = Run {
            bench: self,
            plain: self.open_plain().await?,
            ddm: Connection::connect(self.ddm).await?,
            file: name,
            set_aside: BTreeSet::new(),
            loose_views: BTreeSet::new(),
            skipped: false,
            elsewhere: false,
            tally: MtrTally::default(),
        };
        run.empty_ddm().await?;
        for statement in statements(path)? {
            run.statement(&statement).await?;
        }
        Ok(run.tally)
    }

    async fn open_plain(&self) -> Result<Connection> {
        self.plain.revive().await?;
        let mut plain = self.plain.connect(Some(self.schema)).await?;
        // A statement that waits for another connection of the file is not waited for.
        plain.execute_sql(b"SET lock_wait_timeout = 2, innodb_lock_wait_timeout = 2").await?;
        plain.execute_sql(b"SET max_statement_time = 10").await?;
        Ok(plain)
    }
}

impl Run<'_> {
    async fn empty_ddm(&mut self) -> Result<()> {
        for _ in 0..3 {
            let shown = observe(&mut self.ddm, Protocol::Text, "SHOW FULL TABLES").await;
            let Observed::Rows { rows, .. } = shown else { return Ok(()) };
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                let name = row[0].clone().unwrap_or_default();
                let view = row.get(1).is_some_and(|kind| kind.as_deref() == Some("VIEW"));
                let kind = if view { "VIEW" } else { "TABLE" };
                let sql = format!("DROP {kind} IF EXISTS `{name}`");
                observe(&mut self.ddm, Protocol::Text, &sql).await;
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, rule: &'static str) {
        self.skipped = true;
        *self.tally.left_out.entry(rule).or_insert(0) += 1;
    }

    async fn statement(&mut self, statement: &MtrStatement) -> Result<()> {
        let Some(sql) = statement.text() else {
            self.leave_out("not UTF-8");
            return Ok(());
        };
        let sql = in_schema(sql, self.bench.schema);
        let list = words(&sql);
        let named = targets(&list);
        if list.iter().take(2).map(String::as_str).eq(["drop", "table"])
            && named.iter().any(|name| self.set_aside.contains(name))
        {
            return self.forget(&named).await;
        }
        self.other_databases(&list);
        let rule = if self.elsewhere {
            Some("another database")
        } else if statement.connection == "default" {
            left_out(&sql, &list)
        } else {
            Some("another connection")
        };
        if let Some(rule) = rule {
            // What it would have made or changed is unknown from here on.
            if !reads(&list) {
                self.put_aside(&list);
            }
            self.leave_out(rule);
            return Ok(());
        }
        let prepared = prepared_words(&sql, &list);
        if list.iter().chain(&prepared).any(|word| self.set_aside.contains(word)) {
            if !reads(&list) {
                self.put_aside(&list);
            }
            self.leave_out("names what was set aside");
            return Ok(());
        }
        if self.skipped && list.iter().any(|word| word == "row_count" || word == "found_rows") {
            self.leave_out("asks about a statement that was left out");
            return Ok(());
        }
        self.skipped = false;
        self.compare(statement, &sql, &list).await
    }

    /// Keeps track of the databases that a file makes and goes to.
    fn other_databases(&mut self, list: &[String]) {
        let word = |at: usize| list.get(at).map_or("", String::as_str);
        match (word(0), word(1)) {
            ("use", name) => self.elsewhere = name != "test",
            ("create", "database" | "schema") => {
                let skipped = |w: &&String| !matches!(w.as_str(), "if" | "not" | "exists");
                self.set_aside.extend(list.iter().skip(2).filter(skipped).take(1).cloned());
            }
            _ => {}
        }
    }

    /// What a statement that was not run would have made or changed.
    fn put_aside(&mut self, list: &[String]) {
        self.set_aside.extend(targets(list));
        if list.iter().any(|w| matches!(w.as_str(), "into" | "set" | "select")) {
            let variables = list.iter().filter(|w| w.starts_with('@') && !w.starts_with("@@"));
            self.set_aside.extend(variables.cloned());
        }
    }

    /// Drops what one server may have and the other not.
    async fn forget(&mut self, named: &BTreeSet<String>) -> Result<()> {
        for name in named {
            let mut refused = false;
            for kind in ["TABLE", "VIEW"] {
                let sql = format!("DROP {kind} IF EXISTS `{name}`");
                observe(&mut self.plain, Protocol::Text, &sql).await;
                let dropped = observe(&mut self.ddm, Protocol::Text, &sql).await;
                refused |= matches!(dropped, Observed::Error { number: 1235, .. });
            }
            // Where DDM does not drop it either (under LOCK TABLES), it stays unknown.
            if !refused {
                self.set_aside.remove(name);
            }
        }
        self.leave_out("drops what was set aside");
        Ok(())
    }

    async fn compare(
        &mut self,
        statement: &MtrStatement,
        sql: &str,
        list: &[String],
    ) -> Result<()> {
        let seen = self.on_ddm(sql, list).await?;
        let reading = reads(list);
        if !reading
            && let Verdict::Refused(reason) = judge_as(
                sql,
                &Nature::default(),
                &Observed::Done { affected: 0, last_insert_id: 0, warnings: 0 },
                &seen,
            )
        {
            self.put_aside(list);
            if statement.expects_error {
                self.leave_out("refused, and expected to fail");
            } else {
                self.refuse(reason, sql);
            }
            return Ok(());
        }
        let expected = observe(&mut self.plain, Protocol::Text, sql).await;
        if matches!(expected, Observed::Lost(_) | Observed::Error { number: 1969 | 1205, .. }) {
            self.plain = self.bench.open_plain().await?;
            if matches!(seen, Observed::Lost(_)) {
                // Its answer may still come: not as that of another statement.
                self.ddm = Connection::connect(self.bench.ddm).await?;
            }
            self.set_aside.extend(targets(list));
            self.leave_out("too long for the plain server");
            return Ok(());
        }
        if is_explanation(&seen) {
            self.leave_out("explain");
            return Ok(());
        }
        if list.first().is_some_and(|word| word == "prepare") && unordered_lists(sql) {
            self.loose_views.extend(targets(list));
        }
        if list.iter().take(6).any(|word| word == "view") && picks_any_rows(sql) {
            self.loose_views.extend(targets(list));
        }
        let ordered = order(sql, &expected) == Order::Total;
        let verdict = judge_as(
            sql,
            &Nature { ordered, text_decimals: true, ..Nature::default() },
            &expected,
            &seen,
        );
        let verdict = match verdict {
            Verdict::Wrong(how) => self.second_look(sql, list, &expected, &seen, how).await,
            other => Some(other),
        };
        self.record(statement, sql, list, &expected, verdict).await?;
        if releases(list) && matches!(expected, Observed::Done { .. }) {
            // Either server ends the connection after its answer.
            self.plain = self.bench.open_plain().await?;
            self.ddm = Connection::connect(self.bench.ddm).await?;
        }
        Ok(())
    }

    fn refuse(&mut self, reason: String, sql: &str) {
        self.tally.refused.entry(reason).or_insert((0, format!("{}: {sql}", self.file))).0 += 1;
    }

    async fn record(
        &mut self,
        statement: &MtrStatement,
        sql: &str,
        list: &[String],
        expected: &Observed,
        verdict: Option<Verdict>,
    ) -> Result<()> {
        let finding = |how: String| MtrFinding {
            place: format!("{}:{}", self.file, statement.line),
            sql: sql.to_owned(),
            how,
        };
        match verdict {
            None => {
                if !reads(list) {
                    self.put_aside(list);
                }
                self.leave_out("the standard leaves the answer open");
            }
            Some(Verdict::Equal) => {
                self.tally.equal += 1;
                self.tally.errors += usize::from(matches!(expected, Observed::Error { .. }));
            }
            Some(Verdict::Refused(_)) if matches!(expected, Observed::Error { .. }) => {
                self.leave_out("refused, and expected to fail");
            }
            Some(Verdict::Refused(reason)) => {
                self.put_aside(list);
                self.refuse(reason, sql);
            }
            Some(Verdict::Wrong(how)) => {
                let finding = finding(how);
                if self.bench.open.contains(&finding.place) {
                    self.leave_out("listed as open in mtr-known.txt");
                } else {
                    self.tally.wrong.push(finding);
                }
                self.put_aside(list);
            }
            Some(Verdict::Crashed(how)) => {
                let finding = finding(how);
                self.tally.crashed.push(finding);
                self.ddm = Connection::connect(self.bench.ddm).await?;
                self.set_aside.extend(targets(list));
            }
        }
        Ok(())
    }

    async fn on_ddm(&mut self, sql: &str, list: &[String]) -> Result<Observed> {
        let is_create = list.iter().take(2).map(String::as_str).eq(["create", "table"]);
        let changed = match self.bench.placement {
            _ if !is_create => None,
            Placement::Single => None,
            Placement::Sharded => sharded(sql, list),
            Placement::Broadcast if list.iter().any(|w| w == "select" || w == "like") => None,
            Placement::Broadcast => Some(format!("{sql} BROADCAST")),
        };
        if is_create && self.bench.placement != Placement::Single && changed.is_none() {
            self.tally.kept_single += 1;
        }
        if let Some(changed) = changed {
            let seen = observe(&mut self.ddm, Protocol::Text, &changed).await;
            if !matches!(seen, Observed::Error { .. }) {
                return Ok(seen);
            }
            self.tally.kept_single += 1;
        }
        Ok(observe(&mut self.ddm, Protocol::Text, sql).await)
    }

    /// Whether a difference is one that the SQL standard allows; `None` when it is.
    async fn second_look(
        &mut self,
        sql: &str,
        list: &[String],
        expected: &Observed,
        seen: &Observed,
        how: String,
    ) -> Option<Verdict> {
        let (Observed::Rows { rows: a, columns, .. }, Observed::Rows { rows: b, .. }) =
            (expected, seen)
        else {
            if self.changes_by_generated_id(list, expected, seen).await {
                return None;
            }
            return Some(Verdict::Wrong(how));
        };
        // Before anything else is asked on these connections.
        if how.starts_with("warnings") && self.same_kinds_of_warnings().await {
            return None;
        }
        let has = |word: &str| list.iter().any(|w| w == word);
        let limited = has("limit") || has("fetch");
        if self.bench.placement != Placement::Single && a.len() == b.len() {
            let ids = self.generated_ids().await;
            let at = |(at, column): (usize, &SeenColumn)| ids.contains(&column.name).then_some(at);
            let at: Vec<usize> = columns.iter().enumerate().filter_map(at).collect();
            if !at.is_empty() && (limited || without(a, &at) == without(b, &at)) {
                return None;
            }
        }
        if let Order::Keys(keys) = order(sql, expected)
            && !columns.is_empty()
            && !same_keys(a, b, &keys)
        {
            return Some(Verdict::Wrong(format!("order\n{how}")));
        }
        if unordered_lists(sql) {
            return None;
        }
        if picks_any_rows(sql) || list.iter().any(|word| self.loose_views.contains(word)) {
            return None;
        }
        let open = limited && a.len() == b.len() || self.is_loose_group(sql).await;
        if open { None } else { Some(Verdict::Wrong(how)) }
    }

    /// Whether a statement chooses or makes its rows by ids that are others than on one server.
    async fn changes_by_generated_id(
        &mut self,
        list: &[String],
        expected: &Observed,
        seen: &Observed,
    ) -> bool {
        let both_run = matches!((expected, seen), (Observed::Done { .. }, Observed::Done { .. }));
        if self.bench.placement == Placement::Single || !both_run {
            return false;
        }
        let choosing = match list.first().map(String::as_str) {
            Some("update" | "delete") => "where",
            Some("insert" | "replace") => "select",
            _ => return false,
        };
        let Some(at) = list.iter().position(|word| word == choosing) else { return false };
        let ids = self.generated_ids().await;
        list[at..].iter().any(|word| ids.contains(word))
    }

    /// The AUTO_INCREMENT columns of the file's tables: global sequences give them other ids than one
    /// server's counter, though unique ones.
    async fn generated_ids(&mut self) -> BTreeSet<String> {
        let sql = format!(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = '{}' AND EXTRA LIKE '%auto_increment%'",
            self.bench.schema
        );
        let Observed::Rows { rows, .. } = observe(&mut self.plain, Protocol::Text, &sql).await
        else {
            return BTreeSet::new();
        };
        rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
    }

    /// Whether the last statement's warnings are of the same kinds, though not as many: how often an
    /// expression is evaluated is the server's own affair.
    async fn same_kinds_of_warnings(&mut self) -> bool {
        let mut kinds = Vec::new();
        for connection in [&mut self.plain, &mut self.ddm] {
            let Observed::Rows { rows, .. } =
                observe(connection, Protocol::Text, "SHOW WARNINGS").await
            else {
                return false;
            };
            let codes: BTreeSet<Option<String>> =
                rows.into_iter().map(|row| row.get(1).cloned().flatten()).collect();
            kinds.push(codes);
        }
        kinds[0] == kinds[1] && !kinds[0].is_empty()
    }

    /// Whether the query selects columns that its groups do not determine.
    async fn is_loose_group(&mut self, sql: &str) -> bool {
        let strict = "SET @kept = @@sql_mode, sql_mode = CONCAT(@@sql_mode, ',ONLY_FULL_GROUP_BY')";
        observe(&mut self.plain, Protocol::Text, strict).await;
        let again = observe(&mut self.plain, Protocol::Text, sql).await;
        observe(&mut self.plain, Protocol::Text, "SET sql_mode = @kept").await;
        matches!(again, Observed::Error { number: 1055 | 1140, .. })
    }
}

/// Whether this is what EXPLAIN answers, which has a form of its own here.
fn is_explanation(seen: &Observed) -> bool {
    let Observed::Rows { columns, .. } = seen else { return false };
    columns.first().is_some_and(|column| column.name == "Logical Execution Plan")
}

/// The words of the text that a statement prepares.
fn prepared_words(sql: &str, list: &[String]) -> Vec<String> {
    let prepares = matches!(list.first().map(String::as_str), Some("prepare" | "execute"));
    match sql.find(['\'', '"']).filter(|_| prepares) {
        Some(at) => words(&sql[at + 1..]),
        None => Vec::new(),
    }
}

/// The statement with the schema's name in place of `test`.
fn in_schema(sql: &str, schema: &str) -> String {
    let mut text = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find("test.") {
        let (before, after) = rest.split_at(at);
        let whole = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        text.push_str(before);
        text.push_str(if whole { schema } else { "test" });
        rest = &after["test".len()..];
    }
    text.push_str(rest);
    text.replace("`test`.", &format!("`{schema}`."))
}

/// Rows without these columns, in one order.
fn without(rows: &[Vec<Option<String>>], columns: &[usize]) -> Vec<Vec<Option<String>>> {
    let mut kept: Vec<Vec<Option<String>>> = rows
        .iter()
        .map(|row| {
            let kept = row.iter().enumerate().filter(|(at, _)| !columns.contains(at));
            kept.map(|(_, value)| value.clone()).collect()
        })
        .collect();
    kept.sort();
    kept
}

/// Whether the statement makes a list of values in no order.
fn unordered_lists(sql: &str) -> bool {
    let lower = sql.to_lowercase();
    let lists = ["group_concat", "json_arrayagg", "json_objectagg"];
    let listed: usize = lists.iter().map(|list| lower.matches(list).count()).sum();
    let tail = lists.iter().filter_map(|list| lower.find(list)).min().unwrap_or(lower.len());
    listed > lower[tail..].matches("order by").count()
}

fn same_keys(a: &[Vec<Option<String>>], b: &[Vec<Option<String>>], keys: &[usize]) -> bool {
    let project = |rows: &[Vec<Option<String>>]| -> Vec<Vec<Option<String>>> {
        rows.iter()
            .map(|row| {
                keys.iter()
                    .map(|key| row.get(*key).cloned().flatten())
                    .map(|text| text.map(|text| text.trim_end().to_lowercase()))
                    .collect()
            })
            .collect()
    };
    project(a) == project(b)
}

/// COMMIT or ROLLBACK with RELEASE.
fn releases(list: &[String]) -> bool {
    let word = |at: usize| list.len().checked_sub(at).and_then(|at| list.get(at));
    list.first().is_some_and(|first| first == "commit" || first == "rollback")
        && word(1).is_some_and(|last| last == "release")
        && word(2).is_none_or(|before| before != "no")
}
