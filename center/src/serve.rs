//! `quecota-center serve`: puts the rooms together, says when they are open, and closes them in order.

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware;
use clap::{Args, ValueEnum};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::access::single_sign_on::SingleSignOn;
use crate::access::{Access, AccessError, FIRST_ACCOUNT, Role};
use crate::api::{Api, UploadLimits};
use crate::clock::{Clock, Millis};
use crate::config::{self, ConfigError, DATA_FOLDER, DataFolder};
use crate::connections::Connections;
use crate::devices::{MqttEndpoint, NEW_DEVICES};
use crate::disk::{Disk, DiskError};
use crate::engine::{Engine, EngineError};
use crate::http::{self, Port};
use crate::log::{self, LogWriter};
use crate::open_files;
use crate::packages::download::{Downloads, NoRedirect, check_redirects};
use crate::packages::object_store::{ObjectError, Objects};
use crate::packages::progress::ProgressQueue;
use crate::packages::signature::{PublicUrl, Signer, UrlKeys};
use crate::peer::{Network, Proxies};
use crate::proxy_protocol::Balancers;
use crate::rules::NameError;
use crate::scheduler::Scheduler;
use crate::seal::Keyring;
use crate::store::{Store, StoreError};
use crate::tls::{Tls, TlsError};
use crate::web::{Console, Running, without_secrets};
use crate::webhooks::{Destinations, Sender};

/// Time in which the devices are sent away where several centers share a database.
const DRAIN: Duration = Duration::from_secs(5);
/// Room on the disk without which no start comes to an end.
const LEAST_ROOM: u64 = 1024 * 1024;
/// How often contents without a package are looked for, and how old such a content is at least.
const GARBAGE: Duration = Duration::from_secs(6 * 60 * 60);
const GARBAGE_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Everything must have stopped this long after the last device was sent away; what has not is cut off, which a restart survives.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// Several centers may share the folder of a PostgreSQL installation: an upload untouched this long is nobody's.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of a megabyte.
const MB: u64 = 1024 * 1024;

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// Data folder: database, files, token and key
    #[arg(long, default_value = DATA_FOLDER, value_name = "DIR")]
    data: PathBuf,
    /// Address of the API and the downloads; port 0 takes a free one, `none` closes it
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    http: At,
    /// Address of the devices' MQTT endpoint; port 0 takes a free one, `none` closes it
    #[arg(long, default_value = "127.0.0.1:1883", value_name = "ADDRESS")]
    mqtt: At,
    /// Address of the API and the downloads over TLS
    #[arg(long, value_name = "ADDRESS", requires = "tls_cert")]
    https: Option<SocketAddr>,
    /// Address of the devices' MQTT endpoint over TLS
    #[arg(long, value_name = "ADDRESS", requires = "tls_cert")]
    mqtts: Option<SocketAddr>,
    /// Certificate of the center with its chain, as PEM; read again when it changes, and at SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A proxy in front, by its address or network (10.0.0.0/8): its X-Forwarded-For and X-Forwarded-Proto count; may be
    /// given several times
    #[arg(long = "trusted-proxy", value_name = "ADDRESS")]
    trusted_proxies: Vec<Network>,
    /// A network that webhooks may lead to beside the public internet, as 10.0.0.0/8, also by http://; may be given several
    /// times
    #[arg(long = "webhook-network", value_name = "NETWORK")]
    webhook_networks: Vec<Network>,
    /// Connections of HTTP that one address may have at a time; proxies may have any number
    #[arg(long, default_value_t = 256, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    connections_per_address: u16,
    /// Address under which devices reach the downloads, as in `http://ota.example.org:8080`; without it, the one of --http
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// No device here has the vendor's SDK: --public-url may then have a host that such a device does not take
    #[arg(long)]
    no_vendor_devices: bool,
    /// A PostgreSQL database (postgres://...) instead of the SQLite file in the data folder
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Where the packages' files are, the same place for every center of a database: a folder, or s3://BUCKET or
    /// s3://BUCKET/PREFIX, with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT from the environment;
    /// without it, the folder `objects` in the data folder
    #[arg(long, value_name = "PLACE")]
    packages: Option<String>,
    /// Devices with quecota fetch packages from the S3 store itself, by a redirect to a URL that is good for an hour: they
    /// must be able to reach it. Vendor devices, which follow no redirect, are served by the center as ever
    #[arg(long, requires = "packages")]
    presigned: bool,
    /// Balancers (addresses, by comma) that say by the PROXY protocol, version 1 or 2, for whom they connect
    #[arg(long, value_name = "IP,IP", value_delimiter = ',')]
    proxy_from: Vec<IpAddr>,
    /// How long the devices are sent away when the center stops, one after the other; without it, 5 where several centers
    /// share a database, else 0
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(0..=3600))]
    drain: Option<u16>,
    /// Room that the disk of the data folder must have: with less the center is not ready, nor healthy
    #[arg(long, value_name = "MB", default_value_t = 16)]
    min_free: u64,
    /// Room that uploads leave on the disk of the packages: with less they are refused, and upgrades go on
    #[arg(long, value_name = "MB", default_value_t = 256)]
    upload_reserve: u64,
    /// Room that the packages of one product may take; without it, all there is
    #[arg(long, value_name = "MB")]
    product_quota: Option<u64>,
    /// Devices that a product takes for the first time in one minute; others are to try again
    #[arg(long, value_name = "COUNT", default_value_t = NEW_DEVICES, value_parser = clap::value_parser!(u32).range(1..))]
    new_devices_per_minute: u32,
    /// Name of this center among several that share a PostgreSQL database, the same after a restart; without it, the one in
    /// the file `center.id` of the data folder, made at the first start
    #[arg(long, env = "QUECOTA_CENTER_ID", value_name = "ID", value_parser = config::center_id)]
    center_id: Option<String>,
    /// Token of the API; without it, the one in the file `token` of the data folder, made at the first start
    #[arg(long, env = "QUECOTA_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Nobody is let in by the file `token`: there are only the accounts and the tokens that they make
    #[arg(long, conflicts_with = "token")]
    no_token_file: bool,
    /// Single sign-on
    #[command(flatten)]
    single_sign_on: SingleSignOnOptions,
    /// Seal keys
    #[command(flatten)]
    seal: SealOptions,
    /// What to log to standard error, as in RUST_LOG: error, warn, info, debug, or per module
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How to log: text for people, or json with one object a line
    #[arg(long, env = "QUECOTA_LOG_FORMAT", default_value = "text", value_enum)]
    log_format: LogFormat,
    /// Days that the upgrades' and devices' log is kept; 0: for ever. Upgrades that are not at their end keep all of it
    #[arg(long, default_value_t = 365, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(0..=36_500))]
    keep_log: u16,
}

/// Where a port is, if it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At(Option<SocketAddr>);

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let wrong = |_| "an address with its port, as 127.0.0.1:8080, or `none`".to_owned();
        text.parse().map(|address| Self(Some(address))).map_err(wrong)
    }
}

/// How the log of the process is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people
    Text,
    /// A JSON object
    Json,
}

/// Where people may sign in by OpenID Connect.
#[derive(Debug, Args)]
pub struct SingleSignOnOptions {
    /// An OpenID Connect provider where people may sign in
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    oidc_issuer: Option<String>,
    /// What the provider knows this center as
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client_id: Option<String>,
    /// What this center proves itself to the provider with; without it, by PKCE alone
    #[arg(
        long,
        env = "QUECOTA_OIDC_CLIENT_SECRET",
        hide_env_values = true,
        value_name = "SECRET",
        requires = "oidc_issuer"
    )]
    oidc_client_secret: Option<String>,
    /// Claim of the provider that gives the role: a text or a list
    #[arg(long, value_name = "CLAIM", default_value = "roles")]
    oidc_role_claim: String,
    /// A value of that claim and the role that it gives, as ota-admins=administrator; may be given several times. Without
    /// it, the values are viewer, operator and administrator
    #[arg(long = "oidc-role", value_name = "VALUE=ROLE", value_parser = value_and_role, requires = "oidc_issuer")]
    oidc_roles: Vec<(String, Role)>,
    /// What to ask the provider for; may be given several times
    #[arg(long = "oidc-scope", value_name = "SCOPE", default_values = ["profile", "email"])]
    oidc_scopes: Vec<String>,
    /// Address under which browsers reach the console; without it, the one of --public-url
    #[arg(long, value_name = "URL")]
    console_url: Option<String>,
}

fn value_and_role(text: &str) -> Result<(String, Role), String> {
    let (value, role) = text.rsplit_once('=').ok_or("a value and a role, as ota-admins=administrator")?;
    Ok((value.to_owned(), role.parse().map_err(|error: NameError| error.to_string())?))
}

impl SingleSignOnOptions {
    fn config(self, public: &PublicUrl) -> Option<SingleSignOn> {
        Some(SingleSignOn {
            issuer: self.oidc_issuer?,
            client_id: self.oidc_client_id?,
            client_secret: self.oidc_client_secret,
            console: self.console_url.unwrap_or_else(|| public.to_string()),
            role_claim: self.oidc_role_claim,
            roles: self.oidc_roles.into_iter().collect(),
            scopes: self.oidc_scopes,
        })
    }
}

/// Where the keys are that secrets in the database are sealed with.
#[derive(Debug, Args)]
pub struct SealOptions {
    /// Key that secrets in the database are sealed with, 64 hexadecimal digits; keys of before may follow by comma.
    /// Without it and --seal-key-file, the file `seal.key` of the data folder, made at the first start
    #[arg(long, env = "QUECOTA_SEAL_KEY", hide_env_values = true, value_name = "KEYS")]
    seal_key: Option<String>,
    /// File with such keys, one a line; QUECOTA_SEAL_KEY goes before it
    #[arg(long, value_name = "FILE")]
    seal_key_file: Option<PathBuf>,
}

/// Where the seal keys come from.
#[derive(Debug)]
pub(crate) enum SealKeys {
    /// They are there.
    Known(Keyring),
    /// A new one, for a folder that has none yet; to be kept before anything is sealed with it.
    Fresh(Keyring),
}

impl SealOptions {
    /// The keys that were given, else those of the data folder; PostgreSQL's must be given.
    pub(crate) fn keys(&self, data: &DataFolder, database: &str) -> Result<SealKeys, ConfigError> {
        if let Some(text) = self.seal_key.as_deref().filter(|text| !text.is_empty()) {
            let keys = Keyring::parse(text);
            let named = |source| ConfigError::SealKeys { place: "QUECOTA_SEAL_KEY".to_owned(), source };
            return keys.map(SealKeys::Known).map_err(named);
        }
        if let Some(file) = &self.seal_key_file {
            return config::seal_keys_of(file).map(SealKeys::Known);
        }
        if database.starts_with("postgres") {
            return Err(ConfigError::SealKeyNeeded);
        }
        Ok(data.seal_keys()?.map_or_else(|| SealKeys::Fresh(Keyring::made()), SealKeys::Known))
    }
}

/// The database with its secrets sealed: new keys are kept first, and what stood in the clear is sealed.
pub(crate) async fn open_store(
    data: &DataFolder,
    database: &str,
    keys: SealKeys,
) -> Result<Store, ServeError> {
    let store = match keys {
        SealKeys::Known(keys) => Store::connect(database, keys).await?,
        SealKeys::Fresh(keys) => {
            // A database whose key file was lost is refused here, before a file takes its place.
            let store = Store::connect(database, keys.clone()).await?;
            data.keep_seal_keys(&keys)?;
            let file = data.seal_key_file();
            info!(file = %file.display(), "made the key that secrets are sealed with; keep a copy of it");
            store
        }
    };
    let sealed = store.seal_all().await?;
    if sealed.plain > 0 {
        info!(secrets = sealed.plain, "sealed what stood in the clear; backups of before still show it");
    }
    if sealed.former > 0 {
        info!(secrets = sealed.former, "sealed with the key in use now; the keys of before may go");
    }
    Ok(store)
}

/// What stops `serve`, in one line for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Folder, secrets or public URL.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The disk of the data folder.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The object store.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// Devices cannot be sent to the object store.
    #[error("--presigned: {0}")]
    Presigned(#[from] NoRedirect),
    /// The database.
    #[error("database: {0}")]
    Store(#[from] StoreError),
    /// The engine cannot take up what an earlier run left.
    #[error("cannot take up the upgrades: {0}")]
    Engine(#[from] EngineError),
    /// The first account cannot be made.
    #[error("accounts: {0}")]
    Access(#[from] AccessError),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nobody could reach the center.
    #[error("--{plain} none without --{secure} ADDRESS: nobody could reach the center; open one of both")]
    Closed {
        /// Option of the plain port.
        plain: &'static str,
        /// Option of the other one.
        secure: &'static str,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on --{option} {address}: {source}{hint}")]
    Listen {
        /// `http` or `mqtt`.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The log filter is none.
    #[error("--log {filter:?}: {cause}; say error, warn, info or debug")]
    Log {
        /// As given.
        filter: String,
        /// Why not.
        cause: String,
    },
    /// The token that was given is none.
    #[error("--token: {0}")]
    Token(&'static str),
    /// The system refused something that every process needs.
    #[error("cannot start: {0}")]
    System(#[source] io::Error),
}

/// Runs the center until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn run(options: ServeOptions) -> Result<(), ServeError> {
    let filter = EnvFilter::try_new(&options.log)
        .map_err(|error| ServeError::Log { filter: options.log.clone(), cause: error.to_string() })?;
    let writer = LogWriter::to(io::stderr()).map_err(ServeError::System)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer.clone())
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal() && options.log_format == LogFormat::Text);
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    log::log_panics();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::System)?;
    let done = runtime.block_on(work(options, writer.clone()));
    // A blocking task that hangs in the file system is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
    LogWriter::flush(&writer, Duration::from_millis(500));
    done
}

/// Runs a short piece of work on the store, for a command that is no server.
pub(crate) fn local<T>(work: impl Future<Output = Result<T, ServeError>>) -> Result<T, ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(ServeError::System)?.block_on(work)
}

async fn work(options: ServeOptions, log: LogWriter) -> Result<(), ServeError> {
    // Asked for first, so that no signal is missed while the center starts.
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::System)?;

    let shares = open_files::raise();
    let files = Arc::new(Semaphore::new(shares.files));
    let data = DataFolder::open(&options.data)?;
    // Each of the files that follow would tell it in its own way, or not at all.
    Disk::of(&options.data, LEAST_ROOM).check()?;
    // A PostgreSQL database may have several centers; the SQLite file has one.
    let (database, lock, abandoned_after) = match options.database {
        Some(url) if !url.starts_with("sqlite:") => (url, None, ABANDONED_AFTER),
        given => (given.unwrap_or_else(|| data.database()), Some(data.lock()?), Duration::ZERO),
    };
    let token = match options.token.filter(|token| !token.is_empty()) {
        Some(token) => {
            config::check_token(&token).map_err(ServeError::Token)?;
            Some(token)
        }
        None if options.no_token_file => None,
        None => Some(data.token()?),
    };
    let brought = data.former_url_key()?;
    let owner = match options.center_id {
        Some(id) => id,
        None => data.center_id()?,
    };
    let tls = match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::load(certificate, key)?),
        _ => None,
    };
    let http = Doors::open(["http", "https"], options.http, options.https, tls.as_ref()).await?;
    let mqtt = Doors::open(["mqtt", "mqtts"], options.mqtt, options.mqtts, tls.as_ref()).await?;
    let (http_address, is_secure) = http.first()?;
    let public = config::public_url(options.public_url.as_deref(), http_address, is_secure)?;
    if !options.no_vendor_devices && !public.suits_vendor_devices() {
        return Err(ConfigError::NotForVendorDevices(public.to_string()).into());
    }

    // The S3 client takes the one that is set; a second start in one process finds it set.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let objects = match &options.packages {
        Some(place) => Objects::at(place, abandoned_after).await?,
        None => Objects::in_folder(&data.objects(), abandoned_after)?,
    };
    let keys = options.seal.keys(&data, &database)?;
    let store = open_store(&data, &database, keys).await?;
    let url_keys = UrlKeys::new(&store.url_keys(brought, Clock::system().now()).await?);
    data.forget_url_key()?;
    let signing =
        url_keys.signing().cloned().ok_or_else(|| StoreError::missing("key of download URLs", ""))?;
    let signer = Arc::new(Signer::new(public.clone(), signing));
    let engine = Engine::new(store, Clock::system(), signer).owned_by(&owner);
    engine.start().await?;
    let access = Access::new(engine.store().clone(), Clock::system(), &owner, token.as_deref());
    if let Some(config) = options.single_sign_on.config(&public) {
        access.allow_single_sign_on(config)?;
    }
    let lost = access.end_lost_audits().await?;
    if lost > 0 {
        warn!(
            lost,
            "changes were under way when the center stopped; the audit log has them, with an unknown end"
        );
    }
    let first_password = access.first_administrator().await?;
    open_files::warn();
    if token.is_some() {
        info!(
            "the file `token`, or the token given at the start, lets in as an administrator; to leave it, make tokens of \
             your own (`quecota-center token create`) and start with --no-token-file"
        );
    }
    let (store, metrics) = (engine.store().clone(), engine.metrics().clone());
    metrics.lost_lines_of(move || log.lost());
    if options.presigned {
        check_redirects(&objects, &public).await?;
    }
    let downloads = Downloads {
        objects: objects.clone(),
        keys: url_keys,
        store: store.clone(),
        progress: ProgressQueue::new(store.clone()),
        metrics,
        presigned: options.presigned,
    };
    let stop = CancellationToken::new();
    let disk = Disk::of(&options.data, options.min_free.saturating_mul(MB));
    let reserve = match &options.packages {
        Some(place) if place.contains("://") => None,
        Some(folder) => Some(PathBuf::from(folder)),
        None => Some(options.data.clone()),
    };
    let destinations = Destinations::new(options.webhook_networks);
    let sender =
        Sender::new(engine.store().clone(), Clock::system(), engine.metrics().clone(), destinations.clone());
    let api = Api::new(engine.clone(), objects, access)
        .until(stop.clone())
        .watching(disk)
        .telling(destinations)
        .limiting_uploads(UploadLimits {
            reserve: reserve.map(|folder| Disk::of(&folder, options.upload_reserve.saturating_mul(MB))),
            quota: options.product_quota.map(|quota| quota.saturating_mul(MB)),
        });
    let garbage = collect_garbage(api.clone(), stop.clone());
    let announced = [mqtt.said(), http.said()].concat();
    let drain = options.drain.map_or(if lock.is_none() { DRAIN } else { Duration::ZERO }, |seconds| {
        Duration::from_secs(u64::from(seconds))
    });
    let console = Console::new(api.clone()).running_with(Running {
        public_url: public.to_string(),
        ports: announced.clone(),
        certificate: options.tls_cert.as_ref().map(|file| file.display().to_string()),
        trusted_proxies: options.trusted_proxies.iter().map(ToString::to_string).collect(),
        balancers: options.proxy_from.iter().map(ToString::to_string).collect(),
        database: without_secrets(&database),
        packages: options.packages.unwrap_or_else(|| data.objects().display().to_string()),
        data: options.data.display().to_string(),
        center: owner,
        has_token: token.is_some(),
        min_free: options.min_free,
        connections_per_address: options.connections_per_address,
        keep_log: options.keep_log,
        drain,
    });
    let router = api
        .router()
        .merge(console.router())
        .merge(downloads.clone().router())
        .layer(middleware::from_fn(http::hear_out));

    let leaving = engine.clone();
    let mut parts = JoinSet::new();
    let proxies = Proxies::new(options.trusted_proxies);
    let balancers = Balancers::new(&options.proxy_from);
    let connections = Connections::limited(shares.http, usize::from(options.connections_per_address))
        .taking(Arc::clone(&files), open_files::FILES_OF_HTTP);
    // Answers go on while the devices are sent away.
    let stop_http = CancellationToken::new();
    for (listener, tls) in http.0 {
        let (proxies, balancers) = (proxies.clone(), balancers.clone());
        let (connections, downloads) = (connections.clone(), downloads.clone());
        let port = Port { tls, proxies, balancers, connections, downloads };
        parts.spawn(http::serve(listener, port, router.clone(), stop_http.clone()));
    }
    if let Some(tls) = tls {
        parts.spawn(tls.keep_current(stop.clone()));
    }
    parts.spawn(garbage);
    parts.spawn(sender.run(stop.clone()));
    let endpoint = MqttEndpoint::behind(
        engine.clone(),
        balancers,
        drain,
        options.new_devices_per_minute,
        (shares.devices, files),
    );
    let keep_log = (options.keep_log > 0).then(|| Millis::hours(24 * i64::from(options.keep_log)));
    parts.spawn(Scheduler::new(engine, endpoint.clone(), keep_log).run(stop.clone()));
    let until = stop.clone();
    parts.spawn(async move {
        endpoint.serve_ports(mqtt.0, until).await;
        stop_http.cancel();
    });
    let ports = announced.join(" ");
    announce(announced, first_password);
    info!(ports, %public, data = %options.data.display(), "ready");

    let signal = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        // None of the parts ends by itself.
        Some(ended) = parts.join_next() => {
            return Err(ServeError::System(io::Error::other(match ended {
                Ok(()) => "a part of the center ended".to_owned(),
                Err(error) => format!("a part of the center ended: {error}"),
            })));
        }
    };
    info!(signal, "stopping");
    stop.cancel();
    let ended = async {
        while parts.join_next().await.is_some() {}
        downloads.progress.flush().await;
        if let Err(error) = leaving.leave().await {
            warn!(%error, "connections are still noted in the database; the next start, or another center, ends them");
        }
        store.close().await;
    };
    if tokio::time::timeout(drain + STOP_DEADLINE, ended).await.is_err() {
        warn!("stopped with work still running; it is taken up at the next start");
    }
    drop(lock);
    Ok(())
}

/// Removes contents that no package has, now and then, until `stop`.
async fn collect_garbage(api: Api, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(GARBAGE)).await.is_some() {
        if let Err(error) = api.collect_garbage(GARBAGE_AGE).await {
            warn!(?error, "contents without a package stay for now");
        }
    }
}

/// Says where the center can be reached, and the one-time password of the first administrator, to whoever started it. A
/// standard output that is closed, full or not read stops nothing: the log has both addresses too (never the password).
fn announce(ports: Vec<String>, first_password: Option<String>) {
    std::thread::spawn(move || {
        let mut said: String = ports.iter().map(|url| format!("{}: {url}\n", scheme(url))).collect();
        if let Some(password) = first_password {
            said += &format!("sign in: account {FIRST_ACCOUNT}, one-time password {password}\n");
        }
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(said.as_bytes()).and_then(|()| out.flush()) {
            warn!(%error, "the addresses cannot be written to standard output");
        }
    });
}

fn scheme(url: &str) -> &str {
    url.split_once(':').map_or(url, |(scheme, _)| scheme)
}

/// The ports of one protocol: in the clear, and over TLS.
struct Doors(Vec<(TcpListener, Option<Tls>)>, [&'static str; 2]);

impl Doors {
    async fn open(
        options: [&'static str; 2],
        plain: At,
        secure: Option<SocketAddr>,
        tls: Option<&Tls>,
    ) -> Result<Self, ServeError> {
        let mut listeners = Vec::new();
        if let Some(address) = plain.0 {
            listeners.push((listen(options[0], address)?, None));
        }
        if let Some(address) = secure {
            listeners.push((listen(options[1], address)?, tls.cloned()));
        }
        if listeners.is_empty() {
            return Err(ServeError::Closed { plain: options[0], secure: options[1] });
        }
        Ok(Self(listeners, options))
    }

    /// The first of them, and whether it is over TLS.
    fn first(&self) -> Result<(SocketAddr, bool), ServeError> {
        let found = self.0.first().map(|(listener, tls)| Ok((listener.local_addr()?, tls.is_some())));
        found.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into())).map_err(ServeError::System)
    }

    /// Each as a URL.
    fn said(&self) -> Vec<String> {
        let [plain, secure] = self.1;
        let url = |(listener, tls): &(TcpListener, Option<Tls>)| {
            let address = listener.local_addr().ok()?;
            Some(format!("{}://{address}", if tls.is_some() { secure } else { plain }))
        };
        self.0.iter().filter_map(url).collect()
    }
}

fn listen(option: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // After a power cut all devices come at once.
        socket.listen(4096)
    };
    open().map_err(|source| {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "; stop what listens there, or give another address (port 0 takes a free one)"
            }
            io::ErrorKind::PermissionDenied => "; ports below 1024 are the system administrator's",
            _ => "",
        };
        ServeError::Listen { option, address, source, hint }
    })
}
