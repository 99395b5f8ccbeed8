//! A file that is not cut into records here: one data node loads it, as the client sends it, into a
//! temporary table without keys; the rows that this made go to their shards like those of an INSERT.
//! How much is taken in is bounded as for every statement over temporary tables.

use super::{Counts, Done, Passing, pass_on};
use crate::error::ExecError;
use crate::exec::{Exec, Statement, WARNINGS_MAX};
use crate::names::Names;
use crate::rows::logical;
use crate::scratch::PREFIX;
use crate::scratch_insert;
use crate::scratch_write::bench::{Answer, Bench};
use crate::scratch_write::difference::{begin_part, end_part};
use crate::scratch_write::{begin, end};
use sql_plan::load::LoadPlan;
use sql_plan::scratch_write::{InsertVerb, ScratchInsertPlan, ScratchRows};
use std::sync::Arc;

/// Runs the load.
pub(super) async fn run(
    exec: &mut Exec<'_>,
    plan: &LoadPlan,
    staged: &ScratchInsertPlan,
    statement: &Statement<'_>,
) -> Result<Done, ExecError> {
    let own = begin(exec);
    let client = exec.session.state.clone();
    let outcome = load(exec, plan, staged, statement).await;
    exec.session.state = client;
    let outcome = outcome.map_err(|error| logical(error, Names::of(&staged.tables)));
    end(exec, own, outcome).await
}

async fn load(
    exec: &mut Exec<'_>,
    plan: &LoadPlan,
    staged: &ScratchInsertPlan,
    statement: &Statement<'_>,
) -> Result<Done, ExecError> {
    let client = exec.session.state.clone();
    exec.session.state = Arc::new((*client).clone().with("character_set_results", "utf8mb4"));
    let mut bench = Bench::open(exec, &staged.schema).await?;
    let loaded = into_temporary(exec, &mut bench, plan, staged, statement).await;
    bench.close();
    exec.session.state = client;
    let (mut done, made) = loaded?;
    let count = u64::try_from(made.rows.len()).unwrap_or(u64::MAX);
    begin_part(exec).await?;
    let outcome = scratch_insert::place(exec, staged, &made, statement).await;
    let answer = end_part(exec, outcome).await?;
    done.counts = counts(staged.verb, done.counts, count, &answer);
    done.first_id = match made.first_id {
        0 => answer.ok.last_insert_id,
        first => first,
    };
    done.warnings.extend(answer.warnings);
    done.warnings.truncate(WARNINGS_MAX);
    Ok(done)
}

async fn into_temporary(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &LoadPlan,
    staged: &ScratchInsertPlan,
    statement: &Statement<'_>,
) -> Result<(Done, scratch_insert::Made), ExecError> {
    let ScratchRows::Listed(text) = &staged.rows else { return Ok(Default::default()) };
    let number = scratch_insert::prepare(exec, bench, staged, statement).await?;
    let table = |reference: u32| if reference == 0 { number } else { reference as usize };
    let text = bench.render(exec, text, &staged.tables, statement, &table);
    bench.as_client().await?;
    let names = Names::with_scratch(&staged.tables, PREFIX);
    let bytes_max = Some(bench.bytes_left());
    let passing = Passing { plan, names, generates: false, bytes_max };
    let active = exec.enter(bench.held());
    let loaded = pass_on(exec, bench.held(), &passing, &text).await;
    drop(active);
    let done = loaded.map_err(|error| logical(error, names))?;
    bench.charge(done.counts.records, 0)?;
    let mut made = scratch_insert::Made::default();
    scratch_insert::finish(exec, bench, staged, statement, &mut made).await?;
    Ok((done, made))
}

/// The numbers of the whole: what the file had, and what became of its rows.
fn counts(verb: InsertVerb, file: Counts, made: u64, answer: &Answer) -> Counts {
    let affected = answer.ok.affected_rows;
    let (kept, deleted) = match verb {
        InsertVerb::Replace => (made, affected.saturating_sub(made)),
        InsertVerb::Insert | InsertVerb::Ignore => (affected, 0),
    };
    Counts {
        affected,
        records: file.records,
        deleted,
        skipped: file.records.saturating_sub(kept),
        warnings: file.warnings + u64::from(answer.ok.warnings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_of_the_file() {
        let file = Counts { records: 5, warnings: 2, ..Counts::default() };
        let mut answer = Answer::default();
        (answer.ok.affected_rows, answer.ok.warnings) = (3, 1);
        let told = counts(InsertVerb::Ignore, file, 4, &answer);
        let wanted = Counts { affected: 3, records: 5, deleted: 0, skipped: 2, warnings: 3 };
        assert_eq!(told, wanted);
        answer.ok.affected_rows = 6;
        let told = counts(InsertVerb::Replace, file, 5, &answer);
        assert_eq!((told.affected, told.deleted, told.skipped), (6, 1, 0));
    }
}
