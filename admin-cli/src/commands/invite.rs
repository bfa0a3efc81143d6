//! Invites: one registration each, by whoever holds the text.

use crate::args::{Args, Invite};
use crate::commands::user::role_name;
use crate::database::{Database, Missing};
use crate::failure::Failure;
use crate::output::Output;
use crate::token::Token;
use serde::Serialize;
use store::{Clock, Role, SystemClock, invite};

const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

#[derive(Serialize)]
struct Shown {
    invite: String,
    role: &'static str,
    expires_at: String,
}

/// `invite`.
pub(crate) fn create(args: &Args, wanted: &Invite, output: Output) -> Result<(), Failure> {
    let role: Role = wanted.role.into();
    let expires_at = SystemClock
        .now()
        .plus_micros(i64::from(wanted.days) * DAY_MICROS);
    let token = Token::random("invite_")?;
    let database = Database::open(args, Missing::Create)?;
    let hash = token.hash;
    database.write(move |conn| invite::create(conn, hash, role, None, expires_at))?;
    let shown = Shown {
        invite: token.text,
        role: role_name(role),
        expires_at: expires_at.to_string(),
    };
    let text = format!(
        "An invite for one {}, until {}. It is shown only now:\n\n    {}\n",
        shown.role, shown.expires_at, shown.invite
    );
    output.result(&shown, &text)
}
