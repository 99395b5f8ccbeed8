//! A table gets another placement while it is used: new physical tables are filled beside the old
//! ones, triggers log what changes meanwhile, the log is replayed until little is left, and then,
//! with writers held for a moment, the last of it. The commit is one new definition; nothing is
//! renamed. Until it, everything can be undone; after it, only the old tables are to be dropped.
//! What a node that dies leaves behind is cleared up by the control plane, which has the record.

mod capture;
mod copy;
mod create_text;
mod cutover;
mod places;

use crate::ddl::ending::Underway;
use crate::error::ExecError;
use crate::exec::{Exec, Statement};
use mysql_wire::packet::OkPacket;
use places::Places;
use sql_plan::ddl::placement::PlacementPlan;
use topology::stream::{Ask, TableChange};

/// Runs a change of placement and answers the client.
pub async fn run(
    exec: &mut Exec<'_>,
    plan: &PlacementPlan,
    _statement: &Statement<'_>,
) -> Result<(), ExecError> {
    if let Some(transaction) = exec.session.transaction.take() {
        transaction.commit().await?;
    }
    if !plan.is_empty() {
        change(exec, plan).await?;
    }
    exec.reply_ok(OkPacket::default());
    Ok(())
}

async fn change(exec: &mut Exec<'_>, plan: &PlacementPlan) -> Result<(), ExecError> {
    let places = Places::of(exec, plan)?;
    places.check(exec, plan).await?;
    let changes = vec![TableChange::Move { from: plan.from.clone(), table: plan.to.clone() }];
    let begin = Ask::DdlBegin {
        schema: plan.schema.clone(),
        changes: changes.clone(),
        work: Default::default(),
    };
    let underway = Underway::begin(exec, begin).await?;
    let prepared = prepare(exec, plan, &places).await;
    let cut = match prepared {
        Ok(()) => cutover::run(exec, plan, &places, &underway.id(), changes).await,
        Err(error) => Err(cutover::Failed::Before(error)),
    };
    match cut {
        Ok(()) => {
            underway.clear().await;
            Ok(())
        }
        Err(cutover::Failed::Before(error)) => {
            match places.undo(exec).await {
                Ok(()) => underway.abort().await,
                Err(error) => {
                    tracing::warn!(%error, "a change of placement could not be undone now");
                    underway.abandon().await;
                }
            }
            Err(error)
        }
        Err(cutover::Failed::Unknown(error)) => {
            underway.abandon().await;
            Err(error)
        }
    }
}

/// New tables, the log, the copy, and the log replayed until little is left.
async fn prepare(
    exec: &mut Exec<'_>,
    plan: &PlacementPlan,
    places: &Places,
) -> Result<(), ExecError> {
    places.create(exec, plan).await?;
    capture::start(exec, plan, places).await?;
    copy::all(exec, plan, places).await?;
    capture::catch_up(exec, plan, places).await
}

/// The table's name for messages.
pub(crate) fn shown(plan: &PlacementPlan) -> String {
    format!("{}.{}", plan.schema, plan.from.name)
}
