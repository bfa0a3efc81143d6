//! Who is asking: passwords, tokens, logins, agents' credentials, and who may make an account.
//! Doors hand over what a request showed and get an identity or a refusal; nothing here knows
//! HTTP. Secrets are never in logs, errors or `Debug`.

mod account;
mod agent;
mod login;
mod operator;
mod password;
mod registration;
mod secret;
mod token;

pub use account::{LoggedIn, NewAccount};
pub use agent::{AgentCredentials, AgentIdentity, AgentProof};
pub use login::UserIdentity;
pub use operator::Operator;
pub use registration::{Caller, Verdict, may_register};
pub use secret::{Secrets, SecretsError, random_token};
pub use token::Tokens;

use crate::config::{AgentAuth, Registration};
use governor::clock::DefaultClock;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use login::Logins;
use password::Hashing;
use protocol::event::Refusal;
use protocol::{ErrorCode, Timestamp};
use secrecy::SecretString;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use store::{Clock, Store};
use tokio::sync::broadcast;

type ByAddress = RateLimiter<IpAddr, DashMapStateStore<IpAddr>, DefaultClock>;

/// What authentication needs to know.
pub struct AuthConfig {
    /// The secrets.
    pub secrets: Secrets,
    /// How long a login lasts.
    pub jwt_ttl: Duration,
    /// Who may make an account.
    pub registration: Registration,
    /// What an agent shows.
    pub agent_auth: AgentAuth,
    /// Sign-ins of one address in a minute; `None` lifts it.
    pub attempts_per_minute: Option<NonZeroU32>,
}

/// Checks credentials and keeps logins.
pub struct Auth {
    store: Store,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    logins: Logins,
    hashing: Hashing,
    registration: Registration,
    agent_rule: AgentAuth,
    agent_secret: SecretString,
    admin_secret: SecretString,
    setup_token: SecretString,
    attempts: Option<ByAddress>,
    agent_failures: Option<ByAddress>,
    revoked: broadcast::Sender<String>,
}

impl Auth {
    /// Ready to check.
    pub fn new(config: AuthConfig, store: Store, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let by_address = |per_minute: NonZeroU32| RateLimiter::keyed(Quota::per_minute(per_minute));
        Ok(Self {
            tokens: Tokens::new(&config.secrets.jwt, config.jwt_ttl),
            logins: Logins::default(),
            hashing: Hashing::start()?,
            registration: config.registration,
            agent_rule: config.agent_auth,
            agent_secret: config.secrets.agent,
            admin_secret: config.secrets.admin,
            setup_token: config.secrets.setup,
            attempts: config.attempts_per_minute.map(by_address),
            agent_failures: config.attempts_per_minute.map(by_address),
            revoked: broadcast::channel(1024).0,
            store,
            clock,
        })
    }

    /// Logins as they end.
    pub fn revocations(&self) -> broadcast::Receiver<String> {
        self.revoked.subscribe()
    }

    /// The token that makes the first account the owner's; shown at start until there is one.
    pub const fn setup_token(&self) -> &SecretString {
        &self.setup_token
    }

    /// Passwords that wait to be hashed.
    pub fn hash_queue(&self) -> usize {
        self.hashing.waiting()
    }

    /// Forgets addresses that have been quiet; called now and then.
    pub fn sweep(&self) {
        for limiter in [&self.attempts, &self.agent_failures].into_iter().flatten() {
            limiter.retain_recent();
        }
        self.logins.sweep(self.clock.now());
    }

    /// Whether this is the admin secret.
    pub fn is_admin_secret(&self, shown: &str) -> bool {
        secret::same(&self.admin_secret, shown)
    }

    /// Whose token this is by its signature and time alone: enough to count a request, not to
    /// answer it.
    pub fn signed_for(&self, token: &str) -> Option<String> {
        self.tokens
            .check(token, self.now())
            .ok()
            .map(|claims| claims.user_id)
    }

    /// Whether this is the secret that agents share.
    pub fn is_agent_secret(&self, shown: &str) -> bool {
        secret::same(&self.agent_secret, shown)
    }

    /// Takes a token of the address's sign-ins, before any costly work.
    fn take_attempt(&self, address: IpAddr) -> Result<(), Refusal> {
        take(
            self.attempts.as_ref(),
            address,
            "rate limit exceeded: too many auth attempts from this address",
        )
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn take(
    limiter: Option<&ByAddress>,
    address: IpAddr,
    sentence: &'static str,
) -> Result<(), Refusal> {
    let Some(limiter) = limiter else {
        return Ok(());
    };
    limiter
        .check_key(&crate::limits::address::counting_key(address))
        .map_err(|until| {
            let wait = until.wait_time_from(governor::clock::Clock::now(&DefaultClock::default()));
            let mut refusal = Refusal::because(ErrorCode::RateLimited, sentence);
            refusal.retry_after = Some(wait.as_secs() + 1);
            refusal
        })
}
