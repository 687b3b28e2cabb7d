//! Load: tasks that each repeat something for a while, and two sides measured in turns.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::http::{Connection, Request};

/// Rates of two sides, measured one after the other so often that what disturbs one disturbs the other.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Times a second, the median of the rounds.
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    /// The median of the rounds' own ratios.
    pub(crate) ratio: f64,
}

pub(crate) fn compared(rounds: &[(f64, f64)]) -> Compared {
    Compared {
        ours: median(rounds.iter().map(|round| round.0)),
        theirs: median(rounds.iter().map(|round| round.1)),
        ratio: median(rounds.iter().map(|round| round.0 / round.1)),
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    percentile(values, 50)
}

/// The value that so many of a hundred are not above.
pub(crate) fn percentile(values: impl Iterator<Item = f64>, hundredths: usize) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get((values.len() * hundredths / 100).min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Connections that each send the same request again and again.
#[derive(Debug)]
pub(crate) struct Callers {
    callers: Vec<(Connection, Request)>,
    expected: u16,
}

impl Callers {
    pub(crate) async fn open(
        address: std::net::SocketAddr,
        requests: Vec<Request>,
        expected: u16,
    ) -> anyhow::Result<Self> {
        let mut callers = Vec::with_capacity(requests.len());
        for request in requests {
            callers.push((Connection::open(address).await?, request));
        }
        Ok(Self { callers, expected })
    }

    /// Answers a second over `time`; an error when one is not as expected.
    pub(crate) async fn rate(&mut self, time: Duration) -> anyhow::Result<f64> {
        let expected = self.expected;
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for (mut connection, request) in self.callers.drain(..) {
            tasks.spawn(async move {
                let mut done = 0_u32;
                while began.elapsed() < time {
                    let answer = connection.send(&request).await?;
                    if answer.status != expected {
                        anyhow::bail!("answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
                    }
                    done += 1;
                }
                anyhow::Ok((connection, request, done))
            });
        }
        let mut answers = 0;
        while let Some(ended) = tasks.join_next().await {
            let (connection, request, done) = ended??;
            answers += done;
            self.callers.push((connection, request));
        }
        Ok(f64::from(answers) / began.elapsed().as_secs_f64())
    }
}
