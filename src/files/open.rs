//! From the settings to the place where files lie.

use std::io;
use std::path::Path as Folder;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, RetryConfig};
use secrecy::ExposeSecret;

use super::{Files, Memory};
use crate::config::{self, FilesPlace, Settings};

/// A download is as slow as whoever takes it; what only begins is bounded by the door.
const LONGEST_DOWNLOAD: Duration = Duration::from_mins(30);
const CONNECT_TIME: Duration = Duration::from_secs(5);
const MOST_RETRIES: usize = 3;
const RETRY_TIME: Duration = Duration::from_secs(15);

/// Settings that no place can be made from.
#[derive(Debug, thiserror::Error)]
#[error("OBJECT_STORE_URL: {0}")]
pub struct Unusable(String);

impl Files {
    /// Opens nothing: a folder is made with the first file.
    pub fn new(settings: &Settings) -> Result<Self, Unusable> {
        let files = &settings.files;
        let (incoming, outgoing) = (Memory::of(files.memory), Memory::of(files.memory));
        let folder = match &files.place {
            FilesPlace::Beside => settings.database.folder().join("attachments"),
            FilesPlace::Folder(folder) => folder.clone(),
            FilesPlace::Bucket { bucket, prefix } => {
                let store = Arc::new(s3(bucket, &files.s3).map_err(|cause| Unusable(cause.to_string()))?);
                let place = format!("the bucket {bucket}");
                return Ok(Self {
                    store,
                    prefix: Path::from(prefix.as_str()),
                    folder: None,
                    place,
                    incoming,
                    outgoing,
                });
            }
        };
        let folder = std::path::absolute(folder).map_err(|cause| Unusable(cause.to_string()))?;
        let prefix = Path::from_absolute_path(&folder).map_err(|cause| Unusable(cause.to_string()))?;
        let store = Arc::new(LocalFileSystem::new().with_fsync(true));
        let place = format!("the folder {}", folder.display());
        Ok(Self { store, prefix, folder: Some(folder), place, incoming, outgoing })
    }
}

fn s3(bucket: &str, settings: &config::S3) -> object_store::Result<AmazonS3> {
    let is_plain = settings.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http");
    let client = ClientOptions::new()
        .with_allow_http(is_plain)
        .with_connect_timeout(CONNECT_TIME)
        .with_timeout(LONGEST_DOWNLOAD);
    let retry = RetryConfig { max_retries: MOST_RETRIES, retry_timeout: RETRY_TIME, ..RetryConfig::default() };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&settings.region)
        // The one way to delete that everything that speaks S3 knows.
        .with_disable_bulk_delete(true)
        .with_client_options(client)
        .with_retry(retry);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    if let Some((id, secret)) = &settings.keys {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose_secret());
    }
    if let Some(token) = &settings.session_token {
        builder = builder.with_token(token.expose_secret());
    }
    builder.build()
}

/// Makes a folder that only its owner looks into. Those above it are as the system makes them.
pub(super) fn make_private(folder: &Folder) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above)?;
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        // Somebody else was quicker.
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

pub(super) fn of_folder(cause: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "folder", source: Box::new(cause) }
}
