//! Accounts of people: make one, list them. The password becomes an argon2id hash whose text
//! carries its parameters, so the server can verify it whatever its own defaults are.

use crate::args::{Args, CreateUser};
use crate::ask;
use crate::database::{Database, Missing};
use crate::failure::Failure;
use crate::output::Output;
use argon2::{Argon2, PasswordHasher};
use protocol::{UserId, limits};
use serde::Serialize;
use store::{NewUser, Role, StoreError, UserRow, user};

const PAGE: usize = 500;

#[derive(Serialize)]
struct Shown {
    user_id: String,
    username: String,
    role: &'static str,
    created_at: String,
}

impl Shown {
    fn of(row: &UserRow) -> Self {
        Self {
            user_id: row.id.to_string(),
            username: row.username.clone(),
            role: role_name(row.role),
            created_at: row.created_at.to_string(),
        }
    }
}

/// How a role is written in arguments and results.
pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
    }
}

/// `create-user`.
pub(crate) fn create(args: &Args, wanted: &CreateUser, output: Output) -> Result<(), Failure> {
    let username = ask::required(wanted.username.as_ref(), "Username")?;
    check_username(&username)?;
    let password = ask::new_password()?;
    check_password(&password)?;
    let database = Database::open(args, Missing::Create)?;
    let new = NewUser {
        public_id: UserId::parse(store::random_id("user_")?)
            .map_err(|e| Failure::Refused(e.to_string()))?,
        username: username.clone(),
        password_hash: hash(&password)?,
        role: wanted.role.into(),
    };
    let row = database
        .write(move |conn| user::insert(conn, new))
        .map_err(|error| match error {
            StoreError::Conflict => {
                Failure::Refused(format!("a user named {username} exists already"))
            }
            other => other.into(),
        })?;
    let shown = Shown::of(&row);
    let text = format!(
        "Made {} {} ({}).",
        shown.role, shown.username, shown.user_id
    );
    output.result(&shown, &text)
}

/// `list-users`.
pub(crate) fn list(args: &Args, output: Output) -> Result<(), Failure> {
    let database = Database::open(args, Missing::Refuse)?;
    let mut users: Vec<Shown> = Vec::new();
    let mut after = None;
    loop {
        let page = database.read(move |conn| user::list(conn, PAGE, after))?;
        users.extend(
            page.iter()
                .filter(|row| row.deleted_at.is_none())
                .map(Shown::of),
        );
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key),
            _ => break,
        }
    }
    let cells = |u: &Shown| {
        vec![
            u.username.clone(),
            u.role.to_owned(),
            u.user_id.clone(),
            u.created_at.clone(),
        ]
    };
    output.list(
        &users,
        &["NAME", "ROLE", "ID", "CREATED"],
        cells,
        "No users.",
    )
}

fn check_username(username: &str) -> Result<(), Failure> {
    let well_formed = limits::USERNAME_CHARS.contains(&username.len())
        && username
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if well_formed {
        return Ok(());
    }
    let (least, most) = (limits::USERNAME_CHARS.start(), limits::USERNAME_CHARS.end());
    Err(Failure::Refused(format!(
        "the user name must be {least} to {most} characters of A-Z a-z 0-9 _"
    )))
}

fn check_password(password: &str) -> Result<(), Failure> {
    if limits::PASSWORD_CHARS.contains(&password.chars().count()) {
        return Ok(());
    }
    let (least, most) = (limits::PASSWORD_CHARS.start(), limits::PASSWORD_CHARS.end());
    Err(Failure::Refused(format!(
        "the password must be {least} to {most} characters"
    )))
}

fn hash(password: &str) -> Result<String, Failure> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    let hash = hash
        .map_err(|error| Failure::Refused(format!("the password could not be hashed: {error}")))?;
    Ok(hash.to_string())
}
