//! A view's physical counterpart names physical tables, which have other names once a table was
//! placed anew. The counterpart is then made again, from the view's own query: after the change, and
//! by who looks at a view that is still broken.

use crate::session::Core;
use mysql_wire::packet::ErrPacket;
use node_exec::backends::BackendNode;
use node_exec::error::ExecError;
use sql_plan::PlanContext;
use sql_plan::plan::Place;
use sql_plan::template::{Fill, Rendered};
use sql_plan::trial::trial;
use sql_plan::value::Values;
use sql_syntax::{LexMode, TokenBuf, lex, parse};
use std::rc::Rc;
use topology::algorithm::Target;
use topology::model::{Schema, Table};

/// A view that reads what is not there.
pub const BROKEN_VIEW: u16 = 1356;

/// Views on views on views that are repaired together.
const DEPTH_MAX: u32 = 8;

impl Core {
    /// Makes a view's physical counterpart again; false when its query cannot be planned, so that
    /// the view is broken in truth.
    pub async fn repair_view(&mut self, schema: &Schema, table: &Table) -> Result<bool, ExecError> {
        self.repair(schema, table, DEPTH_MAX).await
    }

    /// Repairs the views that read a table which was placed anew. What fails is left to who looks.
    pub async fn repair_views_of(&mut self, schema: &str, table: &str) {
        self.follow_snapshot();
        let name = |name: &str| format!("`{}`", name.replace('`', "``"));
        let wanted = format!("{}.{}", name(schema), name(table));
        let snapshot = self.base_snapshot().clone();
        for schema in snapshot.schemas.values() {
            for one in schema.tables.values() {
                let reads = one.view.as_ref().is_some_and(|view| view.query.contains(&wanted));
                if reads && let Err(error) = self.repair_view(schema, one).await {
                    tracing::warn!(%error, view = one.name, "a view's counterpart was not made again");
                }
            }
        }
    }

    async fn repair(
        &mut self,
        schema: &Schema,
        table: &Table,
        depth: u32,
    ) -> Result<bool, ExecError> {
        let Some(view) = table.view.as_deref() else { return Ok(false) };
        let name = |name: &str| format!("`{}`", name.replace('`', "``"));
        // What is there already is replaced.
        let head = view.head.replacen("CREATE ", "CREATE OR REPLACE ", 1);
        let place = format!("{}.{}", name(&schema.name), name(&table.name));
        let text = format!("{head} VIEW {place} AS {}", view.query);
        let mode = LexMode { ansi_quotes: false, no_backslash_escapes: false, ..self.lex };
        let mut tokens = TokenBuf::new();
        lex(text.as_bytes(), 0, &mode, &mut tokens);
        let Ok(parsed) = parse(text.as_bytes(), &tokens, &mode) else { return Ok(false) };
        let context = PlanContext {
            current_schema: Some(&schema.name),
            mode: &mode,
            plain_names: false,
            check: None,
        };
        let made = trial(&parsed, text.as_bytes(), &tokens, self.base_snapshot(), &context);
        let Ok(Some(made)) = made else { return Ok(false) };
        let values = Values {
            text: text.as_bytes(),
            tokens: &tokens,
            mode: &mode,
            param_tokens: &[],
            params: &[],
            evaluated: &[],
            zero_is_a_value: false,
        };
        let target = Target { shard: 0, suffix: 0 };
        let exec = self.exec();
        let fill = Fill {
            values: &values,
            tables: &made.tables,
            session: &|what, out| exec.session.write_value(what, out),
            temporary: &|_, _| {},
            inline_params: true,
        };
        let mut rendered = Rendered::default();
        made.text.render(&fill, target, &mut rendered);
        let (node, _) = exec.resolve(Place::Target(&made.schema, target))?;
        if let Err(error) = make(&node, &rendered.text).await {
            if error.server_number() != Some(BROKEN_VIEW) || depth == 0 {
                return Err(error);
            }
            for one in &made.tables {
                let seen = self.base_snapshot().clone();
                let Some(schema) = seen.schemas.get(&one.schema) else { continue };
                if let Some(inner) = schema.table(&one.name).filter(|one| one.name != table.name) {
                    Box::pin(self.repair(schema, inner, depth - 1)).await?;
                }
            }
            make(&node, &rendered.text).await?;
        }
        Ok(true)
    }
}

async fn make(node: &Rc<BackendNode>, statement: &[u8]) -> Result<(), ExecError> {
    let mut lease = node.own_lease().await?;
    lease.execute_sql(b"SET SESSION sql_mode = ''").await?;
    lease.execute_sql(statement).await?;
    Ok(())
}

/// The error of a view that is broken in truth, in logical names.
pub fn broken(schema: &Schema, table: &Table) -> ExecError {
    let text = format!(
        "View '{}.{}' references invalid table(s) or column(s) or function(s) or definer/invoker of \
         view lack rights to use them",
        schema.name, table.name
    );
    ExecError::Server(ErrPacket::new(BROKEN_VIEW, "HY000", text))
}
