//! Passwords: argon2id on two threads of its own, so that a rush of sign-ins starves nothing
//! else. The queue is bounded.

use argon2::Argon2;
use argon2::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use crossbeam_channel::{Sender, TrySendError, bounded};
use protocol::event::Refusal;
use protocol::{ErrorCode, limits};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

const THREADS: usize = 2;
/// At 15 to 20 ms each this is about a second of work.
const QUEUE: usize = 128;

type Job = Box<dyn FnOnce() + Send>;

/// Verified against where there is no such user, so that it takes as long. Its output is not one
/// of any password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ibw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Two threads that hash.
pub(super) struct Hashing {
    jobs: Sender<Job>,
}

impl Hashing {
    pub(super) fn start() -> std::io::Result<Self> {
        let (jobs, queue) = bounded::<Job>(QUEUE);
        for number in 0..THREADS {
            let queue = queue.clone();
            let work = move || queue.iter().for_each(|job| job());
            std::thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(work)?;
        }
        Ok(Self { jobs })
    }

    pub(super) fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// A new password as text for the database.
    pub(super) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Refusal> {
        let hashed = self.run(move || hash(&password)).await?;
        hashed.ok_or_else(|| Refusal::new(ErrorCode::Internal))
    }

    /// Whether the password is the one that was stored; `None` takes as long and is false.
    pub(super) async fn verify(
        &self,
        password: Zeroizing<String>,
        stored: Option<String>,
    ) -> Result<bool, Refusal> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| NOBODY.to_owned());
        let same = self.run(move || verify(&password, &stored)).await?;
        Ok(same && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move || drop(done.send(work())));
        match self.jobs.try_send(job) {
            Ok(()) => result.await.map_err(|_| Refusal::new(ErrorCode::Internal)),
            Err(TrySendError::Full(_)) => Err(Refusal::because(
                ErrorCode::Overloaded,
                "too many sign-ins at once, try again in a moment",
            )),
            Err(TrySendError::Disconnected(_)) => Err(Refusal::new(ErrorCode::Internal)),
        }
    }
}

fn hash(password: &str) -> Option<String> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .ok()
        .map(|hash| hash.to_string())
}

fn verify(password: &str, stored: &str) -> bool {
    let Ok(hash) = PasswordHash::new(stored) else {
        return false;
    };
    Argon2::default()
        .verify_password(password.as_bytes(), &hash)
        .is_ok()
}

/// 6 to 128 characters.
pub(super) fn check_new(password: &str) -> Result<(), Refusal> {
    if limits::PASSWORD_CHARS.contains(&password.chars().count()) {
        return Ok(());
    }
    Err(Refusal::because(
        ErrorCode::InvalidRequest,
        "password must be between 6 and 128 characters",
    ))
}

/// 3 to 50 letters, digits and underscores.
pub(super) fn check_username(username: &str) -> Result<(), Refusal> {
    let refuse =
        |sentence: &'static str| Err(Refusal::because(ErrorCode::InvalidRequest, sentence));
    if !limits::USERNAME_CHARS.contains(&username.len()) {
        return refuse("username must be between 3 and 50 characters");
    }
    if !username
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        return refuse("username must contain only letters, numbers, and underscores");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn a_password_verifies_and_another_does_not_and_nobody_never_does() {
        let hashing = Hashing::start().expect("threads");
        let secret = || Zeroizing::new("correct horse".to_owned());
        let stored = hashing.hash(secret()).await.expect("hashed");
        assert!(stored.starts_with("$argon2id$"));
        assert!(
            hashing
                .verify(secret(), Some(stored.clone()))
                .await
                .expect("ran")
        );
        assert!(
            !hashing
                .verify(Zeroizing::new("wrong".to_owned()), Some(stored))
                .await
                .expect("ran")
        );
        let nobody = Zeroizing::new("nobody has this password".to_owned());
        assert!(!hashing.verify(nobody, None).await.expect("ran"));
    }

    #[test]
    fn checking_nobody_is_the_same_work_as_checking_somebody() {
        let nobody = PasswordHash::new(NOBODY).expect("well-formed");
        let somebody = hash("a password").expect("hashed");
        let somebody = PasswordHash::new(&somebody).expect("well-formed");
        assert_eq!(
            (nobody.algorithm, &nobody.params),
            (somebody.algorithm, &somebody.params)
        );
    }

    #[test]
    fn names_and_passwords_outside_the_rules_are_refused() {
        assert!(check_username("ab").is_err());
        assert!(check_username("a b").is_err());
        assert!(check_username("Ann_7").is_ok());
        assert!(check_new("12345").is_err());
        assert!(check_new(&"x".repeat(129)).is_err());
        assert!(check_new("ünïcödé").is_ok());
    }
}
