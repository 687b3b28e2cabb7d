//! What the plans give.

use super::parse;
use super::reader::Reader;
use super::setting::{Preset, Setting};

#[derive(Clone, Debug)]
pub struct Quota {
    pub basic_daily_prompts: u32,
    /// None: without limit.
    pub pro_daily_prompts: Option<u32>,
    pub basic_replies_at_once: u32,
    pub pro_replies_at_once: u32,
    /// The largest file, in bytes.
    pub basic_attachment_bytes: u64,
    pub pro_attachment_bytes: u64,
}

/// Gemini takes 100 MB in one request, of which base64 makes four bytes for three.
pub(super) const LARGEST_FILE: u64 = 70 * 1024 * 1024;

static BASIC_DAILY: Setting =
    Setting::new("BASIC_DAILY_PROMPTS", Preset::Always("5"), "Prompts that Basic gives in a UTC day.");
static PRO_DAILY: Setting =
    Setting::new("PRO_DAILY_PROMPTS", Preset::Unset("no limit"), "Prompts that Pro gives in a UTC day.");
static BASIC_AT_ONCE: Setting =
    Setting::new("BASIC_REPLIES_AT_ONCE", Preset::Always("2"), "Replies written at once for one user of Basic.");
static PRO_AT_ONCE: Setting =
    Setting::new("PRO_REPLIES_AT_ONCE", Preset::Always("5"), "Replies written at once for one user of Pro.");
static BASIC_FILE: Setting = Setting::new(
    "BASIC_ATTACHMENT_BYTES",
    Preset::Always("15728640"),
    "The largest file that a user of Basic may attach, in bytes (15 MiB).",
);
static PRO_FILE: Setting = Setting::new(
    "PRO_ATTACHMENT_BYTES",
    Preset::Always("15728640"),
    "The largest file that a user of Pro may attach, in bytes (15 MiB).",
);

pub(super) static SETTINGS: [&Setting; 6] =
    [&BASIC_DAILY, &PRO_DAILY, &BASIC_AT_ONCE, &PRO_AT_ONCE, &BASIC_FILE, &PRO_FILE];

pub(super) fn read(reader: &mut Reader<'_>) -> Quota {
    Quota {
        basic_daily_prompts: reader.value(&BASIC_DAILY, parse::number(0..=1_000_000)),
        pro_daily_prompts: reader.optional(&PRO_DAILY, parse::number(0..=1_000_000)),
        basic_replies_at_once: reader.value(&BASIC_AT_ONCE, parse::number(1..=1000)),
        pro_replies_at_once: reader.value(&PRO_AT_ONCE, parse::number(1..=1000)),
        basic_attachment_bytes: reader.value(&BASIC_FILE, parse::number(1..=LARGEST_FILE)),
        pro_attachment_bytes: reader.value(&PRO_FILE, parse::number(1..=LARGEST_FILE)),
    }
}
