//! Ids: UUIDv7, one type for each kind of thing, so that a room's id cannot be passed for a user's.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock::Moment;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, sortable by `now` to the millisecond.
            #[must_use]
            pub fn new(now: Moment) -> Self {
                Self(v7(now))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(out)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::Uuid)))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )+};
}

ids! {
    UserId
    SessionId
    ChatroomId
    /// A message of a person or of the model; a reply's job carries the same id.
    MessageId
    JobId
    /// A running process, as the holder of leases.
    NodeId
    /// A file that a person sent, and the object that holds it.
    AttachmentId
    /// A one-time code.
    CodeId
    /// Something that counts against a number.
    MarkId
    /// An attempt at a checkout.
    CheckoutId
    /// A request whose client gave it no id.
    RequestId
}

impl From<MessageId> for JobId {
    fn from(reply: MessageId) -> Self {
        Self(reply.0)
    }
}

impl JobId {
    /// The id of a job that there is only one of, by its name: the same on every node.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let hash = Sha256::digest(name.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

fn v7(now: Moment) -> Uuid {
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("the system's random numbers are there as long as it runs");
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}
