//! A running service: a server on a port of its own, a database of its own, a clock that stands still.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gemini_backend::app::App;
use gemini_backend::clock::{Clock, Moment};
use gemini_backend::config::{FilesPlace, Settings};
use gemini_backend::gemini::{Client, Timeouts};
use gemini_backend::ids::{SessionId, UserId};
use gemini_backend::sandbox::gemini::{Ended, Entry, Options, Running, start as start_gemini};
use gemini_backend::sandbox::stripe;
use gemini_backend::{execute, fetch_one, jobs, serve, store, transaction, worker};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answer::Call;
use super::database::Database;
use super::person::Person;

/// 2026-11-21T10:00:00Z, in the middle of a day.
pub(crate) const START: Moment = Moment::from_millis(1_795_255_200_000);
/// Longer than anything should take, shorter than a person's patience.
const PATIENCE: Duration = Duration::from_secs(30);

/// One process of the service, and what it stands on.
#[derive(Debug)]
pub(crate) struct TestApp {
    pub(crate) app: Arc<App>,
    pub(crate) clock: Clock,
    pub(crate) address: SocketAddr,
    /// What answers instead of Gemini, at once unless it is told otherwise.
    pub(crate) gemini: Running,
    /// What sells instead of Stripe, by the same clock; only with [`TestApp::selling`].
    shop: Option<stripe::Running>,
    client: reqwest::Client,
    ground: Arc<Ground>,
    may_leave_jobs: bool,
}

/// What the Stripe sandbox signs its webhooks with.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_of_the_tests";

/// A price of the Stripe sandbox that is due once a year.
pub(crate) const YEARLY: &str = "price_sandbox_yearly";

/// What several processes of a test share.
#[derive(Debug)]
struct Ground {
    database: Database,
    files: TempDir,
    _sandboxes: DropGuard,
}

impl TestApp {
    /// A service with the settings of a laptop.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A service with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let app = Self::idle(change).await;
        app.work();
        app
    }

    /// A service whose worker does nothing until [`TestApp::work`].
    pub(crate) async fn idle(change: impl FnOnce(&mut Settings)) -> Self {
        Self::begin(None, Clock::held(START), false, change).await
    }

    /// A service that sells Pro through a Stripe of its own, whose webhooks reach it.
    pub(crate) async fn selling() -> Self {
        Self::selling_with(|_| {}).await
    }

    pub(crate) async fn selling_with(change: impl FnOnce(&mut Settings)) -> Self {
        let app = Self::selling_idle(change).await;
        app.work();
        app
    }

    /// The same, whose worker does nothing until [`TestApp::work`].
    pub(crate) async fn selling_idle(change: impl FnOnce(&mut Settings)) -> Self {
        let mut app = Self::begin(None, Clock::held(START), true, change).await;
        // A checkout is watched for as long as it may be open.
        app.may_leave_jobs();
        app
    }

    /// A service whose clock follows a database that has not told it the time yet.
    pub(crate) async fn unsure(change: impl FnOnce(&mut Settings)) -> Self {
        let app = Self::begin(None, Clock::of_database(), false, change).await;
        app.work();
        app
    }

    /// A service that waits for Gemini as long as this and no longer.
    pub(crate) async fn as_patient_as(timeouts: Timeouts) -> Self {
        let app = Self::begin(Some(timeouts), Clock::held(START), false, |_| {}).await;
        app.work();
        app
    }

    async fn begin(timeouts: Option<Timeouts>, clock: Clock, sells: bool, change: impl FnOnce(&mut Settings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let stop = CancellationToken::new();
        let options = Options { require_key: false, ..Options::default() };
        let gemini = start_gemini(([127, 0, 0, 1], 0).into(), options, stop.clone()).await.expect("a free port");
        let mut settings = Settings::development();
        let seller = if sells { Some(open_shop(&mut settings, &listener, &clock, &stop).await) } else { None };
        let files = tempfile::tempdir().expect("a temporary folder");
        settings.files.place = FilesPlace::Folder(files.path().join("attachments"));
        let ground = Ground { database: Database::create().await, files, _sandboxes: stop.drop_guard() };
        ground.database.url().clone_into(&mut settings.database.url);
        settings.database.max_connections = 8;
        settings.gemini.base_url = Some(gemini.base_url());
        // The clock stands still, so that what is spent of a throttle would never come back.
        settings.server.requests_per_minute = 1_000_000;
        // Else every room without a name would ask something that a test did not mean.
        settings.gemini.chatroom_titles = false;
        change(&mut settings);
        let mut app = Self::open(settings, clock, gemini, Arc::new(ground), timeouts, listener).await;
        app.shop = seller;
        app
    }

    async fn open(
        settings: Settings,
        clock: Clock,
        gemini: Running,
        ground: Arc<Ground>,
        timeouts: Option<Timeouts>,
        listener: TcpListener,
    ) -> Self {
        let store = store::connect(&settings.database.url, settings.database.max_connections).await;
        let store = store.expect("the test's database opens");
        store::migrate(&store).await.expect("the schema is made");
        let mut app = App::new(settings, store, clock.clone()).expect("the settings are good");
        if let Some(timeouts) = timeouts {
            let patient = Client::with_timeouts(&app.settings.gemini, timeouts).expect("the sandbox has an address");
            Arc::get_mut(&mut app).expect("nobody else has it yet").gemini = patient;
        }
        let address = listener.local_addr().expect("a bound listener");
        app.tasks.spawn(serve::serve(app.clone(), listener));
        let client =
            reqwest::Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        let client = client.build().expect("a client without anything special");
        Self { app, clock, address, gemini, shop: None, client, ground, may_leave_jobs: false }
    }

    /// Another process with the same settings on the same database, with a clock of its own that begins at the same
    /// time. Its worker does nothing until [`TestApp::work`].
    pub(crate) async fn beside(&self) -> Self {
        let (settings, clock) = (self.app.settings.clone(), Clock::held(self.clock.now()));
        self.another(settings, clock).await
    }

    /// Begins to work on jobs.
    pub(crate) fn work(&self) {
        self.app.tasks.spawn(worker::run(self.app.clone(), worker::IDLE));
    }

    /// Ends this process as SIGTERM does, and returns when all of it is over.
    pub(crate) async fn stop(&self) {
        self.app.stop.cancel();
        self.app.tasks.close();
        within_patience("the process ends", self.app.tasks.wait()).await;
    }

    /// Another process on the same database, by the same clock, with other settings; it works on nothing.
    pub(crate) async fn reset(&self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.app.settings.clone();
        change(&mut settings);
        self.another(settings, self.clock.clone()).await
    }

    async fn another(&self, settings: Settings, clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut app = Self::open(settings, clock, self.gemini.clone(), self.ground.clone(), None, listener).await;
        app.shop.clone_from(&self.shop);
        app
    }

    /// The Stripe of [`TestApp::selling`].
    pub(crate) fn shop(&self) -> &stripe::Running {
        self.shop.as_ref().expect("an app that sells")
    }

    /// A command that runs beside the server: its own view of the same database.
    pub(crate) async fn command(&self) -> Arc<App> {
        let store = store::connect(self.ground.database.url(), 2).await.expect("the test's database opens");
        App::new(self.app.settings.clone(), store, self.clock.clone()).expect("the settings are good")
    }

    /// A request by nobody in particular.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        Call::new(request, self.base_path())
    }

    pub(crate) fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    /// Someone new, signed in.
    pub(crate) async fn sign_up(&self) -> Person<'_> {
        let now = self.clock.now();
        let (user, session) = (UserId::new(now), SessionId::new(now));
        let made = transaction!(self.app.store, |tx| {
            execute!(
                tx,
                "insert into users (id, mobile, role, plan, created_at, rooms_rev) values ($1, $2, 'user', 'basic', $3, 0)",
                user,
                format!("+{}", user.0.as_u128() % 1_000_000_000_000),
                now
            )?;
            execute!(
                tx,
                "insert into sessions (id, user_id, created_at, last_seen_at, expires_at, generation, used_generation, address)
                 values ($1, $2, $3, $3, $4, 1, 1, '127.0.0.1')",
                session,
                user,
                now,
                // Longer than any test lets pass.
                now.plus(Duration::from_hours(400 * 24))
            )?;
            jobs::open_account(tx, user, self.app.settings.quota.basic_replies_at_once).await
        });
        made.expect("the test's database takes a user");
        Person::new(self, user, session)
    }

    /// Waits until no job runs and none is due.
    pub(crate) async fn settle(&self) {
        until("the jobs come to rest", async || (self.jobs_at_work().await == 0).then_some(())).await;
    }

    /// Waits until the journal of the Gemini sandbox is as wanted.
    pub(crate) async fn until_gemini(&self, wanted: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
        within_patience("Gemini is asked", self.gemini.wait_until(wanted)).await
    }

    /// Waits until so many answers are held by the sandbox.
    pub(crate) async fn until_held(&self, answers: usize) -> Vec<Entry> {
        self.until_gemini(|entries| entries.iter().filter(|entry| entry.end == Ended::Held).count() == answers).await
    }

    /// What was asked to be answered so far, oldest first.
    pub(crate) fn questions(&self) -> Vec<Entry> {
        let journal = self.gemini.journal().into_iter();
        journal.filter(|entry| entry.call == "streamGenerateContent").collect()
    }

    /// One number from the database.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        let mut reader = self.app.store.read().await.expect("a connection");
        fetch_one!(&mut reader, (i64,), sql).expect("a number").0
    }

    /// The files in the folder of attachments, whole or not.
    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.ground.files.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found
    }

    async fn jobs_at_work(&self) -> i64 {
        let mut reader = self.app.store.read().await.expect("a connection");
        let sql = "select count(*) from jobs where state = 'running' or (state = 'queued' and head and due_at <= $1)";
        fetch_one!(&mut reader, (i64,), sql, self.clock.now()).expect("the jobs are counted").0
    }

    fn base_path(&self) -> String {
        let url = self.app.settings.server.public_url.as_ref();
        url.map_or("", url::Url::path).trim_end_matches('/').to_owned()
    }

    /// Moves the clock to the next midnight UTC.
    pub(crate) fn advance_to_midnight(&self) {
        let now = self.clock.now();
        self.clock.advance(now.next_midnight().since(now));
    }

    /// For a test that is about jobs which do not end.
    pub(crate) fn may_leave_jobs(&mut self) {
        self.may_leave_jobs = true;
    }
}

async fn open_shop(
    settings: &mut Settings,
    listener: &TcpListener,
    clock: &Clock,
    stop: &CancellationToken,
) -> stripe::Running {
    let address = listener.local_addr().expect("a bound listener");
    let clock = clock.clone();
    let mut options = stripe::Options::default()
        .with_clock(stripe::Clock::following(move || clock.now().seconds()))
        .with_webhook(&format!("http://{address}/webhook/stripe"), WEBHOOK_SECRET);
    let yearly = stripe::Price { id: YEARLY.to_owned(), interval: stripe::Interval::Year, ..stripe::Price::default() };
    options.prices.push(yearly);
    let seller = stripe::start(([127, 0, 0, 1], 0).into(), options, stop.clone()).await.expect("a free port");
    settings.stripe.secret_key = Some("sk_test_of_the_tests".into());
    settings.stripe.webhook_secrets = vec![WEBHOOK_SECRET.into()];
    settings.stripe.pro_price = Some(stripe::PRICE.to_owned());
    settings.stripe.base_url = Some(seller.base_url());
    seller
}

impl Drop for TestApp {
    /// Ends the process; the last one of a test also ends the database, and fails if a job was left behind.
    fn drop(&mut self) {
        self.app.stop.cancel();
        let Some(ground) = Arc::get_mut(&mut self.ground) else { return };
        if std::thread::panicking() {
            // A second panic would hide the first.
            let _ = std::panic::catch_unwind(|| ground.database.end());
            return;
        }
        let left = ground.database.end();
        assert!(self.may_leave_jobs || left == 0, "the test left {left} jobs behind");
    }
}

/// Looks again and again until there is something.
///
/// # Panics
/// After half a minute: something hangs.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            // The service shares this test's thread: let it work.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within_patience(what, found).await
}

async fn within_patience<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
