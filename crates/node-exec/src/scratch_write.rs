//! UPDATE and DELETE that no shard can run by itself. In the statement's transaction the rows that
//! may take part are read and locked, put into temporary tables on one data node, and the statement
//! runs there under the server's own rules; what it changed is then written to the shards. Counts,
//! warnings and rows of the answer are those of the server that ran the statement.

pub(crate) mod bench;
pub(crate) mod check;
mod definition;
pub(crate) mod difference;
mod referred;

use crate::error::ExecError;
use crate::exec::{Exec, Statement};
use crate::names::Names;
use crate::rows;
use crate::scratch::PREFIX;
use bench::{Answer, Bench, Originals};
pub(crate) use definition::Form;
use difference::Difference;
use sql_plan::scratch_write::{ScratchWritePlan, Written};
use std::collections::HashMap;
use std::sync::Arc;
use topology::algorithm::Target;

/// Runs an UPDATE or DELETE and answers the client.
pub async fn run(
    exec: &mut Exec<'_>,
    plan: &ScratchWritePlan,
    sources: &[Vec<Target>],
    statement: &Statement<'_>,
) -> Result<(), ExecError> {
    let own = begin(exec);
    let outcome = change(exec, plan, sources, statement).await;
    let answer = end(exec, own, outcome).await?;
    reply(exec, answer).await
}

/// The statement's own transaction, when it is in none.
pub(crate) fn begin(exec: &mut Exec<'_>) -> bool {
    let own = exec.session.transaction.is_none();
    if own {
        let options = exec.session.transaction_options.clone();
        let mut transaction = exec.session.new_transaction(exec.is_distributed(), options);
        transaction.note_write();
        exec.session.transaction = Some(transaction);
    }
    own
}

/// Ends the statement's own transaction.
pub(crate) async fn end<T>(
    exec: &mut Exec<'_>,
    own: bool,
    outcome: Result<T, ExecError>,
) -> Result<T, ExecError> {
    if own && let Some(transaction) = exec.session.transaction.take() {
        match &outcome {
            Ok(_) => transaction.commit().await?,
            Err(_) => transaction.rollback().await,
        }
    }
    outcome
}

/// Tells the client what the statement came to.
pub(crate) async fn reply(exec: &mut Exec<'_>, answer: Answer) -> Result<(), ExecError> {
    let Answer { mut ok, rows, warnings } = answer;
    match rows {
        None => {
            ok.session_track = Vec::new();
            exec.reply_ok(ok);
        }
        Some((columns, list)) => {
            rows::put_columns(exec, &columns);
            for row in &list {
                rows::put_text_row(exec, row.payload(), &columns)?;
                exec.out.flush_if_long().await?;
            }
            if ok.last_insert_id != 0 {
                exec.session.last.insert_id = ok.last_insert_id;
            }
            rows::end_rows(exec, list.len() as u64, u64::from(ok.warnings));
        }
    }
    exec.session.last.warnings = warnings;
    Ok(())
}

async fn change(
    exec: &mut Exec<'_>,
    plan: &ScratchWritePlan,
    sources: &[Vec<Target>],
    statement: &Statement<'_>,
) -> Result<Answer, ExecError> {
    let client = exec.session.state.clone();
    let mut bench = Bench::open(exec, &plan.schema).await?;
    // Texts come in a character set that has all characters.
    exec.session.state = Arc::new((*client).clone().with("character_set_results", "utf8mb4"));
    let made = over_tables(exec, &mut bench, plan, sources, statement).await;
    bench.close();
    exec.session.state = client;
    let (mut answer, mut differences) = made?;
    for (_, written, difference) in differences.iter_mut().filter(|_| plan.ignore) {
        difference.let_rows_stay(written);
    }
    for (number, written, difference) in &differences {
        difference.move_sequence(exec, &plan.tables[*number].schema, written).await?;
    }
    let mut parts: Vec<_> = differences
        .into_iter()
        .map(|(number, written, difference)| (plan.tables[number].clone(), written, difference))
        .collect();
    let left = difference::apply(exec, &plan.tables, &mut parts)
        .await
        .map_err(|error| rows::logical(error, Names::of(&plan.tables)))?;
    // Of several tables a server counts them all the same.
    if plan.loads.len() == 1 {
        answer.ok.affected_rows = answer.ok.affected_rows.saturating_sub(left);
    }
    Ok(answer)
}

type Differences<'p> = Vec<(usize, &'p Written, Difference)>;

async fn over_tables<'p>(
    exec: &mut Exec<'_>,
    bench: &mut Bench,
    plan: &'p ScratchWritePlan,
    sources: &[Vec<Target>],
    statement: &Statement<'_>,
) -> Result<(Answer, Differences<'p>), ExecError> {
    let twice = bench.opens_twice();
    let number = |reference: u32| -> usize {
        let load = &plan.loads[reference as usize];
        load.shares.filter(|_| twice).unwrap_or(reference) as usize
    };
    let mut originals: HashMap<usize, Originals> = HashMap::new();
    for (at, (load, targets)) in plan.loads.iter().zip(sources).enumerate() {
        if number(u32::try_from(at).unwrap_or(u32::MAX)) != at {
            continue;
        }
        match &load.written {
            None => {
                bench.read_table(exec, at, load, targets, &plan.tables, statement).await?;
            }
            Some(_) if !twice && load.shares.is_some() => {
                return Err(crate::error::sql(
                    base::sql_error::NOT_SUPPORTED,
                    "one statement cannot change a table by two of its names on these data nodes",
                ));
            }
            Some(written) => {
                let jobs = exec.jobs(&load.schema, targets, &load.text, &plan.tables, statement)?;
                let mut rows = Originals::default();
                bench.read_originals(exec, &jobs, targets, &mut rows).await?;
                bench.put_originals(exec, at, &plan.tables[at], written, &rows).await?;
                originals.insert(at, rows);
            }
        }
    }
    let text = bench.render(exec, &plan.text, &plan.tables, statement, &number);
    bench.as_client().await?;
    let outside = check::outside(bench, 0, plan.check.as_ref()).await?;
    let answer = bench.run(exec, &text, Names::with_scratch(&plan.tables, PREFIX)).await?;
    check::hold(bench, 0, plan.check.as_ref(), outside).await?;
    bench.as_store().await?;
    let mut differences = Vec::new();
    for (at, load) in plan.loads.iter().enumerate() {
        let (Some(written), Some(before)) = (&load.written, originals.get(&at)) else { continue };
        let (columns, after) = bench.read_back(at, written).await?;
        differences.push((at, written, Difference::of(written, before, &columns, &after)?));
    }
    Ok((answer, differences))
}
