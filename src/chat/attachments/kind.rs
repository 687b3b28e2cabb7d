//! What a file is, by its first bytes. What its name or its client says of it does not count.

use super::pages;
use super::pixels;

crate::words! {
    /// The files that are taken.
    pub enum Kind {
        Png = "image/png",
        Jpeg = "image/jpeg",
        Webp = "image/webp",
        Gif = "image/gif",
        Pdf = "application/pdf",
    }
}

/// A picture's worth, however small: what Gemini 3 takes for one by default, more than the 258 of those before it.
const TOKENS_OF_A_PICTURE: u64 = 1_120;
/// Of a tile of a picture, by the models that cut pictures into tiles.
const TOKENS_OF_A_TILE: u64 = 258;
/// Of a page of a PDF, by default, more than the 258 of those before; the text in it is not counted.
const TOKENS_OF_A_PAGE: u64 = 560;

impl Kind {
    /// None: it is none of these.
    #[must_use]
    pub fn of(content: &[u8]) -> Option<Self> {
        match content {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'%', b'P', b'D', b'F', b'-', ..] => Some(Self::Pdf),
            _ => None,
        }
    }

    #[must_use]
    pub const fn is_picture(self) -> bool {
        !matches!(self, Self::Pdf)
    }

    /// How many tokens the model takes for it, at most. A picture's size and a PDF's pages are read from the file.
    pub(super) fn tokens(self, content: &[u8]) -> u64 {
        match self {
            Self::Pdf => pages::count(content) * TOKENS_OF_A_PAGE,
            picture => (pixels::tiles(picture, content) * TOKENS_OF_A_TILE).max(TOKENS_OF_A_PICTURE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_it_begins_with() {
        let files: [(&[u8], Option<Kind>); 12] = [
            (b"\x89PNG\r\n\x1a\n....", Some(Kind::Png)),
            (b"\xff\xd8\xff\xe0..JFIF", Some(Kind::Jpeg)),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some(Kind::Webp)),
            (b"GIF89a..", Some(Kind::Gif)),
            (b"GIF87a..", Some(Kind::Gif)),
            (b"%PDF-1.7\n", Some(Kind::Pdf)),
            (b"\x89PNG\n\x1a\n", None),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
            (b"<html>%PDF-1.7", None),
            (b"MZ\x90\0", None),
            (b"", None),
        ];
        for (content, kind) in files {
            assert_eq!(Kind::of(content), kind, "{}", String::from_utf8_lossy(content));
        }
    }

    #[test]
    fn it_costs_by_its_size() {
        let png = |width: u32, height: u32| {
            let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
            file.extend(width.to_be_bytes());
            file.extend(height.to_be_bytes());
            Kind::Png.tokens(&file)
        };
        assert_eq!(png(16, 16), 1_120);
        // As of a phone: 4 by 3 tiles once it is scaled down.
        assert_eq!(png(4032, 3024), 12 * 258);
        assert_eq!(Kind::Pdf.tokens(b"%PDF-1.4 <</Type /Page>> <</Type/Page>> <</Type /Pages>>"), 2 * 560);
    }
}
