//! What counts against a number.

use uuid::Uuid;

use crate::auth::Mobile;
use crate::auth::marks::Mark;
use crate::clock::Moment;
use crate::store::sql::Fork;
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_optional};

/// SQLite has one writer at a time, so its transaction is the lock. PostgreSQL's advisory lock needs no row, which an
/// unknown number has none of; numbers that share a hash only wait for one another.
const LOCK: Fork = Fork {
    sqlite: "select 1 where $1 is not null",
    postgres: "select 1 from (select pg_advisory_xact_lock(hashtextextended($1, 4711))) as locked",
};

/// Makes every transaction about a number wait for the others until it ends. The first statement of each.
pub(in crate::auth) async fn lock_number(tx: &mut Tx, mobile: &Mobile) -> Result<()> {
    let _: Option<(i32,)> = fetch_optional!(tx, (i32,), LOCK, mobile)?;
    Ok(())
}

/// When a number was marked since a moment, the newest first, at most `limit` of them.
pub(in crate::auth) async fn marks(
    on: &mut impl On,
    mobile: &Mobile,
    what: Mark,
    since: Moment,
    limit: i64,
) -> Result<Vec<Moment>> {
    let rows = fetch_all!(
        on,
        (Moment,),
        "select at from number_marks where mobile = $1 and what = $2 and at > $3 order by at desc limit $4",
        mobile,
        what,
        since,
        limit
    )?;
    Ok(rows.into_iter().map(|(at,)| at).collect())
}

pub(in crate::auth) async fn insert_mark(tx: &mut Tx, id: Uuid, mobile: &Mobile, what: Mark, at: Moment) -> Result<()> {
    execute!(tx, "insert into number_marks (id, mobile, what, at) values ($1, $2, $3, $4)", id, mobile, what, at)?;
    Ok(())
}

pub(in crate::auth) async fn delete_mark(tx: &mut Tx, id: Uuid) -> Result<()> {
    execute!(tx, "delete from number_marks where id = $1", id)?;
    Ok(())
}

pub(in crate::auth) async fn delete_marks(tx: &mut Tx, mobile: &Mobile) -> Result<()> {
    execute!(tx, "delete from number_marks where mobile = $1", mobile)?;
    Ok(())
}

pub(in crate::auth) async fn sweep_marks(tx: &mut Tx, before: Moment, batch: i64) -> Result<u64> {
    execute!(
        tx,
        "delete from number_marks where id in (select id from number_marks where at < $1 limit $2)",
        before,
        batch
    )
}
