//! Accounts of people.

use crate::args::{Args, Banned, CreateUser, Grant, Named};
use crate::ask;
use crate::desk::{Desk, Missing};
use crate::failure::Failure;
use crate::output::Output;
use protocol::admin::{NewUser, User};
use protocol::{AgentId, limits};
use serde_json::json;

/// `create-user`.
pub(crate) fn create(args: &Args, wanted: &CreateUser, output: Output) -> Result<(), Failure> {
    let username = ask::required(wanted.username.as_ref(), "Username")?;
    check_username(&username)?;
    let password = ask::new_password()?;
    check_password(&password)?;
    let new = NewUser {
        username,
        password,
        role: wanted.role.into(),
    };
    let made = Desk::open(args, Missing::Create)?.create_user(new)?;
    let role = made.role.as_str();
    let text = format!("Made {role} {} ({}).", made.username, made.user_id);
    output.result(&made, &text)
}

/// `list-users`.
pub(crate) fn list(args: &Args, output: Output) -> Result<(), Failure> {
    let users = Desk::open(args, Missing::Refuse)?.users()?;
    let cells = |user: &User| {
        vec![
            user.username.clone(),
            user.role.as_str().to_owned(),
            if user.banned { "banned" } else { "" }.to_owned(),
            user.user_id.to_string(),
            user.created_at.to_string(),
        ]
    };
    let head = ["NAME", "ROLE", "", "ID", "CREATED"];
    output.list(&users, &head, cells, "No users.")
}

/// `reset-password`.
pub(crate) fn reset_password(args: &Args, named: &Named, output: Output) -> Result<(), Failure> {
    let name = ask::required(named.user.as_ref(), "Username or id")?;
    let password = ask::new_password()?;
    check_password(&password)?;
    let desk = Desk::open(args, Missing::Refuse)?;
    let who = desk.user(&name)?;
    desk.set_password(&who, password)?;
    let text = format!(
        "{} has a new password; every login has ended.",
        who.username
    );
    output.result(
        &json!({ "user_id": who.user_id, "password": "changed" }),
        &text,
    )
}

/// `grant`.
pub(crate) fn grant(args: &Args, grant: &Grant, output: Output) -> Result<(), Failure> {
    let desk = Desk::open(args, Missing::Refuse)?;
    let who = desk.user(&grant.user)?;
    desk.set_role(&who, grant.role.into())?;
    let who = desk.user(who.user_id.as_str())?;
    let text = format!("{} is now {}.", who.username, who.role.as_str());
    output.result(&who, &text)
}

/// `ban`, `unban`.
pub(crate) fn ban(args: &Args, ban: &Banned, banned: bool, output: Output) -> Result<(), Failure> {
    let word = if banned { "kept out" } else { "let in again" };
    let desk = Desk::open(args, Missing::Refuse)?;
    let who = match (&ban.user, &ban.agent) {
        (Some(name), None) => {
            let who = desk.user(name)?;
            if banned {
                let what = format!("every login and socket of {} ends", who.username);
                ask::confirm(args.yes, &what)?;
            }
            desk.ban_user(&who, banned, ban.reason.clone())?;
            who.username
        }
        (None, Some(id)) => {
            let id = AgentId::parse(id.clone()).map_err(|e| Failure::Refused(e.to_string()))?;
            if banned {
                ask::confirm(args.yes, &format!("the socket of agent {id} ends"))?;
            }
            desk.ban_agent(&id, banned, ban.reason.clone())?;
            id.to_string()
        }
        _ => return Err(Failure::Usage("name --user or --agent".to_owned())),
    };
    let result = json!({ "name": who, "banned": banned });
    output.result(&result, &format!("{who} is {word}."))
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
