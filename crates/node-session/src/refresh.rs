//! COM_REFRESH and COM_DEBUG, by which old clients and `mysqladmin` say FLUSH and ask a server to write
//! down its state. They do what FLUSH does here, and refuse what it refuses.

use crate::locks::reload_denied;
use crate::session::Core;
use base::sql_error;
use mysql_wire::packet::{EofPacket, OkPacket};
use node_exec::error::{ExecError, sql};

/// REFRESH_LOG, REFRESH_SLAVE and REFRESH_MASTER: they touch all of a server.
const OF_SERVERS: u8 = 2 | 64 | 128;
/// REFRESH_STATUS; what is in none of the two has nothing to do here (GRANT, TABLES, HOSTS, THREADS).
const STATUS: u8 = 16;

impl Core {
    /// COM_REFRESH: FLUSH by bits, which commits as FLUSH does.
    pub async fn refresh(&mut self, bits: u8) -> Result<(), ExecError> {
        self.commit().await?;
        if bits & OF_SERVERS != 0 {
            return Err(reload_denied());
        }
        if bits & STATUS != 0 {
            self.flush_status();
        }
        self.exec.last.row_count = 0;
        self.reply_ok_packet(OkPacket::default());
        Ok(())
    }

    /// COM_DEBUG: a server writes to its log, of which its client sees nothing.
    pub fn debug(&mut self) -> Result<(), ExecError> {
        if !self.account()?.administrator {
            return Err(sql(
                sql_error::SPECIFIC_ACCESS_DENIED,
                "Access denied; you need (at least one of) the SUPER privilege(s) for this operation",
            ));
        }
        let status = self.exec.status(false);
        self.out.put_rows_end(&EofPacket { warnings: 0, status });
        Ok(())
    }
}
