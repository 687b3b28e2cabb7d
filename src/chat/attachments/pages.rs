//! How many pages a PDF has, at most: its page objects are counted, those in packed streams of objects too.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Gemini reads no more.
const MOST: u64 = 1_000;
/// Where no page can be seen (in what is encrypted, say) there is one for so many bytes.
const BYTES_OF_A_PAGE: u64 = 4 * 1024;
/// As much is unpacked, in all.
const MOST_UNPACKED: u64 = 64 * 1024 * 1024;

/// 1 to 1,000.
pub(super) fn count(content: &[u8]) -> u64 {
    let (mut pages, mut left, mut is_whole) = (page_objects(content), MOST_UNPACKED, true);
    for packed in object_streams(content) {
        let mut unpacked = Vec::new();
        // What is broken is as much as could be read of it.
        is_whole &= ZlibDecoder::new(packed).take(left).read_to_end(&mut unpacked).is_ok();
        left = left.saturating_sub(unpacked.len() as u64);
        pages += page_objects(&unpacked);
    }
    if pages == 0 || !is_whole || left == 0 {
        pages = pages.max((content.len() as u64).div_ceil(BYTES_OF_A_PAGE));
    }
    pages.clamp(1, MOST)
}

/// `/Type /Page`, and not `/Pages`.
fn page_objects(content: &[u8]) -> u64 {
    let is_page = |at: usize| {
        let rest = content[at..].trim_ascii_start();
        rest.strip_prefix(b"/Page").is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
    };
    ends_of(content, b"/Type").filter(|at| is_page(*at)).count() as u64
}

/// What stands between `stream` and `endstream` behind a dictionary that says `/ObjStm`.
fn object_streams(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    ends_of(content, b"/ObjStm").filter_map(|at| {
        let rest = &content[at..];
        let begin = ends_of(&rest[..rest.len().min(1024)], b"stream").next()?;
        let packed = &rest[begin..];
        let packed = packed.strip_prefix(b"\r\n").or_else(|| packed.strip_prefix(b"\n")).unwrap_or(packed);
        let end = ends_of(packed, b"endstream").next().map_or(packed.len(), |end| end - b"endstream".len());
        Some(&packed[..end])
    })
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
