//! What comes back: the end of an answer, why it ended, what it used.

/// A whole answer, text and thoughts apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub text: String,
    pub thoughts: String,
    pub outcome: Outcome,
}

/// How an answer ended. Its text may be empty: a finish reason of [`FinishReason::MaxTokens`] or
/// [`FinishReason::Safety`] can come before the first word.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub finish_reason: FinishReason,
    pub finish_message: Option<String>,
    /// None when the answer was complete but its count never came.
    pub usage: Option<Usage>,
    /// The model that answered, which may differ from the name that was asked.
    pub model_version: Option<String>,
    pub response_id: Option<String>,
}

/// Tokens, as last counted by Gemini.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt: u64,
    pub completion: u64,
    pub thoughts: u64,
    /// The part of `prompt` that was served from Gemini's cache.
    pub cached: u64,
    pub total: u64,
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($case:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        ///
        /// A word that is not known yet means `Other`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($case),+ }

        impl $name {
            /// Gemini's own word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$case => $word),+ }
            }

            /// None for the word that means "not said".
            pub(super) fn read(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$case),)+
                    "" | "FINISH_REASON_UNSPECIFIED" | "BLOCK_REASON_UNSPECIFIED" | "BLOCKED_REASON_UNSPECIFIED" => None,
                    _ => Some(Self::Other),
                }
            }
        }
    };
}

words! {
    /// Why an answer ended.
    FinishReason {
        Stop = "STOP",
        MaxTokens = "MAX_TOKENS",
        Safety = "SAFETY",
        Recitation = "RECITATION",
        Language = "LANGUAGE",
        Blocklist = "BLOCKLIST",
        ProhibitedContent = "PROHIBITED_CONTENT",
        Spii = "SPII",
        MalformedFunctionCall = "MALFORMED_FUNCTION_CALL",
        UnexpectedToolCall = "UNEXPECTED_TOOL_CALL",
        TooManyToolCalls = "TOO_MANY_TOOL_CALLS",
        ImageSafety = "IMAGE_SAFETY",
        Other = "OTHER",
    }
}

words! {
    /// Why a prompt was not answered at all.
    BlockReason {
        Safety = "SAFETY",
        Blocklist = "BLOCKLIST",
        ProhibitedContent = "PROHIBITED_CONTENT",
        ImageSafety = "IMAGE_SAFETY",
        Other = "OTHER",
    }
}

impl From<BlockReason> for FinishReason {
    fn from(reason: BlockReason) -> Self {
        match reason {
            BlockReason::Safety => Self::Safety,
            BlockReason::Blocklist => Self::Blocklist,
            BlockReason::ProhibitedContent => Self::ProhibitedContent,
            BlockReason::ImageSafety => Self::ImageSafety,
            BlockReason::Other => Self::Other,
        }
    }
}
