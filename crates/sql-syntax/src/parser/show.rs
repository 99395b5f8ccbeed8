//! SHOW.

use super::{Parser, Result};
use crate::ast::{Show, ShowKind, Span, Statement, VarScope};
use crate::lexer::TokenKind as T;

/// The words after SHOW (and its modifiers), and what they show; longer forms first.
const FORMS: &[(&[&str], ShowKind)] = &[
    (&["DATA", "NODE"], ShowKind::DataNode),
    (&["DATABASES"], ShowKind::Databases),
    (&["SCHEMAS"], ShowKind::Databases),
    (&["TABLES"], ShowKind::Tables),
    (&["TABLE", "STATUS"], ShowKind::TableStatus),
    (&["OPEN", "TABLES"], ShowKind::OpenTables),
    (&["COLUMNS"], ShowKind::Columns),
    (&["FIELDS"], ShowKind::Columns),
    (&["INDEXES"], ShowKind::Index),
    (&["INDEX"], ShowKind::Index),
    (&["KEYS"], ShowKind::Index),
    (&["CREATE", "TABLE"], ShowKind::CreateTable),
    (&["CREATE", "VIEW"], ShowKind::CreateView),
    (&["CREATE", "DATABASE"], ShowKind::CreateDatabase),
    (&["CREATE", "SCHEMA"], ShowKind::CreateDatabase),
    (&["CREATE", "SEQUENCE"], ShowKind::CreateSequence),
    (&["CREATE"], ShowKind::CreateOther),
    (&["VARIABLES"], ShowKind::Variables),
    (&["STATUS"], ShowKind::Status),
    (&["PHYSICAL", "PROCESSLIST"], ShowKind::PhysicalProcessList),
    (&["PROCESSLIST"], ShowKind::ProcessList),
    (&["WARNINGS"], ShowKind::Warnings),
    (&["ERRORS"], ShowKind::Errors),
    (&["STORAGE", "ENGINES"], ShowKind::Engines),
    (&["ENGINES"], ShowKind::Engines),
    (&["INNODB", "STATUS"], ShowKind::InnodbStatus),
    (&["ENGINE"], ShowKind::Engine),
    (&["GRANTS"], ShowKind::Grants),
    (&["PRIVILEGES"], ShowKind::Privileges),
    (&["CHARACTER", "SET"], ShowKind::Charset),
    (&["CHARSET"], ShowKind::Charset),
    (&["COLLATION"], ShowKind::Collation),
    (&["PLUGINS"], ShowKind::Plugins),
    (&["TRIGGERS"], ShowKind::Triggers),
    (&["EVENTS"], ShowKind::Events),
    (&["PROCEDURE", "STATUS"], ShowKind::ProcedureStatus),
    (&["FUNCTION", "STATUS"], ShowKind::FunctionStatus),
    (&["PACKAGE", "BODY", "STATUS"], ShowKind::PackageBodyStatus),
    (&["PACKAGE", "STATUS"], ShowKind::PackageStatus),
    (&["PROFILES"], ShowKind::Profiles),
    (&["PROFILE"], ShowKind::Profile),
    (&["BINARY"], ShowKind::Replication),
    (&["BINLOG"], ShowKind::Replication),
    (&["MASTER"], ShowKind::Replication),
    (&["SLAVE"], ShowKind::Replication),
    (&["ALL", "SLAVES"], ShowKind::Replication),
    (&["REPLICA"], ShowKind::Replication),
    (&["REPLICAS"], ShowKind::Replication),
    (&["RELAYLOG"], ShowKind::Replication),
    (&["RULE"], ShowKind::Rule),
    (&["TOPOLOGY"], ShowKind::Topology),
    (&["SEQUENCES"], ShowKind::Sequences),
    (&["MIGRATE", "STATUS"], ShowKind::MigrateStatus),
    (&["DB", "STATUS"], ShowKind::DbStatus),
    (&["RECYCLEBIN"], ShowKind::RecycleBin),
    (&["DDM", "SESSIONS"], ShowKind::DdmSessions),
    (&["DDM"], ShowKind::Ddm),
    (&["AUTHORS"], ShowKind::Thanks),
    (&["CONTRIBUTORS"], ShowKind::Thanks),
    (&["PROCEDURE", "CODE"], ShowKind::Other),
    (&["FUNCTION", "CODE"], ShowKind::Other),
    (&["PACKAGE", "BODY", "CODE"], ShowKind::Other),
    (&["EXPLAIN"], ShowKind::Other),
    (&["ANALYZE"], ShowKind::Other),
    (&["CLIENT_STATISTICS"], ShowKind::Other),
    (&["INDEX_STATISTICS"], ShowKind::Other),
    (&["TABLE_STATISTICS"], ShowKind::Other),
    (&["USER_STATISTICS"], ShowKind::Other),
];

impl Parser<'_> {
    pub(super) fn show(&mut self) -> Result<Statement> {
        let start = self.start();
        self.expect("SHOW")?;
        let extended = self.eat("EXTENDED");
        let full = self.eat("FULL");
        let scope = self.show_scope();
        let count = self.at("COUNT") && self.peek(1).kind == T::LParen;
        if count {
            self.bump();
            self.skip_parens()?;
        }
        let kind = match FORMS.iter().find(|(words, _)| self.eat_words(words)) {
            Some((_, kind)) => *kind,
            None => return self.unexpected(),
        };
        let mut show = Show {
            kind,
            full,
            extended,
            scope,
            table: None,
            schema: None,
            like_tok: None,
            selection: None,
            limit: None,
            count,
            with_info: false,
            rest: None,
            span: Span::default(),
        };
        self.show_object(&mut show)?;
        self.show_filters(&mut show)?;
        show.span = self.since(start);
        Ok(Statement::Show(Box::new(show)))
    }

    fn show_scope(&mut self) -> VarScope {
        if self.eat("GLOBAL") {
            VarScope::Global
        } else if self.eat_any(&["SESSION", "LOCAL"]) {
            VarScope::Session
        } else {
            VarScope::Default
        }
    }

    /// The table or schema that is shown.
    fn show_object(&mut self, show: &mut Show) -> Result<()> {
        use ShowKind as K;
        match show.kind {
            K::CreateTable | K::CreateView | K::CreateSequence => {
                show.table = Some(self.table_name()?);
            }
            K::CreateDatabase => {
                self.eat_words(&["IF", "NOT", "EXISTS"]);
                show.schema = Some(self.ident()?);
            }
            K::Columns | K::Index | K::Topology => {
                if !self.eat_any(&["FROM", "IN"]) {
                    return self.unexpected();
                }
                show.table = Some(self.table_name()?);
                self.show_schema(show)?;
            }
            K::Rule if self.eat_any(&["FROM", "IN"]) => {
                show.table = Some(self.table_name()?);
            }
            K::Tables
            | K::TableStatus
            | K::OpenTables
            | K::Triggers
            | K::Events
            | K::Sequences
            | K::RecycleBin => {
                self.show_schema(show)?;
            }
            K::PhysicalProcessList => show.with_info = self.eat_words(&["WITH", "INFO"]),
            K::Grants
            | K::Engine
            | K::Replication
            | K::Profile
            | K::CreateOther
            | K::Ddm
            | K::Other => {
                show.rest = self.skip_rest()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn show_schema(&mut self, show: &mut Show) -> Result<()> {
        if self.eat_any(&["FROM", "IN"]) {
            show.schema = Some(self.ident()?);
        }
        Ok(())
    }

    fn show_filters(&mut self, show: &mut Show) -> Result<()> {
        if self.eat("LIKE") {
            show.like_tok = Some(self.string()?);
        } else if self.eat("WHERE") {
            show.selection = Some(self.expr()?);
        }
        if self.at("LIMIT") {
            show.limit = self.limit()?;
        }
        Ok(())
    }
}
