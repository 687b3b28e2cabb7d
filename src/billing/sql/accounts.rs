//! Who is which customer, and which look at Stripe was written last.

use crate::auth::Plan;
use crate::ids::UserId;
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_all, fetch_one, fetch_optional};

/// A person's account here and at Stripe.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(in crate::billing) struct Account {
    pub user_id: UserId,
    pub customer: Option<String>,
    pub customers_made: i64,
    pub granted: bool,
    /// The look that was written last.
    pub applied_seq: i64,
}

pub(in crate::billing) async fn open_account(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(
        tx,
        "insert into billing_accounts (user_id, customers_made, granted, fetch_seq, applied_seq)
         values ($1, 0, false, 0, 0) on conflict (user_id) do nothing",
        user
    )?;
    Ok(())
}

pub(in crate::billing) async fn account(on: &mut impl On, user: UserId) -> Result<Option<Account>> {
    fetch_optional!(
        on,
        Account,
        "select user_id, customer, customers_made, granted, applied_seq from billing_accounts where user_id = $1",
        user
    )
}

pub(in crate::billing) async fn account_of(on: &mut impl On, customer: &str) -> Result<Option<Account>> {
    fetch_optional!(
        on,
        Account,
        "select user_id, customer, customers_made, granted, applied_seq from billing_accounts where customer = $1",
        customer
    )
}

/// The number that customers call.
pub(in crate::billing) async fn mobile_of(on: &mut impl On, user: UserId) -> Result<Option<String>> {
    let row = fetch_optional!(on, (String,), "select mobile from users where id = $1", user)?;
    Ok(row.map(|(mobile,)| mobile))
}

/// Makes this the person's customer, unless there is one; the one that stands then.
pub(in crate::billing) async fn adopt_customer(tx: &mut Tx, user: UserId, customer: &str) -> Result<Option<String>> {
    execute!(
        tx,
        "update billing_accounts set customer = $2, customers_made = customers_made + 1
         where user_id = $1 and customer is null",
        user,
        customer
    )?;
    Ok(account(tx, user).await?.and_then(|account| account.customer))
}

/// The call that makes a customer can come to nothing under its key.
pub(in crate::billing) async fn skip_customer(tx: &mut Tx, user: UserId, made: i64) -> Result<()> {
    let sql =
        "update billing_accounts set customers_made = customers_made + 1 where user_id = $1 and customers_made = $2";
    execute!(tx, sql, user, made)?;
    Ok(())
}

/// The customer is gone at Stripe: the next checkout makes a new one.
pub(in crate::billing) async fn part_from_customer(tx: &mut Tx, customer: &str) -> Result<()> {
    execute!(tx, "update billing_accounts set customer = null where customer = $1", customer)?;
    Ok(())
}

/// Announces a look at Stripe; whose customer it is and the look's number. None: nobody's.
pub(in crate::billing) async fn begin_look(tx: &mut Tx, customer: &str) -> Result<Option<(UserId, i64)>> {
    fetch_optional!(
        tx,
        (UserId, i64),
        "update billing_accounts set fetch_seq = fetch_seq + 1 where customer = $1 returning user_id, fetch_seq",
        customer
    )
}

/// False when a newer look was written already, or the customer is nobody's any more.
pub(in crate::billing) async fn end_look(tx: &mut Tx, customer: &str, look: i64) -> Result<bool> {
    let sql = "update billing_accounts set applied_seq = $2 where customer = $1 and applied_seq < $2";
    Ok(execute!(tx, sql, customer, look)? == 1)
}

pub(in crate::billing) async fn set_granted(tx: &mut Tx, user: UserId, granted: bool) -> Result<()> {
    execute!(tx, "update billing_accounts set granted = $2 where user_id = $1", user, granted)?;
    Ok(())
}

pub(in crate::billing) async fn plan_of(tx: &mut Tx, user: UserId) -> Result<Option<Plan>> {
    let row = fetch_optional!(tx, (Plan,), "select plan from users where id = $1", user)?;
    Ok(row.map(|(plan,)| plan))
}

/// People whose plan is not what is known of them makes it, or may not be: an overdue payment is Pro for a while. A page of
/// at most `most` behind `after`.
pub(in crate::billing) async fn doubtful_plans(on: &mut impl On, after: UserId, most: i64) -> Result<Vec<UserId>> {
    let rows = fetch_all!(
        on,
        (UserId,),
        "select a.user_id from billing_accounts a join users u on u.id = a.user_id
         where a.user_id > $1
             and (u.plan <> case when a.granted or exists (select 1 from subscriptions s where s.user_id = a.user_id
                                                               and s.status in ('trialing', 'active'))
                                 then 'pro' else 'basic' end
                  or exists (select 1 from subscriptions s where s.user_id = a.user_id and s.status = 'past_due'))
         order by a.user_id limit $2",
        after,
        most
    )?;
    Ok(rows.into_iter().map(|(user,)| user).collect())
}

pub(in crate::billing) async fn has_user(on: &mut impl On, user: UserId) -> Result<bool> {
    let (count,) = fetch_one!(on, (i64,), "select count(*) from users where id = $1", user)?;
    Ok(count > 0)
}

pub(in crate::billing) async fn delete_account(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(tx, "delete from billing_accounts where user_id = $1", user)?;
    Ok(())
}
