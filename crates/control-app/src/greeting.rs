//! Whether a node answers MySQL clients: the greeting that a server sends first.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A node that serves greets within this time.
pub const GREETING_TIMEOUT: Duration = Duration::from_secs(2);

/// The protocol version that every greeting begins with.
const PROTOCOL_VERSION: u8 = 10;

/// What stands in the place of the version when it says an error instead.
const ERROR_MARK: u8 = 0xFF;

/// The error for a client that the security group does not let in, which we may well be: who says
/// so serves.
const NOT_LET_IN: u16 = base::sql_error::HOST_NOT_PRIVILEGED.number;

/// Fine when a MySQL server greets at `address`.
pub async fn answers(address: SocketAddr) -> io::Result<()> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut head = [0; 5];
        stream.read_exact(&mut head).await?;
        if head[4] == ERROR_MARK && stream.read_u16_le().await? == NOT_LET_IN {
            return Ok(PROTOCOL_VERSION);
        }
        Ok(head[4])
    };
    match timeout(GREETING_TIMEOUT, asked).await {
        Ok(Ok(PROTOCOL_VERSION)) => Ok(()),
        Ok(Ok(other)) => Err(io::Error::other(format!(
            "it greets with {other} instead of protocol {PROTOCOL_VERSION}"
        ))),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no greeting in time")),
    }
}
