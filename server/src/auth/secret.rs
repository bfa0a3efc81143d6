//! Secrets: given in the environment, or made at the first start and kept in the data folder,
//! mode 0600, one file each. No public default exists.

use crate::config::AuthSettings;
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use secrecy::{ExposeSecret, SecretString};
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Why the secrets are not there.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file or folder.
    #[error("cannot use {path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Several machines may share the database, so none of them makes its own.
    #[error(
        "with PostgreSQL no secret is made: set {0} (each 16 characters or more, the same for every server of the database)"
    )]
    Missing(String),
    /// The system gives no randomness.
    #[error("the system gives no random bytes")]
    Random,
}

/// What signs and opens.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Signs users' tokens.
    pub jwt: SecretString,
    /// Opens for agents.
    pub agent: SecretString,
    /// Opens the administration routes.
    pub admin: SecretString,
    /// Makes the first owner.
    pub setup: SecretString,
    /// The agent secret was made just now: it is shown once.
    pub agent_is_new: bool,
}

impl Secrets {
    /// Takes what is set and reads or, if `may_make`, makes the rest in `folder`. What is not
    /// kept (the set-up token then) is new at each start.
    pub fn load(
        settings: &AuthSettings,
        folder: &Path,
        may_make: bool,
    ) -> Result<Self, SecretsError> {
        if !may_make {
            return Self::given(settings);
        }
        make_folder(folder)?;
        let (jwt, _) = given_or_kept(settings.jwt_secret.as_ref(), &folder.join("jwt.key"))?;
        let (agent, agent_is_new) =
            given_or_kept(settings.agent_secret.as_ref(), &folder.join("agent.secret"))?;
        let (admin, _) =
            given_or_kept(settings.admin_secret.as_ref(), &folder.join("admin.secret"))?;
        let (setup, _) = given_or_kept(None, &folder.join("setup.token"))?;
        Ok(Self {
            jwt,
            agent,
            admin,
            setup,
            agent_is_new,
        })
    }
}

impl Secrets {
    fn given(settings: &AuthSettings) -> Result<Self, SecretsError> {
        let [jwt, agent, admin] = [
            ("JWT_SECRET", &settings.jwt_secret),
            ("AGENT_SECRET", &settings.agent_secret),
            ("ADMIN_SECRET", &settings.admin_secret),
        ];
        let missing: Vec<&str> = [&jwt, &agent, &admin]
            .iter()
            .filter(|(_, given)| given.is_none())
            .map(|(name, _)| *name)
            .collect();
        match (jwt.1, agent.1, admin.1) {
            (Some(jwt), Some(agent), Some(admin)) => Ok(Self {
                jwt: jwt.clone(),
                agent: agent.clone(),
                admin: admin.clone(),
                setup: random_token("").ok_or(SecretsError::Random)?.into(),
                agent_is_new: false,
            }),
            _ => Err(SecretsError::Missing(missing.join(", "))),
        }
    }
}

fn make_folder(folder: &Path) -> Result<(), SecretsError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| SecretsError::File {
        path: folder.to_owned(),
        error,
    })
}

/// The secret, and whether it was made just now.
fn given_or_kept(
    given: Option<&SecretString>,
    path: &Path,
) -> Result<(SecretString, bool), SecretsError> {
    if let Some(given) = given {
        return Ok((given.clone(), false));
    }
    let wrong = |error| SecretsError::File {
        path: path.to_owned(),
        error,
    };
    match std::fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) if !text.trim().is_empty() => return Ok((text.trim().to_owned().into(), false)),
        Ok(_) => {
            let empty = std::io::Error::new(std::io::ErrorKind::InvalidData, "the file is empty");
            return Err(wrong(empty));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(wrong(error)),
    }
    let made = random_token("").ok_or(SecretsError::Random)?;
    // Written aside and renamed: a crash leaves no half secret behind.
    let aside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .map_err(wrong)?;
    writeln!(file, "{made}")
        .and_then(|()| file.sync_all())
        .map_err(wrong)?;
    std::fs::rename(&aside, path).map_err(wrong)?;
    Ok((made.into(), true))
}

/// `prefix` and 256 random bits.
pub fn random_token(prefix: &str) -> Option<String> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut()).ok()?;
    Some(format!(
        "{prefix}{}",
        BASE64URL_NOPAD.encode(bytes.as_ref())
    ))
}

/// 128 random bits as lower-case text, for names that need not be secret.
pub(super) fn random_name() -> Option<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

/// Compares without telling by its time where the first difference is.
pub(super) fn same(secret: &SecretString, shown: &str) -> bool {
    secret
        .expose_secret()
        .as_bytes()
        .ct_eq(shown.as_bytes())
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_with_mode_0600_and_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.secret");
        let (first, is_new) = given_or_kept(None, &path).expect("made");
        assert!(is_new);
        assert!(first.expose_secret().len() >= 43);
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let (second, is_new) = given_or_kept(None, &path).expect("read");
        assert!(!is_new);
        assert!(same(&second, first.expose_secret()));
    }

    #[test]
    fn an_empty_secret_file_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("jwt.key");
        std::fs::write(&path, "\n").expect("written");
        assert!(given_or_kept(None, &path).is_err());
    }
}
