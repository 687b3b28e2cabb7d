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
}

static BASIC_DAILY: Setting =
    Setting::new("BASIC_DAILY_PROMPTS", Preset::Always("5"), "Prompts that Basic gives in a UTC day.");
static PRO_DAILY: Setting =
    Setting::new("PRO_DAILY_PROMPTS", Preset::Unset("no limit"), "Prompts that Pro gives in a UTC day.");
static BASIC_AT_ONCE: Setting =
    Setting::new("BASIC_REPLIES_AT_ONCE", Preset::Always("2"), "Replies written at once for one user of Basic.");
static PRO_AT_ONCE: Setting =
    Setting::new("PRO_REPLIES_AT_ONCE", Preset::Always("5"), "Replies written at once for one user of Pro.");

pub(super) static SETTINGS: [&Setting; 4] = [&BASIC_DAILY, &PRO_DAILY, &BASIC_AT_ONCE, &PRO_AT_ONCE];

pub(super) fn read(reader: &mut Reader<'_>) -> Quota {
    Quota {
        basic_daily_prompts: reader.value(&BASIC_DAILY, parse::number(0..=1_000_000)),
        pro_daily_prompts: reader.optional(&PRO_DAILY, parse::number(0..=1_000_000)),
        basic_replies_at_once: reader.value(&BASIC_AT_ONCE, parse::number(1..=1000)),
        pro_replies_at_once: reader.value(&PRO_AT_ONCE, parse::number(1..=1000)),
    }
}
