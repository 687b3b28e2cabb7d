//! Bytes in, JSON documents out.
//!
//! A stream is server-sent events whose `data` is JSON. But Gemini also breaks off such a stream with a bare JSON
//! error over many lines, and a server that does not know `alt=sse` sends one JSON array: a plain event-stream
//! parser throws both away. Bytes may be cut anywhere, inside a character too, so nothing is text before its line
//! is whole.

use std::collections::VecDeque;

/// No honest frame comes near: a whole answer of 65,536 tokens is about 300 kB.
const LONGEST: usize = 16 * 1024 * 1024;

/// Cuts a stream of bytes into JSON documents.
#[derive(Debug, Default)]
pub(super) struct Frames {
    line: Vec<u8>,
    /// The `data` lines of the event so far.
    data: Option<Vec<u8>>,
    /// A JSON document that stands outside any event.
    bare: Option<Bare>,
    after_cr: bool,
    whole: VecDeque<Vec<u8>>,
}

/// A frame without an end.
#[derive(Debug, PartialEq)]
pub(super) struct TooLong;

impl Frames {
    /// Takes the next bytes in; then ask [`Frames::next`] until it has no more.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        let mut rest = bytes;
        if self.after_cr && rest.first() == Some(&b'\n') {
            rest = &rest[1..];
        }
        self.after_cr = self.after_cr && bytes.is_empty();
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.extend_from_slice(&rest[..at]);
            self.end_line();
            let is_cr = rest[at] == b'\r';
            rest = &rest[at + 1..];
            if is_cr {
                match rest.first() {
                    Some(b'\n') => rest = &rest[1..],
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
        }
        self.line.extend_from_slice(rest);
        let held = self.line.len()
            + self.data.as_ref().map_or(0, Vec::len)
            + self.bare.as_ref().map_or(0, |bare| bare.text.len());
        if held > LONGEST { Err(TooLong) } else { Ok(()) }
    }

    /// The bytes are over: a last event without its blank line counts too.
    pub(super) fn end(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_event();
        if let Some(bare) = self.bare.take() {
            self.whole.push_back(bare.text);
        }
    }

    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        self.whole.pop_front()
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if let Some(bare) = &mut self.bare {
            if bare.push(&line) {
                self.whole.extend(self.bare.take().map(|bare| bare.text));
            }
        } else if line.is_empty() {
            self.end_event();
        } else if let Some(value) = data_of(&line) {
            if let Some(data) = &mut self.data {
                data.push(b'\n');
                data.extend_from_slice(value);
            } else {
                self.data = Some(value.to_vec());
            }
        } else if matches!(line.trim_ascii_start().first(), Some(b'{' | b'[')) {
            self.end_event();
            let mut bare = Bare::default();
            if bare.push(&line) {
                self.whole.push_back(bare.text);
            } else {
                self.bare = Some(bare);
            }
        }
        // What is left are comments and other fields: `: ping`, `event:`, `id:`, `retry:`.
    }

    fn end_event(&mut self) {
        // Other servers of this protocol end with OpenAI's `[DONE]`.
        self.whole
            .extend(self.data.take().filter(|data| !data.trim_ascii().is_empty() && data.trim_ascii() != b"[DONE]"));
    }
}

/// The value of a line `data: value`; one space after the colon does not belong to it.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(b""),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// A JSON document over several lines. Brackets outside strings tell when it is whole.
#[derive(Debug, Default)]
struct Bare {
    text: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Bare {
    /// Takes in one more line; true when the document is whole with it.
    fn push(&mut self, line: &[u8]) -> bool {
        for byte in line {
            match (self.in_string, byte) {
                (true, _) if self.escaped => self.escaped = false,
                (true, b'\\') => self.escaped = true,
                (_, b'"') => self.in_string = !self.in_string,
                (false, b'{' | b'[') => self.depth += 1,
                (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
        self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut_at(bytes: &[u8], cuts: &[usize]) -> Vec<String> {
        let mut frames = Frames::default();
        let mut from = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            frames.feed(&bytes[from..cut]).expect("short enough");
            from = cut;
        }
        frames.end();
        std::iter::from_fn(|| frames.next()).map(|frame| String::from_utf8(frame).expect("whole characters")).collect()
    }

    /// `(what is on the wire, the documents in it)`
    fn samples() -> Vec<(&'static str, Vec<&'static str>)> {
        vec![
            ("data: {\"a\":\"é नमस्ते 👩‍👩‍👧\"}\n\ndata: {}\n\n", vec!["{\"a\":\"é नमस्ते 👩‍👩‍👧\"}", "{}"]),
            ("data: {\"a\":1}\r\n\r\ndata:{\"b\":2}\r\n\r\n", vec!["{\"a\":1}", "{\"b\":2}"]),
            ("data: 1\r\rdata: 2\r\r", vec!["1", "2"]),
            (": ping\n\nevent: x\nid: 7\nretry: 5\ndata: {\"a\":\ndata: 1}\n\n", vec!["{\"a\":\n1}"]),
            ("data: {\"last\":\"without blank line\"}", vec!["{\"last\":\"without blank line\"}"]),
            ("data\n\ndata: \n\n\n\ndata: {}\n\ndata: [DONE]\n\n", vec!["{}"]),
            (
                "data: {}\r\n\r\n{\r\n  \"error\": {\r\n    \"message\": \"a } b \\\" {\"\r\n\r\n  }\r\n}\r\n",
                vec!["{}", "{\n  \"error\": {\n    \"message\": \"a } b \\\" {\"\n\n  }\n}\n"],
            ),
            ("data: {}\n{\"error\":{}}\ndata: {\"x\":1}\n\n", vec!["{}", "{\"error\":{}}\n", "{\"x\":1}"]),
            ("{\"a\":\n\" \\\" {\"}\ndata: 1\n\n", vec!["{\"a\":\n\" \\\" {\"}\n", "1"]),
            ("[{\"a\":1}\n,\r\n{\"b\":2}\n]", vec!["[{\"a\":1}\n,\n{\"b\":2}\n]\n"]),
            ("[{\"a\":1}\n,\n{\"b\":", vec!["[{\"a\":1}\n,\n{\"b\":\n"]),
        ]
    }

    #[test]
    fn a_stream_cut_at_any_byte_is_the_same_stream() {
        for (wire, expected) in samples() {
            for cut in 0..=wire.len() {
                assert_eq!(cut_at(wire.as_bytes(), &[cut]), expected, "{wire:?} cut at {cut}");
            }
            let every: Vec<usize> = (1..wire.len()).collect();
            assert_eq!(cut_at(wire.as_bytes(), &every), expected, "{wire:?} byte by byte");
        }
    }

    #[test]
    fn a_frame_without_an_end_is_refused() {
        let mut frames = Frames::default();
        let piece = vec![b'x'; 1 << 20];
        let taken = (0..17).map(|_| frames.feed(&piece)).find(Result::is_err);
        assert_eq!(taken, Some(Err(TooLong)));
    }

    proptest! {
        #[test]
        fn any_documents_come_out_as_they_went_in(
            texts in prop::collection::vec(any::<String>(), 0..6),
            ends in prop::collection::vec(0..3_usize, 6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let documents: Vec<String> = texts.iter().map(|text| serde_json::json!({"t": text}).to_string()).collect();
            let mut wire = Vec::new();
            for (document, end) in documents.iter().zip(&ends) {
                let end = ["\n", "\r\n", "\r"][*end];
                wire.extend_from_slice(format!("data: {document}{end}{end}").as_bytes());
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
            cuts.sort_unstable();
            prop_assert_eq!(cut_at(&wire, &cuts), documents);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
            let mut frames = Frames::default();
            let cut = cut.index(bytes.len() + 1);
            prop_assert!(frames.feed(&bytes[..cut]).is_ok() && frames.feed(&bytes[cut..]).is_ok());
            frames.end();
            while frames.next().is_some() {}
        }
    }
}
