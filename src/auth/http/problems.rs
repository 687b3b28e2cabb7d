//! The feature's errors as problems.

use crate::auth::{
    ChangeError, ObtainError, PasswordError, RefreshError, Refused, SendError, SignUpError, VerifyError,
};
use crate::http::{ApiError, Code};

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid { attempts_left } => Self::new(Code::OtpInvalid).with("attempts_left", attempts_left),
            Refused::Expired => Self::new(Code::OtpExpired),
            Refused::Exhausted { now, until } => {
                Self::new(Code::OtpAttemptsExhausted).detail("Ask for a new code").retry_at(now, until)
            }
        }
    }
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::TooMany { now, until } => {
                Self::new(Code::RateLimited).detail("Too many codes for this number").retry_at(now, until)
            }
            SendError::BudgetExhausted { now, until } => Self::new(Code::SmsBudgetExhausted).retry_at(now, until),
            SendError::CountryHeld { now, until } => {
                Self::new(Code::RateLimited).detail("Too many codes for this country").retry_at(now, until)
            }
            SendError::Store(cause) => cause.into(),
        }
    }
}

impl From<SignUpError> for ApiError {
    fn from(error: SignUpError) -> Self {
        match error {
            SignUpError::MobileTaken => Self::new(Code::MobileTaken),
            SignUpError::TooMany(standing) => standing.into(),
            SignUpError::Code(refused) => refused.into(),
            SignUpError::Store(cause) => cause.into(),
        }
    }
}

impl From<VerifyError> for ApiError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Code(refused) => refused.into(),
            VerifyError::SignupClosed => Self::new(Code::SignupClosed),
            VerifyError::Suspended => Self::new(Code::AccountSuspended),
            VerifyError::TooMany(standing) => standing.into(),
            VerifyError::Store(cause) => cause.into(),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Wrong => Self::new(Code::BadCredentials),
            PasswordError::TooManyForNumber { now, until } => {
                Self::new(Code::RateLimited).detail("Too many wrong passwords for this number").retry_at(now, until)
            }
            PasswordError::TooManyFromAddress(standing) => standing.into(),
            PasswordError::Store(cause) => cause.into(),
        }
    }
}

impl From<ObtainError> for ApiError {
    fn from(error: ObtainError) -> Self {
        match error {
            ObtainError::Password(error) => error.into(),
            ObtainError::Suspended => Self::new(Code::AccountSuspended),
            ObtainError::Store(cause) => cause.into(),
        }
    }
}

impl From<RefreshError> for ApiError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Invalid => Self::new(Code::TokenInvalid),
            RefreshError::Ended => Self::new(Code::SessionEnded),
            RefreshError::Reused => Self::new(Code::RefreshReused),
            RefreshError::Suspended => Self::new(Code::AccountSuspended),
            RefreshError::TooMany(standing) => standing.into(),
            RefreshError::Store(cause) => cause.into(),
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Code(refused) => refused.into(),
            ChangeError::Password(error) => error.into(),
            ChangeError::MobileTaken => Self::new(Code::MobileTaken),
            ChangeError::Gone => Self::new(Code::SessionEnded),
            ChangeError::TooMany(standing) => standing.into(),
            ChangeError::Store(cause) => cause.into(),
        }
    }
}
