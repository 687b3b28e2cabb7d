//! [`ApiError`]: the only error that becomes a response, an RFC 9457 problem with a stable `code`.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::Moment;
use crate::store;

macro_rules! codes {
    ($($name:ident = $code:literal, $status:literal, $title:literal;)+) => {
        /// Every word that clients switch on. A word, once published, keeps its meaning and its status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $title] $name,)+ }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

codes! {
    NotJson = "not_json", 400, "The body is not JSON";
    NotMultipart = "not_multipart", 400, "The body is not multipart/form-data, or not whole";
    BadPath = "bad_path", 400, "The path cannot be read";
    BadRequest = "bad_request", 400, "This is not a request that HTTP knows";
    BadHost = "bad_host", 400, "This host is not served here";
    SignatureInvalid = "signature_invalid", 400, "The webhook is not signed as it should be";
    TokenMissing = "token_missing", 401, "Sign in first";
    TokenInvalid = "token_invalid", 401, "The token is not valid";
    TokenExpired = "token_expired", 401, "The token has expired";
    SessionEnded = "session_ended", 401, "The session has ended";
    AccountSuspended = "account_suspended", 401, "The account is suspended";
    OtpInvalid = "otp_invalid", 401, "The code is not right";
    OtpExpired = "otp_expired", 401, "The code has expired";
    BadCredentials = "bad_credentials", 401, "Number or password are not right";
    RefreshReused = "refresh_reused", 401, "The refresh token was used before";
    SignupClosed = "signup_closed", 403, "Nobody can sign up here";
    OriginRefused = "origin_refused", 403, "This origin may not do that";
    NotFound = "not_found", 404, "There is nothing here";
    ChatroomNotFound = "chatroom_not_found", 404, "No such chatroom";
    MessageNotFound = "message_not_found", 404, "No such message";
    ContextNotFound = "context_not_found", 404, "Nothing was sent to the model for this reply";
    AttachmentNotFound = "attachment_not_found", 404, "No such attachment";
    SessionNotFound = "session_not_found", 404, "No such session";
    CheckoutNotFound = "checkout_not_found", 404, "No such checkout session";
    MethodNotAllowed = "method_not_allowed", 405, "This method is not allowed here";
    BodyTimedOut = "body_timed_out", 408, "The body did not arrive in time";
    AlreadySubscribed = "already_subscribed", 409, "The caller is Pro already";
    ChangeRefused = "change_refused", 409, "Stripe does not let the subscription be changed";
    NotSubscribed = "not_subscribed", 409, "There is no subscription";
    ReplyInProgress = "reply_in_progress", 409, "The reply has not ended yet";
    AttachmentInUse = "attachment_in_use", 409, "A message carries the attachment";
    AttachmentLimitReached = "attachment_limit_reached", 409, "Too many attachments wait for a message";
    MobileTaken = "mobile_taken", 409, "This number is taken";
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    UriTooLong = "uri_too_long", 414, "The address is too long";
    UnsupportedMediaType = "unsupported_media_type", 415, "The body is of another type than is taken here";
    UnsupportedFile = "unsupported_file", 415, "The file is no PNG, JPEG, WebP, GIF or PDF";
    Invalid = "invalid", 422, "A field is not right";
    IdempotencyMismatch = "idempotency_mismatch", 422, "This Idempotency-Key was used for another request";
    NotAReply = "not_a_reply", 422, "This is a person's message, not a reply";
    NotAUserMessage = "not_a_user_message", 422, "This is a reply, not a person's message";
    ContextOverflow = "context_overflow", 422, "The message is too long for the model";
    AttachmentsTooLarge = "attachments_too_large", 422, "The attachments are too large for one question";
    RateLimited = "rate_limited", 429, "Too many requests";
    OtpAttemptsExhausted = "otp_attempts_exhausted", 429, "Too many wrong codes";
    PromptLimitReached = "prompt_limit_reached", 429, "Today's prompts are spent";
    HeadTooLarge = "head_too_large", 431, "The headers are too large";
    Internal = "internal", 500, "Something broke on our side";
    DatabaseUnavailable = "database_unavailable", 503, "The database is not available";
    NotReady = "not_ready", 503, "Not ready to serve";
    UpstreamUnavailable = "upstream_unavailable", 503, "Gemini cannot be reached";
    BudgetExhausted = "budget_exhausted", 503, "Today's budget is spent";
    BillingNotConfigured = "billing_not_configured", 503, "Nothing is sold here yet";
    BillingUnavailable = "billing_unavailable", 503, "Stripe cannot be reached";
    SmsBudgetExhausted = "sms_budget_exhausted", 503, "Today's budget for codes is spent";
    StorageUnavailable = "storage_unavailable", 503, "Attachments cannot be reached";
    TooManyUploads = "too_many_uploads", 503, "Too much is being uploaded at once";
    Overloaded = "overloaded", 503, "Too many connections are open";
    TimedOut = "timed_out", 503, "It took too long";
}

/// What is wrong with one field of a body or a query.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

/// The problem+json document (RFC 9457); further members depend on `code`.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// `urn:problem:<code>`; the same for the same `code`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub code: String,
    pub request_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A refusal on its way to the client. Causes never leave the house: a 500 shows only its `request_id`.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    detail: Option<String>,
    errors: Vec<FieldError>,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self { code, detail: None, errors: Vec::new(), more: Map::new(), headers: Vec::new() }
    }

    /// 422 with one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(Code::Invalid);
        error.errors.push(FieldError { field: field.into(), message: message.into() });
        error
    }

    /// A bug or a broken dependency: logged here, once, and answered without its cause.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(Code::Internal)
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// A further member of the problem document.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Serialize) -> Self {
        self.more.insert(member.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// `Retry-After` in whole seconds, at least one.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// `Retry-After` until a moment, rounded up.
    #[must_use]
    pub fn retry_at(self, now: Moment, until: Moment) -> Self {
        let wait = until.since(now);
        self.retry_after(wait.as_secs() + u64::from(wait.subsec_millis() > 0))
    }

    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    #[must_use]
    pub fn field_errors(&self) -> &[FieldError] {
        &self.errors
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(cause) => {
                tracing::warn!(%cause, "the database is not available");
                Self::new(Code::DatabaseUnavailable).retry_after(2)
            }
            store::Error::Conflict(cause) => {
                tracing::warn!(%cause, "a transaction lost five times");
                Self::new(Code::DatabaseUnavailable).retry_after(1)
            }
            store::Error::Taken(cause) | store::Error::Other(cause) => Self::internal(cause),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Problem {
            kind: format!("urn:problem:{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail.unwrap_or_else(|| self.code.title().to_owned()),
            code: self.code.as_str().to_owned(),
            request_id: super::request_id::current(),
            errors: self.errors,
            more: self.more,
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.headers_mut().extend(self.headers);
        response
    }
}
