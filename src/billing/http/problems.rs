//! The feature's errors as problems.

use crate::billing::{ChangeError, LookError, NotConfigured, ReturnError, SubscribeError};
use crate::http::{ApiError, Code};

/// When it is worth asking again for something that an operator has to set up.
const SET_UP: u64 = 600;
/// And after Stripe was away, unless it says how long.
const AWAY: u64 = 5;

impl From<NotConfigured> for ApiError {
    fn from(_: NotConfigured) -> Self {
        Self::new(Code::BillingNotConfigured).retry_after(SET_UP)
    }
}

impl From<LookError> for ApiError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Store(cause) => cause.into(),
            LookError::Stripe(cause) => {
                if cause.is_passing() {
                    tracing::warn!(%cause, "Stripe is not available");
                } else {
                    // A wrong key or price: ours to mend, and nothing that the caller could do.
                    tracing::error!(%cause, "Stripe refused what we asked");
                }
                Self::new(Code::BillingUnavailable).retry_after(cause.retry_after().map_or(AWAY, |wait| wait.as_secs()))
            }
        }
    }
}

impl From<SubscribeError> for ApiError {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::AlreadySubscribed => Self::new(Code::AlreadySubscribed),
            SubscribeError::IdempotencyMismatch => Self::new(Code::IdempotencyMismatch),
            SubscribeError::Gone => Self::new(Code::CheckoutNotFound).detail("What this Idempotency-Key made is gone"),
            SubscribeError::NoSuchUser => Self::new(Code::SessionEnded),
            SubscribeError::NotConfigured(error) => error.into(),
            SubscribeError::Look(error) => error.into(),
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotSubscribed => Self::new(Code::NotSubscribed),
            ChangeError::NotConfigured(error) => error.into(),
            ChangeError::Look(error) => error.into(),
        }
    }
}

impl From<ReturnError> for ApiError {
    fn from(error: ReturnError) -> Self {
        match error {
            ReturnError::NoSuchSession => Self::new(Code::CheckoutNotFound),
            ReturnError::NotConfigured(error) => error.into(),
            ReturnError::Look(error) => error.into(),
        }
    }
}
