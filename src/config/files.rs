//! Attachments: where the files of people lie, and how many may wait for their message.

use std::path::PathBuf;

use secrecy::SecretString;

use super::parse::{self, Parsed};
use super::reader::Reader;
use super::setting::{Preset, Setting};

#[derive(Clone, Debug)]
pub struct Files {
    pub place: FilesPlace,
    pub s3: S3,
    /// Of one person.
    pub most_unused: u32,
    /// That files may take of a process's memory on their way in, and as much again on their way to Gemini.
    pub memory: u64,
}

/// What `OBJECT_STORE_URL` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilesPlace {
    /// `attachments` in the data folder: this machine's own.
    Beside,
    /// A folder that somebody named, of this machine or shared with others.
    Folder(PathBuf),
    /// A bucket, and what stands before each name in it, without slashes at its ends.
    Bucket { bucket: String, prefix: String },
}

/// How the server of a bucket is reached.
#[derive(Clone, Debug)]
pub struct S3 {
    /// None: Amazon's.
    pub endpoint: Option<url::Url>,
    pub region: String,
    /// None: the machine's own role.
    pub keys: Option<(String, SecretString)>,
    pub session_token: Option<SecretString>,
}

static URL: Setting = Setting::new(
    "OBJECT_STORE_URL",
    Preset::Unset("the folder attachments in the data folder"),
    "Where attachments lie: a folder, or s3://bucket/prefix. More than one machine needs a place that they share.",
);
static ENDPOINT: Setting = Setting::new(
    "AWS_ENDPOINT_URL",
    Preset::Unset("Amazon's, by the region"),
    "Another server that speaks S3, such as MinIO or R2; buckets are taken as part of the path.",
)
.or(&["AWS_ENDPOINT"])
.address();
static REGION: Setting =
    Setting::new("AWS_REGION", Preset::Always("us-east-1"), "The bucket's region.").or(&["AWS_DEFAULT_REGION"]);
static KEY_ID: Setting = Setting::new(
    "AWS_ACCESS_KEY_ID",
    Preset::Unset("none: the role of the machine (EC2) is asked for"),
    "Who asks for the bucket.",
);
static SECRET: Setting =
    Setting::new("AWS_SECRET_ACCESS_KEY", Preset::Unset("none"), "The secret of AWS_ACCESS_KEY_ID.").secret();
static TOKEN: Setting =
    Setting::new("AWS_SESSION_TOKEN", Preset::Unset("none"), "What goes with keys that pass.").secret();
static MOST_UNUSED: Setting = Setting::new(
    "MAX_UNUSED_ATTACHMENTS",
    Preset::Always("20"),
    "Uploaded files of one user that no message carries yet, at most.",
);
static MEMORY: Setting = Setting::new(
    "ATTACHMENT_MEMORY_MB",
    Preset::Always("256"),
    "MiB that files may take of a process's memory while they come in, a quarter of it for one user, and as much again \
     while they go to Gemini.",
);

pub(super) static SETTINGS: [&Setting; 8] = [&URL, &ENDPOINT, &REGION, &KEY_ID, &SECRET, &TOKEN, &MOST_UNUSED, &MEMORY];

pub(super) fn read(reader: &mut Reader<'_>) -> Files {
    let place = reader.optional(&URL, place).unwrap_or(FilesPlace::Beside);
    let endpoint = reader.optional(&ENDPOINT, parse::web_address);
    let region = reader.value(&REGION, parse::text);
    let (id, secret) = (reader.optional(&KEY_ID, parse::text), reader.optional(&SECRET, parse::text));
    let session_token = reader.optional(&TOKEN, parse::text).map(SecretString::from);
    let is_bucket = matches!(place, FilesPlace::Bucket { .. });
    if is_bucket && id.is_some() != secret.is_some() {
        let (there, missing) = if id.is_some() { (&KEY_ID, &SECRET) } else { (&SECRET, &KEY_ID) };
        reader.problem(missing.name, format!("is missing: {} is of no use without it", there.name));
    }
    let keys = id.zip(secret).map(|(id, secret)| (id, secret.into()));
    let mebibytes: u64 = reader.value(&MEMORY, parse::number(1..=1_000_000));
    Files {
        place,
        s3: S3 { endpoint, region, keys, session_token },
        most_unused: reader.value(&MOST_UNUSED, parse::number(1..=10_000)),
        memory: mebibytes * 1024 * 1024,
    }
}

fn place(value: &str) -> Parsed<FilesPlace> {
    let wrong = "is neither a folder nor s3://bucket/prefix";
    let Some((scheme, rest)) = value.split_once("://") else {
        return Ok(FilesPlace::Folder(value.into()));
    };
    match scheme {
        "file" if rest.starts_with('/') => Ok(FilesPlace::Folder(rest.into())),
        "s3" => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
            let is_sane = (3..=63).contains(&bucket.len()) && bucket.bytes().all(fits);
            let prefix = prefix.trim_matches('/');
            let is_path =
                !prefix.contains(['?', '#', '\\']) && prefix.split('/').all(|part| part != ".." && part != ".");
            if is_sane && is_path && !prefix.contains("//") {
                Ok(FilesPlace::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            } else {
                Err(wrong.to_owned())
            }
        }
        _ => Err(wrong.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let bucket = |bucket: &str, prefix: &str| FilesPlace::Bucket { bucket: bucket.into(), prefix: prefix.into() };
        for (given, meant) in [
            ("/srv/files", FilesPlace::Folder("/srv/files".into())),
            ("files", FilesPlace::Folder("files".into())),
            ("file:///srv/files", FilesPlace::Folder("/srv/files".into())),
            ("s3://chat-files", bucket("chat-files", "")),
            ("s3://chat-files/", bucket("chat-files", "")),
            ("s3://chat-files/a/b/", bucket("chat-files", "a/b")),
        ] {
            assert_eq!(place(given), Ok(meant), "{given}");
        }
        for wrong in
            ["s3://", "s3://a", "s3://Bucket", "s3://bucket/../x", "s3://bucket/a?b", "gs://bucket", "file://x"]
        {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
