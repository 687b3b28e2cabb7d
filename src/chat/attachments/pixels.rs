//! How large a picture is, read from its head, and into how many tiles a model cuts it.
//!
//! By Google's page on what files cost: larger ones are scaled into 3072 by 3072, then cut into squares of two thirds of
//! the shorter side, of 256 pixels at least and 768 at most.

use super::Kind;

const LARGEST_SIDE: u64 = 3_072;
/// The most that any picture comes to: the largest side in the smallest squares, two rows of them.
const MOST_TILES: u64 = 24;

/// At most so many.
pub(super) fn tiles(kind: Kind, content: &[u8]) -> u64 {
    match size(kind, content) {
        Some((width, height)) if width > 0 && height > 0 => tiles_of(u64::from(width), u64::from(height)),
        _ => MOST_TILES,
    }
}

fn tiles_of(width: u64, height: u64) -> u64 {
    let longest = width.max(height);
    let scaled = |side: u64| if longest > LARGEST_SIDE { (side * LARGEST_SIDE).div_ceil(longest) } else { side };
    let (width, height) = (scaled(width), scaled(height));
    if width <= 384 && height <= 384 {
        return 1;
    }
    let square = (width.min(height) * 2 / 3).clamp(256, 768);
    (width.div_ceil(square) * height.div_ceil(square)).min(MOST_TILES)
}

/// Width and height, as far as the head can be read.
fn size(kind: Kind, content: &[u8]) -> Option<(u32, u32)> {
    match kind {
        Kind::Png => Some((be32(content, 16)?, be32(content, 20)?)),
        Kind::Gif => Some((le16(content, 6)?, le16(content, 8)?)),
        Kind::Webp => webp(content),
        Kind::Jpeg => jpeg(content),
        Kind::Pdf => None,
    }
}

fn webp(content: &[u8]) -> Option<(u32, u32)> {
    match content.get(12..16)? {
        b"VP8 " => Some((le16(content, 26)? & 0x3fff, le16(content, 28)? & 0x3fff)),
        b"VP8L" => {
            let bits = le16(content, 21)? | le16(content, 23)? << 16;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => {
            let side = |at| Some((le16(content, at)? | u32::from(*content.get(at + 2)?) << 16) + 1);
            Some((side(24)?, side(27)?))
        }
        _ => None,
    }
}

/// The first frame's head, behind segments that say their own length.
fn jpeg(content: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if *content.get(at)? != 0xff {
            return None;
        }
        match *content.get(at + 1)? {
            // Filling.
            0xff => at += 1,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((be16(content, at + 7)?, be16(content, at + 5)?));
            }
            // Those without anything in them.
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => at += 2 + usize::try_from(be16(content, at + 2)?).ok()?,
        }
    }
}

fn be16(content: &[u8], at: usize) -> Option<u32> {
    let bytes = content.get(at..at + 2)?;
    Some(u32::from(bytes[0]) << 8 | u32::from(bytes[1]))
}

fn le16(content: &[u8], at: usize) -> Option<u32> {
    let bytes = content.get(at..at + 2)?;
    Some(u32::from(bytes[1]) << 8 | u32::from(bytes[0]))
}

fn be32(content: &[u8], at: usize) -> Option<u32> {
    Some(be16(content, at)? << 16 | be16(content, at + 2)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_size_stands_in_the_head() {
        let gif = b"GIF89a\x0a\0\x14\0";
        assert_eq!(size(Kind::Gif, gif), Some((10, 20)));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04xx\xff\xff\xc2\0\x0b\x08\x01\x02\x03\x04";
        assert_eq!(size(Kind::Jpeg, jpeg), Some((0x304, 0x102)));
        let webp = |chunk: &[u8; 4], rest: &[u8]| [&b"RIFF\0\0\0\0WEBP"[..], chunk, &[0; 4], rest].concat();
        assert_eq!(size(Kind::Webp, &webp(b"VP8X", b"\0\0\0\0\x0f\x27\0\x09\0\0")), Some((10_000, 10)));
        assert_eq!(size(Kind::Webp, &webp(b"VP8L", b"\x2f\x09\xc0\x04\0")), Some((10, 20)));
        assert_eq!(size(Kind::Webp, &webp(b"VP8 ", b"xxx\x9d\x01\x2a\x0a\0\x14\0")), Some((10, 20)));
    }

    #[test]
    fn tiles_are_those_of_googles_page() {
        for ((width, height), tiles) in [
            ((1, 1), 1),
            ((384, 384), 1),
            ((385, 385), 4),
            ((960, 540), 6),
            ((3072, 3072), 16),
            ((60_000, 60_000), 16),
            ((3072, 300), 24),
            ((100_000, 1), 12),
        ] {
            assert_eq!(tiles_of(width, height), tiles, "{width} by {height}");
        }
    }

    proptest! {
        #[test]
        fn no_file_costs_nothing_or_breaks(content in any::<Vec<u8>>(), kind in 0..4_usize) {
            let kind = [Kind::Png, Kind::Jpeg, Kind::Webp, Kind::Gif][kind];
            let head: &[u8] = [&b"\x89PNG"[..], b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X", b"GIF89a"][kind as usize];
            prop_assert!((1..=MOST_TILES).contains(&tiles(kind, &[head, &content].concat())));
        }
    }
}
