//! The feature's errors as problems.

use crate::chat::attachments::{AttachmentError, MOST_PER_MESSAGE};
use crate::chat::{CancelError, NeverListed, ReadError, ReceiptError, RoomError, SendError};
use crate::http::{ApiError, Code};

impl From<RoomError> for ApiError {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::NoSuchRoom => Self::new(Code::ChatroomNotFound),
            RoomError::IdempotencyMismatch => Self::new(Code::IdempotencyMismatch),
            RoomError::UnknownModel => Self::field("model", "is not among the models that GET /models lists"),
            RoomError::Store(cause) => cause.into(),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoSuchRoom => Self::new(Code::ChatroomNotFound),
            ReadError::NoSuchMessage => Self::new(Code::MessageNotFound),
            ReadError::Store(cause) => cause.into(),
        }
    }
}

impl From<CancelError> for ApiError {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::NoSuchRoom => Self::new(Code::ChatroomNotFound),
            CancelError::NoSuchMessage => Self::new(Code::MessageNotFound),
            CancelError::NotAReply => Self::new(Code::NotAReply),
            CancelError::Store(cause) => cause.into(),
        }
    }
}

impl From<ReceiptError> for ApiError {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::Read(cause) => cause.into(),
            ReceiptError::NotAReply => Self::new(Code::NotAReply),
            ReceiptError::ReplyInProgress => Self::new(Code::ReplyInProgress),
            ReceiptError::NothingSent => Self::new(Code::ContextNotFound),
        }
    }
}

impl From<AttachmentError> for ApiError {
    fn from(error: AttachmentError) -> Self {
        match error {
            AttachmentError::NoSuchRoom => Self::new(Code::ChatroomNotFound),
            AttachmentError::NoSuchAttachment => Self::new(Code::AttachmentNotFound),
            AttachmentError::UnsupportedFile => Self::new(Code::UnsupportedFile),
            AttachmentError::InUse => Self::new(Code::AttachmentInUse),
            AttachmentError::TooManyUnused { most } => Self::new(Code::AttachmentLimitReached)
                .detail(format!("{most} attachments wait for a message: send or delete some")),
            AttachmentError::IdempotencyMismatch => Self::new(Code::IdempotencyMismatch),
            AttachmentError::Unavailable => Self::new(Code::StorageUnavailable).retry_after(10),
            AttachmentError::Store(cause) => cause.into(),
        }
    }
}

impl From<NeverListed> for ApiError {
    fn from(error: NeverListed) -> Self {
        Self::new(Code::UpstreamUnavailable).retry_after(error.again_in.as_secs())
    }
}

impl SendError {
    /// `seconds` until the next midnight UTC, when prompts and budget return.
    pub(super) fn problem(self, seconds: u64) -> ApiError {
        match self {
            Self::NoSuchRoom => ApiError::new(Code::ChatroomNotFound),
            Self::NoSuchMessage => ApiError::new(Code::MessageNotFound),
            Self::NotAReply => ApiError::new(Code::NotAReply),
            Self::NotAUserMessage => ApiError::new(Code::NotAUserMessage),
            Self::ReplyInProgress => ApiError::new(Code::ReplyInProgress),
            Self::Gone => ApiError::new(Code::MessageNotFound).detail("What this Idempotency-Key made is gone"),
            Self::IdempotencyMismatch => ApiError::new(Code::IdempotencyMismatch),
            Self::PromptLimitReached { prompts } => ApiError::new(Code::PromptLimitReached)
                .detail(format!("All prompts of today are spent; they return at {}", prompts.resets_at))
                .with("prompts", prompts)
                .retry_after(seconds),
            Self::ContextOverflow { estimated, fits } => ApiError::new(Code::ContextOverflow)
                .detail(format!("The message is about {estimated} tokens long, and {fits} fit")),
            Self::UnusableAttachment => ApiError::field(
                "attachments",
                format!(
                    "must be at most {MOST_PER_MESSAGE} files of this chatroom, each once, that no other message has"
                ),
            ),
            Self::AttachmentsTooLarge { bytes, most } => ApiError::new(Code::AttachmentsTooLarge)
                .detail(format!("The attachments are {bytes} bytes together, and {most} go with one question")),
            Self::BudgetExhausted => ApiError::new(Code::BudgetExhausted).retry_after(seconds),
            Self::Store(cause) => cause.into(),
        }
    }
}
