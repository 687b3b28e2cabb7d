//! Twilio's test numbers: what each brings about, as its page "Test credentials" says.

use super::script::Fault;

/// What a message from this sender to this number is refused with, if it is.
pub(super) fn refusal(from: &str, to: &str) -> Option<Fault> {
    let (code, message) = match (from, to) {
        ("+15005550001", _) => (21212, format!("The 'From' number {from} is not a valid phone number.")),
        ("+15005550007", _) => (21606, format!("The 'From' number {from} is not owned by this account.")),
        ("+15005550008", _) => (21611, format!("The 'From' number {from} has exceeded its queue's length.")),
        (_, "+15005550001") => (21211, format!("The 'To' number {to} is not a valid phone number.")),
        (_, "+15005550002") => (21612, format!("The 'To' number {to} cannot be reached.")),
        (_, "+15005550003") => (21408, format!("The account may not send to the region of {to}.")),
        (_, "+15005550004") => (21610, "Attempt to send to unsubscribed recipient".to_owned()),
        (_, "+15005550009") => (21614, format!("The 'To' number {to} is not a mobile number.")),
        _ => return None,
    };
    Some(Fault::of(400, code).message(message))
}
