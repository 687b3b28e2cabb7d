//! Spans of requests and replies for a collector of OpenTelemetry, when the settings name one; else nothing happens.
//!
//! A span is recorded when it is over, and goes out in batches from a thread of its own: a collector that is slow or down
//! keeps nobody waiting. It says what an operator needs to find slowness, and nothing of what people write.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, UNIX_EPOCH};

use opentelemetry::trace::{Span, SpanBuilder, Tracer, TracerProvider};
use opentelemetry::{KeyValue, Value};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use url::Url;

use crate::clock::Moment;

pub use opentelemetry::trace::{SpanKind, Status};

const SERVICE: &str = "gemini-backend";
/// How long one batch may take.
const SEND: Duration = Duration::from_secs(3);

/// Where spans go, or nowhere.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

/// What is recorded of something that is over.
#[derive(Debug)]
pub struct Record<const N: usize> {
    pub name: String,
    pub kind: SpanKind,
    pub status: Status,
    pub facts: [(&'static str, Value); N],
}

impl Traces {
    /// To the collector at `endpoint`, by OTLP over HTTP; without one, nowhere.
    ///
    /// # Errors
    /// When no client can be made for that address.
    pub fn to(endpoint: Option<&Url>) -> Result<Self, ExporterBuildError> {
        let Some(endpoint) = endpoint else { return Ok(Self(None)) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')))
            .with_timeout(SEND)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder_empty().with_service_name(SERVICE).build())
            .with_batch_exporter(Reporting { exporter, is_down: AtomicBool::new(false) });
        Ok(Self(Some(provider.build())))
    }

    /// Records what is over now and began at `at`, when the monotonic clock stood at `since`. `record` is asked only if
    /// somebody wants to know.
    pub fn record<const N: usize>(&self, at: Moment, since: Instant, record: impl FnOnce() -> Record<N>) {
        let Some(provider) = &self.0 else { return };
        let Record { name, kind, status, facts } = record();
        let start = UNIX_EPOCH + Duration::from_millis(u64::try_from(at.millis()).unwrap_or(0));
        let facts = facts.into_iter().map(|(name, value)| KeyValue::new(name, value));
        let span = SpanBuilder::from_name(name).with_kind(kind).with_start_time(start).with_attributes(facts);
        let mut span = provider.tracer(SERVICE).build(span);
        span.set_status(status);
        span.end_with_timestamp(start + since.elapsed());
    }

    /// Sends what is left, for as long as `most` and no longer. Blocks.
    pub fn end(&self, most: Duration) {
        if let Some(provider) = &self.0
            && let Err(cause) = provider.shutdown_with_timeout(most)
        {
            tracing::warn!(%cause, "the last traces may not have been sent");
        }
    }
}

/// Says in the log when the collector stops answering, and when it answers again.
#[derive(Debug)]
struct Reporting {
    exporter: SpanExporter,
    is_down: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        let was_down = self.is_down.swap(sent.is_err(), Relaxed);
        match &sent {
            Err(cause) if !was_down => tracing::warn!(%cause, "traces are lost: the collector does not take them"),
            Ok(()) if was_down => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, most: Duration) -> Result<(), OTelSdkError> {
        self.exporter.shutdown_with_timeout(most)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
