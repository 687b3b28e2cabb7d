//! A connection to PostgreSQL, on loan from the pool. A server that hangs without closing its connections keeps nobody
//! waiting for ever: neither the one who asks, nor the pool that waits for the connection to come back.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// For one statement, the locks that it waits for included: shorter than a lease, and than clients wait.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// For a connection that comes back, to forget its transaction and to say that it is well.
const RETURN: Duration = Duration::from_secs(3);

/// Runs a statement, but not for ever. The connection of one that is given up does not come back to the pool.
pub async fn in_time<T>(statement: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let hangs = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    timeout(PATIENCE, statement).await.unwrap_or_else(hangs)
}

/// Dropped, it goes back to the pool; an open transaction never was.
#[derive(Debug)]
pub struct Leased {
    /// Until it is dropped.
    connection: Option<PoolConnection<Postgres>>,
    is_in_transaction: bool,
}

impl Leased {
    pub(super) async fn take(pool: &PgPool) -> sqlx::Result<Self> {
        Ok(Self { connection: Some(pool.acquire().await?), is_in_transaction: false })
    }

    pub(super) async fn begin(pool: &PgPool) -> sqlx::Result<Self> {
        let mut leased = Self::take(pool).await?;
        // From here on: a begin that is given up half-way may have begun.
        leased.is_in_transaction = true;
        in_time(leased.connection().execute("begin")).await?;
        Ok(leased)
    }

    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        in_time(self.connection().execute("commit")).await?;
        self.is_in_transaction = false;
        Ok(())
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        let (Some(connection), Ok(runtime)) = (self.connection.take(), Handle::try_current()) else { return };
        runtime.spawn(give_back(connection, self.is_in_transaction));
    }
}

async fn give_back(mut connection: PoolConnection<Postgres>, is_in_transaction: bool) {
    let go = async {
        // A connection that fails at this fails at coming back, too.
        if is_in_transaction {
            let _ = connection.execute("rollback").await;
        }
        // What sqlx does by itself when one is dropped, and waits for as long as it takes.
        connection.return_to_pool().await;
    };
    if timeout(RETURN, go).await.is_err() {
        connection.close_on_drop();
    }
}
