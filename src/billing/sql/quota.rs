//! Plans, prompts and tokens.

use crate::auth::Plan;
use crate::billing::Tokens;
use crate::ids::UserId;
use crate::store::sql::Fork;
use crate::store::{On, Result, Tx};
use crate::{execute, fetch_one, fetch_optional};

pub(in crate::billing) async fn spend(tx: &mut Tx, user: UserId, day: &str, limit: i64) -> Result<Option<i64>> {
    let row = fetch_optional!(
        tx,
        (i64,),
        "insert into prompt_days (user_id, day, used) select $1, $2, 1 where cast($3 as bigint) > 0
         on conflict (user_id, day) do update set used = prompt_days.used + 1 where prompt_days.used < $3
         returning used",
        user,
        day,
        limit
    )?;
    Ok(row.map(|(count,)| count))
}

pub(in crate::billing) async fn give_back(tx: &mut Tx, user: UserId, day: &str) -> Result<()> {
    execute!(tx, "update prompt_days set used = used - 1 where user_id = $1 and day = $2 and used > 0", user, day)?;
    Ok(())
}

pub(in crate::billing) async fn used(on: &mut impl On, user: UserId, day: &str) -> Result<i64> {
    let row = fetch_optional!(on, (i64,), "select used from prompt_days where user_id = $1 and day = $2", user, day)?;
    Ok(row.map_or(0, |(count,)| count))
}

pub(in crate::billing) async fn count_tokens(tx: &mut Tx, user: UserId, day: &str, tokens: Tokens) -> Result<()> {
    execute!(
        tx,
        "insert into token_days (user_id, day, replies, prompt_tokens, completion_tokens, thought_tokens, total_tokens)
         values ($1, $2, 1, $3, $4, $5, $6)
         on conflict (user_id, day) do update set replies = token_days.replies + 1,
             prompt_tokens = token_days.prompt_tokens + excluded.prompt_tokens,
             completion_tokens = token_days.completion_tokens + excluded.completion_tokens,
             thought_tokens = token_days.thought_tokens + excluded.thought_tokens,
             total_tokens = token_days.total_tokens + excluded.total_tokens",
        user,
        day,
        tokens.prompt,
        tokens.completion,
        tokens.thoughts,
        tokens.total
    )?;
    Ok(())
}

/// PostgreSQL sums whole numbers to `numeric`.
const TOKENS_OF_DAY: Fork = Fork {
    sqlite: "select coalesce(sum(total_tokens), 0) from token_days where day = $1",
    postgres: "select coalesce(sum(total_tokens), 0)::bigint from token_days where day = $1",
};

pub(in crate::billing) async fn tokens_of_day(on: &mut impl On, day: &str) -> Result<i64> {
    let (sum,) = fetch_one!(on, (i64,), TOKENS_OF_DAY, day)?;
    Ok(sum)
}

pub(in crate::billing) async fn set_plan(tx: &mut Tx, user: UserId, plan: Plan) -> Result<()> {
    execute!(tx, "update users set plan = $2 where id = $1", user, plan.as_str())?;
    Ok(())
}

pub(in crate::billing) async fn delete_prompts(tx: &mut Tx, user: UserId) -> Result<()> {
    execute!(tx, "delete from prompt_days where user_id = $1", user)?;
    Ok(())
}

pub(in crate::billing) async fn delete_prompt_days(tx: &mut Tx, before: &str, most: u32) -> Result<u64> {
    execute!(
        tx,
        "delete from prompt_days where (user_id, day) in
             (select user_id, day from prompt_days where day < $1 order by day limit $2)",
        before,
        i64::from(most)
    )
}

pub(in crate::billing) async fn delete_token_days(tx: &mut Tx, before: &str, most: u32) -> Result<u64> {
    execute!(
        tx,
        "delete from token_days where (user_id, day) in
             (select user_id, day from token_days where day < $1 order by day limit $2)",
        before,
        i64::from(most)
    )
}
