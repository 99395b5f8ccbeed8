//! A client's command: the first payload of an exchange (sequence number 0). Parsing borrows;
//! nothing is copied or decoded further than where its fields begin.

use crate::DecodeError;
use crate::lenenc::Reader;

/// The command byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CommandCode {
    /// Internal to the server; a client's is refused.
    Sleep = 0x00,
    /// Goodbye; no answer.
    Quit = 0x01,
    /// `USE`.
    InitDb = 0x02,
    /// A text statement.
    Query = 0x03,
    /// The columns of a table (old, still sent by the `mysql` client).
    FieldList = 0x04,
    /// `CREATE DATABASE`, withdrawn.
    CreateDb = 0x05,
    /// `DROP DATABASE`, withdrawn.
    DropDb = 0x06,
    /// `FLUSH …`.
    Refresh = 0x07,
    /// Stop the server.
    Shutdown = 0x08,
    /// A line of text with counters.
    Statistics = 0x09,
    /// `SHOW PROCESSLIST`.
    ProcessInfo = 0x0A,
    /// Internal to the server.
    Connect = 0x0B,
    /// `KILL`.
    ProcessKill = 0x0C,
    /// The server writes its state into its log.
    Debug = 0x0D,
    /// Are you there?
    Ping = 0x0E,
    /// Internal to the server.
    Time = 0x0F,
    /// Internal to the server.
    DelayedInsert = 0x10,
    /// Log in again on the same connection.
    ChangeUser = 0x11,
    /// A replica asks for the binary log.
    BinlogDump = 0x12,
    /// Withdrawn.
    TableDump = 0x13,
    /// Internal to the server.
    ConnectOut = 0x14,
    /// A replica names itself.
    RegisterReplica = 0x15,
    /// Prepare a statement.
    StmtPrepare = 0x16,
    /// Run a prepared statement.
    StmtExecute = 0x17,
    /// A piece of a long parameter; no answer.
    StmtSendLongData = 0x18,
    /// Forget a prepared statement; no answer.
    StmtClose = 0x19,
    /// Close the cursor and forget long data.
    StmtReset = 0x1A,
    /// Multi-statements on or off.
    SetOption = 0x1B,
    /// Rows from an open cursor.
    StmtFetch = 0x1C,
    /// Internal to the server.
    Daemon = 0x1D,
    /// A replica asks by GTID.
    BinlogDumpGtid = 0x1E,
    /// A fresh session on the same connection.
    ResetConnection = 0x1F,
    /// MariaDB: a prepared statement with many rows of parameters.
    StmtBulkExecute = 0xFA,
}

/// Most codes, in order of their bytes, to find one by its byte.
const CODES: [CommandCode; 0x20] = {
    use CommandCode::*;
    [
        Sleep,
        Quit,
        InitDb,
        Query,
        FieldList,
        CreateDb,
        DropDb,
        Refresh,
        Shutdown,
        Statistics,
        ProcessInfo,
        Connect,
        ProcessKill,
        Debug,
        Ping,
        Time,
        DelayedInsert,
        ChangeUser,
        BinlogDump,
        TableDump,
        ConnectOut,
        RegisterReplica,
        StmtPrepare,
        StmtExecute,
        StmtSendLongData,
        StmtClose,
        StmtReset,
        SetOption,
        StmtFetch,
        Daemon,
        BinlogDumpGtid,
        ResetConnection,
    ]
};

impl CommandCode {
    /// The code of a byte, if it is one.
    pub fn from_u8(byte: u8) -> Option<Self> {
        match byte {
            0xFA => Some(CommandCode::StmtBulkExecute),
            _ => CODES.get(usize::from(byte)).copied(),
        }
    }
}

/// COM_STMT_EXECUTE, its parameters still packed (see `stmt::decode_params`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StmtExecute<'a> {
    /// The statement's number.
    pub statement_id: u32,
    /// Cursor flags: 0 none, 1 read-only, 2 for update, 4 scrollable.
    pub flags: u8,
    /// Always 1.
    pub iterations: u32,
    /// Null bitmap, bound flag, types and values.
    pub params: &'a [u8],
}

/// COM_STMT_BULK_EXECUTE, its parameters still packed (see `bulk::BulkRows`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StmtBulkExecute<'a> {
    /// The statement's number.
    pub statement_id: u32,
    /// See `bulk`.
    pub flags: u16,
    /// Types, where the flags say so, and rows.
    pub params: &'a [u8],
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Goodbye; no answer.
    Quit,
    /// Change the current database.
    InitDb(&'a [u8]),
    /// Run the text.
    Query(&'a [u8]),
    /// The columns of a table whose names match a pattern.
    FieldList {
        /// The table.
        table: &'a [u8],
        /// A LIKE pattern, or nothing for all columns.
        wildcard: &'a [u8],
    },
    /// FLUSH by bits.
    Refresh(u8),
    /// Stop the server.
    Shutdown,
    /// A line of text with counters.
    Statistics,
    /// The process list.
    ProcessInfo,
    /// KILL of a connection.
    ProcessKill(u32),
    /// The server writes its state into its log.
    Debug,
    /// Are you there?
    Ping,
    /// Log in again; the body is for `handshake::ChangeUser::decode`.
    ChangeUser(&'a [u8]),
    /// A fresh session on the same connection.
    ResetConnection,
    /// 0: multi-statements on, 1: off.
    SetOption(u16),
    /// Prepare the text.
    StmtPrepare(&'a [u8]),
    /// Run a prepared statement.
    StmtExecute(StmtExecute<'a>),
    /// Run a prepared statement with many rows of parameters.
    StmtBulkExecute(StmtBulkExecute<'a>),
    /// A piece of a long parameter; no answer, not even an error.
    StmtSendLongData {
        /// The statement's number.
        statement_id: u32,
        /// The parameter's position, from 0.
        param: u16,
        /// The bytes to append.
        data: &'a [u8],
    },
    /// Forget a prepared statement; no answer.
    StmtClose(u32),
    /// Close the cursor and forget long data.
    StmtReset(u32),
    /// Rows from an open cursor.
    StmtFetch {
        /// The statement's number.
        statement_id: u32,
        /// At most so many rows.
        rows: u32,
    },
    /// Any other byte; the server answers error 1047 (08S01).
    Unknown(u8),
}

impl<'a> Command<'a> {
    /// Reads a command payload. An empty payload and cut fields are errors; the byte of a command
    /// that we do not know is [`Command::Unknown`].
    pub fn parse(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let byte = reader.u8().map_err(|_| DecodeError::Truncated("the command byte"))?;
        let Some(code) = CommandCode::from_u8(byte) else {
            return Ok(Command::Unknown(byte));
        };
        Ok(match code {
            CommandCode::Quit => Command::Quit,
            CommandCode::InitDb => Command::InitDb(reader.rest()),
            CommandCode::Query => Command::Query(reader.rest()),
            CommandCode::FieldList => {
                let table = reader.nul_or_rest();
                Command::FieldList { table, wildcard: trim_nul(reader.rest()) }
            }
            CommandCode::Refresh => Command::Refresh(reader.u8()?),
            CommandCode::Shutdown => Command::Shutdown,
            CommandCode::Statistics => Command::Statistics,
            CommandCode::ProcessInfo => Command::ProcessInfo,
            CommandCode::ProcessKill => Command::ProcessKill(reader.u32()?),
            CommandCode::Debug => Command::Debug,
            CommandCode::Ping => Command::Ping,
            CommandCode::ChangeUser => Command::ChangeUser(reader.rest()),
            CommandCode::ResetConnection => Command::ResetConnection,
            CommandCode::SetOption => Command::SetOption(reader.u16()?),
            CommandCode::StmtPrepare => Command::StmtPrepare(reader.rest()),
            CommandCode::StmtExecute => Command::StmtExecute(StmtExecute {
                statement_id: reader.u32()?,
                flags: reader.u8()?,
                iterations: reader.u32()?,
                params: reader.rest(),
            }),
            CommandCode::StmtBulkExecute => Command::StmtBulkExecute(StmtBulkExecute {
                statement_id: reader.u32()?,
                flags: reader.u16()?,
                params: reader.rest(),
            }),
            CommandCode::StmtSendLongData => Command::StmtSendLongData {
                statement_id: reader.u32()?,
                param: reader.u16()?,
                data: reader.rest(),
            },
            CommandCode::StmtClose => Command::StmtClose(reader.u32()?),
            CommandCode::StmtReset => Command::StmtReset(reader.u32()?),
            CommandCode::StmtFetch => {
                Command::StmtFetch { statement_id: reader.u32()?, rows: reader.u32()? }
            }
            _ => Command::Unknown(byte),
        })
    }

    /// The command byte.
    pub fn code(&self) -> u8 {
        let code = match self {
            Command::Quit => CommandCode::Quit,
            Command::InitDb(_) => CommandCode::InitDb,
            Command::Query(_) => CommandCode::Query,
            Command::FieldList { .. } => CommandCode::FieldList,
            Command::Refresh(_) => CommandCode::Refresh,
            Command::Shutdown => CommandCode::Shutdown,
            Command::Statistics => CommandCode::Statistics,
            Command::ProcessInfo => CommandCode::ProcessInfo,
            Command::ProcessKill(_) => CommandCode::ProcessKill,
            Command::Debug => CommandCode::Debug,
            Command::Ping => CommandCode::Ping,
            Command::ChangeUser(_) => CommandCode::ChangeUser,
            Command::ResetConnection => CommandCode::ResetConnection,
            Command::SetOption(_) => CommandCode::SetOption,
            Command::StmtPrepare(_) => CommandCode::StmtPrepare,
            Command::StmtExecute(_) => CommandCode::StmtExecute,
            Command::StmtBulkExecute(_) => CommandCode::StmtBulkExecute,
            Command::StmtSendLongData { .. } => CommandCode::StmtSendLongData,
            Command::StmtClose(_) => CommandCode::StmtClose,
            Command::StmtReset(_) => CommandCode::StmtReset,
            Command::StmtFetch { .. } => CommandCode::StmtFetch,
            Command::Unknown(byte) => return *byte,
        };
        code as u8
    }
}

/// Some clients close the last string with a zero byte, most do not.
fn trim_nul(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(&[0]).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_read() {
        let cases: [(&[u8], Command<'_>); 12] = [
            (b"\x01", Command::Quit),
            (b"\x02shop", Command::InitDb(b"shop")),
            (b"\x03select 1", Command::Query(b"select 1")),
            (b"\x04t\0c%", Command::FieldList { table: b"t", wildcard: b"c%" }),
            (b"\x04t\0", Command::FieldList { table: b"t", wildcard: b"" }),
            (b"\x0c\x05\0\0\0", Command::ProcessKill(5)),
            (b"\x0e", Command::Ping),
            (b"\x1b\x01\0", Command::SetOption(1)),
            (
                b"\x18\x01\0\0\0\x02\0xyz",
                Command::StmtSendLongData { statement_id: 1, param: 2, data: b"xyz" },
            ),
            (b"\x1c\x01\0\0\0\x64\0\0\0", Command::StmtFetch { statement_id: 1, rows: 100 }),
            (b"\x1f", Command::ResetConnection),
            (b"\xfb", Command::Unknown(0xFB)),
        ];
        for (payload, want) in cases {
            let got = Command::parse(payload).unwrap();
            assert_eq!(got, want);
            assert_eq!(got.code(), payload[0]);
        }
    }

    #[test]
    fn cut_commands_are_errors() {
        for payload in
            [&b""[..], b"\x0c\x05\0", b"\x17\x01\0\0\0\0\x01\0\0", b"\x19", b"\x1b\x01", b"\x07"]
        {
            assert!(Command::parse(payload).is_err(), "{payload:?}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(command) = Command::parse(&payload) {
                prop_assert_eq!(command.code(), payload[0]);
            }
        }
    }
}
