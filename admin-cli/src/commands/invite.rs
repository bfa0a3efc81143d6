//! Invites: one registration each, by whoever holds the text.

use crate::args::{Args, Invite, RevokeInvite};
use crate::desk::{Desk, Missing};
use crate::failure::Failure;
use crate::output::Output;
use protocol::admin::NewInvite;
use serde_json::json;

/// `invite`.
pub(crate) fn create(args: &Args, wanted: &Invite, output: Output) -> Result<(), Failure> {
    let new = NewInvite {
        role: wanted.role.into(),
        days: wanted.days,
    };
    let made = Desk::open(args, Missing::Create)?.create_invite(new)?;
    let (role, end, text) = (made.role.as_str(), made.expires_at, &made.invite);
    let text =
        format!("An invite for one {role}, until {end}. It is shown only now:\n\n    {text}\n");
    output.result(&made, &text)
}

/// `list-invites`.
pub(crate) fn list(args: &Args, output: Output) -> Result<(), Failure> {
    let invites = Desk::open(args, Missing::Refuse)?.invites()?;
    let cells = |invite: &protocol::admin::Invite| {
        let used = invite.used_at.map(|at| at.to_string());
        vec![
            invite.invite_id.clone(),
            invite.role.as_str().to_owned(),
            invite.expires_at.to_string(),
            used.unwrap_or_else(|| "no".to_owned()),
        ]
    };
    output.list(
        &invites,
        &["ID", "ROLE", "ENDS", "USED"],
        cells,
        "No invites.",
    )
}

/// `revoke-invite`.
pub(crate) fn revoke(args: &Args, wanted: &RevokeInvite, output: Output) -> Result<(), Failure> {
    let id = &wanted.invite_id;
    Desk::open(args, Missing::Refuse)?.revoke_invite(id)?;
    let result = json!({ "invite_id": id, "revoked": true });
    output.result(&result, "The invite lets nobody in any more.")
}
