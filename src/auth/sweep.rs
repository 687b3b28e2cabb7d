//! Forgetting what is over, a batch at a time.

use super::marks::DAY;
use super::sql;
use crate::app::App;
use crate::clock::Moment;
use crate::store::Result;

/// What this room keeps and lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    Codes,
    Sessions,
    Signups,
    Marks,
}

/// Removes at most `most` rows that are past their time; how many went.
pub async fn sweep(app: &App, what: Swept, now: Moment, most: u32) -> Result<u64> {
    let kept = &app.settings.retention;
    let most = i64::from(most);
    crate::transaction!(app.store, |tx| {
        match what {
            Swept::Codes => sql::sweep_codes(tx, now.minus(kept.spent_codes), most).await,
            Swept::Sessions => sql::sweep_sessions(tx, now.minus(kept.ended_sessions), most).await,
            Swept::Signups => sql::sweep_signups(tx, now, most).await,
            // What counts for a day is needed for a day, however short codes are kept.
            Swept::Marks => sql::sweep_marks(tx, now.minus(kept.spent_codes.max(DAY)), most).await,
        }
    })
}
