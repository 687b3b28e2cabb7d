//! How many pages a PDF has, at most: its page objects are counted, those in packed streams of objects too.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Gemini reads no more.
const MOST: u64 = 1_000;
/// Where no page can be seen (in what is encrypted, say) there is one for so many bytes.
const BYTES_OF_A_PAGE: u64 = 4 * 1024;
/// As much is unpacked, in all.
const MOST_UNPACKED: u64 = 32 * 1024 * 1024;
/// So many packed streams are looked into.
const MOST_STREAMS: usize = 4_096;
/// Unpacked at a time; what is longer than the overlap between `/Type` and `/Page` hides a page.
const AT_A_TIME: usize = 64 * 1024;
const OVERLAP: usize = 64;

/// 1 to 1,000. In time that goes with the length of the file, whatever stands in it.
pub(super) fn count(content: &[u8]) -> u64 {
    let (mut pages, mut left, mut is_whole) = (page_objects(content, content.len()), MOST_UNPACKED, true);
    let mut streams = ObjectStreams { rest: content };
    for packed in streams.by_ref().take(MOST_STREAMS) {
        let (found, unpacked, is_read) = unpacked_page_objects(packed, left);
        pages += found;
        left = left.saturating_sub(unpacked);
        is_whole = is_read && left > 0;
        if !is_whole {
            break;
        }
    }
    if pages == 0 || !is_whole || streams.next().is_some() {
        pages = pages.max((content.len() as u64).div_ceil(BYTES_OF_A_PAGE));
    }
    pages.clamp(1, MOST)
}

/// Page objects of what is unpacked, how much that is, at most `most`, and whether it could all be read: what is broken is
/// as much as could be read of it.
fn unpacked_page_objects(packed: &[u8], most: u64) -> (u64, u64, bool) {
    let mut reader = ZlibDecoder::new(packed).take(most);
    let (mut buffer, mut kept) = (vec![0; AT_A_TIME], 0);
    let (mut pages, mut unpacked) = (0, 0);
    loop {
        let read = reader.read(&mut buffer[kept..]);
        let more = read.as_ref().copied().unwrap_or(0);
        let filled = kept + more;
        unpacked += more as u64;
        // What begins in the overlap is counted with what follows.
        let counted = if more == 0 { filled } else { filled.saturating_sub(OVERLAP) };
        pages += page_objects(&buffer[..filled], counted);
        if more == 0 {
            return (pages, unpacked, read.is_ok());
        }
        buffer.copy_within(counted..filled, 0);
        kept = filled - counted;
    }
}

/// `/Type /Page`, and not `/Pages`, that begin before `end`.
fn page_objects(content: &[u8], end: usize) -> u64 {
    let is_page = |at: &usize| {
        let rest = content[*at..].trim_ascii_start();
        rest.strip_prefix(b"/Page").is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
    };
    let begin_before = |at: &usize| at - b"/Type".len() < end;
    ends_of(content, b"/Type").take_while(begin_before).filter(is_page).count() as u64
}

/// What stands between `stream` and `endstream` behind a dictionary that says `/ObjStm`; each byte is gone through once.
struct ObjectStreams<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ObjectStreams<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let at = ends_of(self.rest, b"/ObjStm").next()?;
            self.rest = &self.rest[at..];
            let near = &self.rest[..self.rest.len().min(1024)];
            let Some(begin) = ends_of(near, b"stream").next() else {
                // Not even the next one is any nearer to its stream.
                self.rest = &self.rest[near.len()..];
                continue;
            };
            let packed = &self.rest[begin..];
            let packed = packed.strip_prefix(b"\r\n").or_else(|| packed.strip_prefix(b"\n")).unwrap_or(packed);
            let Some(end) = ends_of(packed, b"endstream").next() else {
                self.rest = &[];
                return Some(packed);
            };
            self.rest = &packed[end..];
            return Some(&packed[..end - b"endstream".len()]);
        }
    }
}

/// Where each of these words ends.
fn ends_of<'a>(content: &'a [u8], word: &'static [u8]) -> impl Iterator<Item = usize> + 'a {
    let found = content.windows(word.len()).enumerate().filter(move |(_, here)| *here == word);
    found.map(move |(at, _)| at + word.len())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::*;

    fn packed(objects: &str) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(objects.as_bytes()).expect("packed");
        let stream = encoder.finish().expect("packed");
        let head = format!("5 0 obj\n<</Type/ObjStm/Filter/FlateDecode/Length {}>>\nstream\r\n", stream.len());
        [head.as_bytes(), &stream, b"\nendstream\nendobj\n"].concat()
    }

    #[test]
    fn pages_are_counted_wherever_they_stand() {
        assert_eq!(count(b"%PDF-1.4\n<</Type/Pages/Kids[]>>\n<</Type /Page>>\n<</Type\r\n/Page/Parent 1 0 R>>"), 2);
        let both = [packed("<</Type/Page/A 1>> <</Type/Pages>> <</Type/Page>>"), packed("<</Type/Page>>")].concat();
        assert_eq!(count(&both), 3);
    }

    #[test]
    fn what_cannot_be_seen_is_taken_for_many() {
        assert_eq!(count(b"%PDF-1.7"), 1);
        assert_eq!(count(&vec![b' '; 10 * 4096]), 10);
        let mut broken = packed(&"<</Type/Page>>".repeat(50));
        broken.truncate(broken.len() - 60);
        broken.resize(broken.len() + 20 * 4096, b' ');
        assert!(count(&broken) >= 20);
        assert_eq!(count("/Type/Page ".repeat(5_000).as_bytes()), MOST);
    }

    #[test]
    fn pages_are_counted_across_pieces_of_what_is_unpacked() {
        for gap in AT_A_TIME - 40..AT_A_TIME + 40 {
            assert_eq!(count(&packed(&format!("{}<</Type /Page>>", " ".repeat(gap)))), 1, "{gap}");
        }
        assert_eq!(count(&packed(&"<</Type/Page/Kind 1>>".repeat(900))), 900);
    }

    #[test]
    fn each_byte_is_gone_through_once() {
        // Were each gone through from its place to the end, this would take days.
        for words in ["/ObjStmstream", "/ObjStm", "/ObjStm stream endstream "] {
            assert!((1..=MOST).contains(&count(words.repeat(200_000).as_bytes())), "{words}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked_to_its_end() {
        let bomb = packed(&" ".repeat(70 * 1024 * 1024));
        assert!(bomb.len() < 200_000 && count(&bomb) >= 1);
    }

    proptest! {
        #[test]
        fn no_file_breaks_it(content in any::<Vec<u8>>(), words in "(/Type|/Page|/ObjStm|stream|endstream|\n| ){0,20}") {
            let file = [words.as_bytes(), &content, words.as_bytes()].concat();
            prop_assert!((1..=MOST).contains(&count(&file)));
        }
    }
}
