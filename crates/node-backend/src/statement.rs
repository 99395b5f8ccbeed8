//! Prepared statements of a connection, remembered by their text so that the next user of the
//! connection need not prepare the same text again; one whose settings read the text otherwise must.

use crate::connection::Connection;
use crate::error::BackendError;
use crate::query::StreamHead;
use mysql_wire::DecodeError;
use mysql_wire::column::ColumnDefinition;
use mysql_wire::command::CommandCode;
use mysql_wire::response::{Event, ResponseKind};
use mysql_wire::stmt::{PrepareOk, encode_close, encode_params};
use mysql_wire::value::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Statements that one connection keeps; the one that was unused for longest goes first.
const STATEMENTS_MAX: usize = 256;

/// A prepared statement of one connection.
#[derive(Debug)]
pub struct Prepared {
    /// Its number on that connection.
    pub statement_id: u32,
    /// Its parameters.
    pub params: Arc<[ColumnDefinition]>,
    /// The columns of its result as they were when it was prepared.
    pub columns: Arc<[ColumnDefinition]>,
    /// Warnings of preparing.
    pub warnings: u16,
    /// The version of the definitions that the columns are of, where that was asked.
    described_at: Option<u64>,
    /// What the text meant, see [`crate::session_state::SessionState::meaning`].
    meaning: u64,
}

/// Statements by their text.
#[derive(Debug, Default)]
pub(crate) struct StatementCache {
    by_text: HashMap<Box<[u8]>, (Arc<Prepared>, u64)>,
    clock: u64,
}

impl StatementCache {
    fn get(&mut self, sql: &[u8], meaning: u64) -> Option<Arc<Prepared>> {
        self.clock += 1;
        let (prepared, used) = self.by_text.get_mut(sql)?;
        if prepared.meaning != meaning {
            return None;
        }
        *used = self.clock;
        Some(prepared.clone())
    }

    /// Keeps a statement; gives the one that had to go for it.
    fn insert(&mut self, sql: &[u8], prepared: Arc<Prepared>) -> Option<Arc<Prepared>> {
        self.clock += 1;
        let full = self.by_text.len() >= STATEMENTS_MAX && !self.by_text.contains_key(sql);
        let oldest = || self.by_text.iter().min_by_key(|(_, (_, used))| *used);
        let oldest = full.then(oldest).flatten().map(|(text, _)| text.clone());
        let gone = oldest.and_then(|text| self.by_text.remove(&text));
        let replaced = self.by_text.insert(sql.into(), (prepared, self.clock));
        gone.or(replaced).map(|(prepared, _)| prepared)
    }
}

impl Connection {
    /// The statement of this text, if this connection has prepared it.
    pub fn cached_statement(&mut self, sql: &[u8]) -> Option<Arc<Prepared>> {
        self.statements.get(sql, self.applied_session().meaning())
    }

    /// Prepares a text, or finds it prepared. A statement is closed when many others were used
    /// since, so ask again for each execution.
    pub async fn prepare(&mut self, sql: &[u8]) -> Result<Arc<Prepared>, BackendError> {
        match self.statements.get(sql, self.applied_session().meaning()) {
            Some(prepared) => Ok(prepared),
            None => self.prepare_anew(sql, None).await,
        }
    }

    /// As [`Connection::prepare`], with columns that are of this version of the definitions: those
    /// of a statement that was prepared at another one may have changed since.
    pub async fn describe(
        &mut self,
        sql: &[u8],
        definitions: u64,
    ) -> Result<Arc<Prepared>, BackendError> {
        match self.statements.get(sql, self.applied_session().meaning()) {
            Some(prepared) if prepared.described_at == Some(definitions) => Ok(prepared),
            _ => {
                self.forget_statement(sql).await?;
                self.prepare_anew(sql, Some(definitions)).await
            }
        }
    }

    async fn prepare_anew(
        &mut self,
        sql: &[u8],
        described_at: Option<u64>,
    ) -> Result<Arc<Prepared>, BackendError> {
        self.queue(ResponseKind::Prepare, &[&[CommandCode::StmtPrepare as u8], sql]);
        let meaning = self.applied_session().meaning();
        let prepared = Prepared { described_at, meaning, ..self.read_prepared().await? };
        let prepared = Arc::new(prepared);
        if let Some(gone) = self.statements.insert(sql, prepared.clone()) {
            // It goes out with the next command.
            let mut payload = Vec::new();
            encode_close(&mut payload, gone.statement_id);
            self.queue_silent(&[&payload]);
            self.flush().await?;
        }
        Ok(prepared)
    }

    /// Forgets and closes the statement of this text, for one that the server wants prepared anew.
    pub async fn forget_statement(&mut self, sql: &[u8]) -> Result<(), BackendError> {
        if let Some((gone, _)) = self.statements.by_text.remove(sql) {
            let mut payload = Vec::new();
            encode_close(&mut payload, gone.statement_id);
            self.queue_silent(&[&payload]);
            self.flush().await?;
        }
        Ok(())
    }

    async fn read_prepared(&mut self) -> Result<Prepared, BackendError> {
        let mut ok = PrepareOk::default();
        let (mut params, mut columns) = (Vec::new(), Vec::new());
        loop {
            let piece = self.next_piece().await?;
            let last = piece.last;
            if let Some(error) = piece.error() {
                return Err(BackendError::Server(error));
            }
            let read = match piece.event {
                Event::PrepareOk(prepared) => {
                    ok = prepared;
                    Ok(())
                }
                Event::Param => {
                    ColumnDefinition::decode(piece.payload()).map(|one| params.push(one))
                }
                Event::Column => {
                    ColumnDefinition::decode(piece.payload()).map(|one| columns.push(one))
                }
                Event::ParamsEof | Event::ColumnsEof(_) => Ok(()),
                _ => Err(DecodeError::Malformed("the answer to COM_STMT_PREPARE")),
            };
            if let Err(error) = read {
                return Err(self.garbled(error));
            }
            if last {
                let (params, columns) = (params.into(), columns.into());
                return Ok(Prepared {
                    statement_id: ok.statement_id,
                    params,
                    columns,
                    warnings: ok.warnings,
                    described_at: None,
                    meaning: 0,
                });
            }
        }
    }

    /// Queues COM_STMT_EXECUTE with parameters as they are packed (null bitmap, bound flag, types
    /// and values) and writes it. The answer's rows are binary.
    pub async fn execute_raw(
        &mut self,
        statement_id: u32,
        flags: u8,
        params: &[u8],
    ) -> Result<(), BackendError> {
        self.queue_execute(statement_id, flags, params);
        self.flush().await
    }

    /// As [`Connection::execute_raw`], without writing.
    pub fn queue_execute(&mut self, statement_id: u32, flags: u8, params: &[u8]) {
        let [a, b, c, d] = statement_id.to_le_bytes();
        let head = [CommandCode::StmtExecute as u8, a, b, c, d, flags, 1, 0, 0, 0];
        self.queue(ResponseKind::Execute, &[&head, params]);
    }

    /// Executes a prepared statement and reads the beginning of its answer; rows are binary.
    pub async fn execute(
        &mut self,
        prepared: &Prepared,
        params: &[Value],
    ) -> Result<StreamHead, BackendError> {
        if params.len() != prepared.params.len() {
            return Err(BackendError::Unexpected(
                "another number of parameters than the statement has",
            ));
        }
        let mut packed = Vec::new();
        encode_params(&mut packed, params);
        self.queue_execute(prepared.statement_id, 0, &packed);
        self.open_stream().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(statement_id: u32, meaning: u64) -> Arc<Prepared> {
        let (params, columns) = ([].into(), [].into());
        Arc::new(Prepared {
            statement_id,
            params,
            columns,
            warnings: 0,
            described_at: None,
            meaning,
        })
    }

    #[test]
    fn the_least_used_goes_first() {
        let mut cache = StatementCache::default();
        for id in 0..STATEMENTS_MAX as u32 {
            assert!(cache.insert(&id.to_le_bytes(), prepared(id, 0)).is_none());
        }
        assert!(cache.get(&0u32.to_le_bytes(), 0).is_some());
        let gone = cache.insert(b"new", prepared(9999, 0)).map(|gone| gone.statement_id);
        assert_eq!(gone, Some(1));
        assert!(cache.get(&1u32.to_le_bytes(), 0).is_none() && cache.get(b"new", 0).is_some());
    }
    #[test]
    fn one_that_is_read_otherwise_takes_its_place() {
        let mut cache = StatementCache::default();
        assert!(cache.insert(b"text", prepared(1, 5)).is_none());
        assert!(cache.get(b"text", 6).is_none() && cache.get(b"text", 5).is_some());
        let gone = cache.insert(b"text", prepared(2, 6)).map(|gone| gone.statement_id);
        assert_eq!(gone, Some(1));
        assert!(cache.get(b"text", 5).is_none() && cache.get(b"text", 6).is_some());
    }
}
