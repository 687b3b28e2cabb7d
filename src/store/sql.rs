//! The macros that run one statement on whichever engine is there.
//!
//! The first argument is a [`Tx`](super::Tx) or a [`Reader`](super::Reader) (anything [`On`](super::On), by mutable
//! reference), then the statement, then what is bound to `$1`, `$2` and so on. A statement that only one engine
//! understands is a [`Fork`], with the reason beside it.

/// A statement that the engines spell differently.
#[derive(Clone, Copy, Debug)]
pub struct Fork {
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

/// A statement's text for either engine: `&'static str` or [`Fork`].
pub trait Statement: Copy {
    fn sqlite(self) -> &'static str;
    fn postgres(self) -> &'static str;
}

impl Statement for &'static str {
    fn sqlite(self) -> &'static str {
        self
    }
    fn postgres(self) -> &'static str {
        self
    }
}

impl Statement for Fork {
    fn sqlite(self) -> &'static str {
        self.sqlite
    }
    fn postgres(self) -> &'static str {
        self.postgres
    }
}

/// Runs a statement; the number of rows it changed.
#[macro_export]
macro_rules! execute {
    ($on:expr, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $crate::store::On::engine($on) {
            $crate::store::Engine::Sqlite(connection) => {
                sqlx::query($crate::store::sql::Statement::sqlite($sql))$(.bind($bind))*
                    .execute(connection).await.map(|done| done.rows_affected())
            }
            $crate::store::Engine::Postgres(connection) => {
                $crate::store::in_time(
                    sqlx::query($crate::store::sql::Statement::postgres($sql))$(.bind($bind))*.execute(connection)
                ).await.map(|done| done.rows_affected())
            }
        }.map_err($crate::store::Error::from)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! fetch_as {
    ($how:ident, $on:expr, $row:ty, $sql:expr $(, $bind:expr)*) => {
        match $crate::store::On::engine($on) {
            $crate::store::Engine::Sqlite(connection) => {
                sqlx::query_as::<sqlx::Sqlite, $row>($crate::store::sql::Statement::sqlite($sql))$(.bind($bind))*
                    .$how(connection).await
            }
            $crate::store::Engine::Postgres(connection) => {
                $crate::store::in_time(
                    sqlx::query_as::<sqlx::Postgres, $row>($crate::store::sql::Statement::postgres($sql))
                        $(.bind($bind))*.$how(connection)
                ).await
            }
        }.map_err($crate::store::Error::from)
    };
}

/// The one row that must be there: `fetch_one!(on, Row, "select ...", bind, ...)`.
#[macro_export]
macro_rules! fetch_one {
    ($on:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => { $crate::fetch_as!(fetch_one, $on, $row, $sql $(, $bind)*) };
}

/// The row, if it is there.
#[macro_export]
macro_rules! fetch_optional {
    ($on:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => { $crate::fetch_as!(fetch_optional, $on, $row, $sql $(, $bind)*) };
}

/// Every row.
#[macro_export]
macro_rules! fetch_all {
    ($on:expr, $row:ty, $sql:expr $(, $bind:expr)* $(,)?) => { $crate::fetch_as!(fetch_all, $on, $row, $sql $(, $bind)*) };
}

/// Runs a block in a transaction and commits it when it ends in `Ok`; repeats it from its beginning, at most five
/// times, when PostgreSQL gave it up for another one: `transaction!(store, |tx| { ...; Ok::<_, MyError>(made) })`.
///
/// A macro and not a function, because the future of a generic async closure that borrows cannot be shown to be `Send`.
#[macro_export]
macro_rules! transaction {
    ($store:expr, |$tx:ident| $work:block) => {{
        let mut tries = 0;
        loop {
            let mut begun = match $store.begin().await {
                Ok(begun) => begun,
                Err(cause) => break Err(cause.into()),
            };
            let outcome = {
                let $tx = &mut begun;
                // Apart: whoever may come here would carry room for all of it.
                Box::pin(async { $work }).await
            };
            let outcome = match outcome {
                Ok(made) => begun.commit().await.map(|()| made).map_err(Into::into),
                Err(cause) => {
                    drop(begun);
                    Err(cause)
                }
            };
            match outcome {
                Err(cause) if tries < 5 && $crate::store::lost_to_another(&cause) => tries += 1,
                outcome => break outcome,
            }
        }
    }};
}

/// A list of ids as one bound value: `uuid[]` for PostgreSQL (`= any ($1)`), a JSON array of hexadecimal text for SQLite
/// (`in (select unhex(value) from json_each($1))`).
#[derive(Clone, Debug)]
pub struct Ids(pub Vec<uuid::Uuid>);

impl sqlx::Type<sqlx::Sqlite> for Ids {
    fn type_info() -> sqlx::sqlite::SqliteTypeInfo {
        <String as sqlx::Type<sqlx::Sqlite>>::type_info()
    }
}

impl sqlx::Encode<'_, sqlx::Sqlite> for Ids {
    fn encode_by_ref(
        &self,
        buf: &mut sqlx::sqlite::SqliteArgumentsBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        let list: Vec<String> = self.0.iter().map(|id| format!("\"{}\"", id.simple())).collect();
        sqlx::Encode::<sqlx::Sqlite>::encode(format!("[{}]", list.join(",")), buf)
    }
}

impl sqlx::Type<sqlx::Postgres> for Ids {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        <Vec<uuid::Uuid> as sqlx::Type<sqlx::Postgres>>::type_info()
    }
}

impl sqlx::Encode<'_, sqlx::Postgres> for Ids {
    fn encode_by_ref(
        &self,
        buf: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        sqlx::Encode::<sqlx::Postgres>::encode_by_ref(&self.0, buf)
    }
}
