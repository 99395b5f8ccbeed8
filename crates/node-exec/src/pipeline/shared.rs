//! A session's side of a shared connection: which statements may go there, and what is done with
//! the answer.

use super::answer::Buffered;
use super::ticket::Outcome;
use super::{Counted, Pipes};
use crate::error::ExecError;
use crate::exec::{Exec, Statement};
use crate::members::Member;
use crate::names::Names;
use crate::relay::{packed_params, relay_answer};
use base::sql_error::QUERY_INTERRUPTED;
use mysql_wire::packet::ErrPacket;
use mysql_wire::response::ResponseKind;
use sql_plan::plan::PlanTable;
use sql_plan::short_reads::Cost;
use sql_plan::template::Rendered;
use std::rc::Rc;
use std::time::Duration;

/// A plan that took so long lately, in microseconds, goes alone.
pub(super) const SLOW: u32 = 2_000;

/// A statement that goes alone has not been slow when it took less than this: it may have waited
/// for a processor more than for its data.
pub(super) const SLOW_ALONE: Duration = Duration::from_millis(20);

/// Where more short reads are under way than this, each takes its share of the data node longer, and
/// of a statement that takes long nobody can say whether it is slow or the others are many.
const CROWD: usize = 16;

/// For each so many rows that a read may find as many reads more have to be under way: a data node works
/// at it for so long that its answer wakes this node by itself, unless there is much else to do.
const ROWS_SHARE: u16 = 32;

/// A longer statement goes alone.
const STATEMENT_BYTES_MAX: usize = 4096;

/// A statement that goes alone has taken so long on its connection, beside so many others.
pub(crate) fn note_alone(cost: &Cost, took: Duration, under_way: usize) {
    let crowds = u32::try_from(under_way / CROWD).unwrap_or(u32::MAX).max(1);
    if took >= SLOW_ALONE.saturating_mul(crowds) {
        cost.note(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }
}

/// Runs a read of so many rows on a shared connection, if it may and if enough others are under way; `None`: it has
/// to go alone. It counts as under way while the first half of what is given back lives.
pub(crate) async fn run(
    exec: &mut Exec<'_>,
    member: &Rc<Member>,
    rows: u16,
    rendered: &Rendered,
    statement: &Statement<'_>,
    prepared: bool,
    tables: &[PlanTable],
) -> (Counted, Option<Result<(), ExecError>>) {
    let (counted, running) = Pipes::enter(member);
    let enough = running >= exec.settings.pipelining_from * usize::from(1 + rows / ROWS_SHARE);
    let result = match enough && may_share(exec, rendered, statement) {
        true => share(exec, member, rendered, statement, prepared, tables).await,
        false => None,
    };
    (counted, result)
}

fn may_share(exec: &Exec<'_>, rendered: &Rendered, statement: &Statement<'_>) -> bool {
    let session = &exec.session;
    session.autocommit
        && session.transaction.is_none()
        && session.own.is_empty()
        && session.read_back.is_none()
        && session.trace.is_none()
        && !session.tables_locked
        && !session.keeps_warnings
        && !session.wants_database
        && rendered.text.len() <= STATEMENT_BYTES_MAX
        && statement.planned.short.as_ref().is_some_and(|short| short.cost.microseconds() < SLOW)
}

async fn share(
    exec: &mut Exec<'_>,
    member: &Rc<Member>,
    rendered: &Rendered,
    statement: &Statement<'_>,
    prepared: bool,
    tables: &[PlanTable],
) -> Option<Result<(), ExecError>> {
    let short = statement.planned.short.as_ref()?;
    let params = if prepared { Some(packed_params(rendered, statement)) } else { None };
    if params.as_ref().is_some_and(|params| params.len() > STATEMENT_BYTES_MAX) {
        return None;
    }
    // One that was dropped in the middle does not come back: its line may still know it.
    let ticket = exec.session.ticket.take().unwrap_or_default();
    ticket.begin(&rendered.text, params.as_deref(), short);
    let submitted = Pipes::submit(member, exec.session.found_rows, &exec.session.state, &ticket)?;
    let active = exec.session.active.enter_shared(&submitted.group, &ticket);
    let outcome = ticket.wait().await;
    drop((active, submitted));
    let result = match outcome {
        Outcome::Answered => {
            let whole = ticket.answer.take();
            let kind = if prepared { ResponseKind::Execute } else { ResponseKind::Query };
            let mut answer = Buffered::new(&whole, kind, ticket.deprecates_eof());
            let relayed = relay_answer(exec, &mut answer, Names::of(tables)).await;
            ticket.answer.replace(whole);
            Some(relayed.map(|head| {
                exec.session.last.warnings.clear();
                exec.session.last.told_id = head.last_insert_id;
            }))
        }
        Outcome::Killed => Some(Err(ExecError::Server(ErrPacket::new(
            QUERY_INTERRUPTED.number,
            "70100",
            "Query execution was interrupted",
        )))),
        Outcome::Again | Outcome::Pending => None,
    };
    ticket.rest();
    exec.session.ticket = Some(ticket);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::line::ALONE;

    #[test]
    fn what_takes_long_among_many_is_not_slow() {
        let cost = Cost::default();
        note_alone(&cost, SLOW_ALONE - Duration::from_millis(1), 1);
        note_alone(&cost, SLOW_ALONE * 5, 6 * CROWD);
        assert_eq!(cost.microseconds(), 0);
        note_alone(&cost, SLOW_ALONE, CROWD);
        assert!(cost.microseconds() >= SLOW);
        let others = Cost::default();
        note_alone(&others, SLOW_ALONE * 6, 6 * CROWD);
        assert!(others.microseconds() >= SLOW);
    }

    /// Were it those that end, all sessions that come until then would go alone too.
    #[test]
    fn some_thirty_that_begin_go_alone_for_what_one_has_met() {
        let cost = Cost::default();
        cost.set(ALONE);
        let alone = (0..100).take_while(|_| {
            let is_slow = cost.microseconds() >= SLOW;
            cost.fade();
            is_slow
        });
        assert!((20..40).contains(&alone.count()));
    }
}
