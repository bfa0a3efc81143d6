//! Live sockets of a running server.

use crate::args::{Args, KickWhom};
use crate::ask;
use crate::desk::{Desk, Missing};
use crate::failure::Failure;
use crate::output::Output;
use protocol::admin::{Kick, Session};

/// `sessions`.
pub(crate) fn list(args: &Args, output: Output) -> Result<(), Failure> {
    let desk = Desk::open(args, Missing::Refuse)?;
    let sessions = desk.sessions()?;
    let cells = |session: &Session| {
        vec![
            session.session_id.to_string(),
            session.kind.clone(),
            session.id.clone(),
            session.device_id.clone().unwrap_or_default(),
            session.version.clone(),
            session.address.clone(),
            session.since.to_string(),
        ]
    };
    let none = match desk {
        Desk::Local(_) => "No server is running, so nobody is connected.",
        Desk::Server(_) => "Nobody is connected.",
    };
    let head = [
        "SESSION", "KIND", "ID", "DEVICE", "WIRE", "ADDRESS", "SINCE",
    ];
    output.list(&sessions, &head, cells, none)
}

/// `kick`.
pub(crate) fn kick(args: &Args, whom: &KickWhom, output: Output) -> Result<(), Failure> {
    let desk = Desk::open(args, Missing::Refuse)?;
    let user_id = match &whom.user {
        Some(name) => Some(desk.user(name)?.user_id.to_string()),
        None => None,
    };
    let kick = Kick {
        session_id: whom.session,
        user_id,
        agent_id: whom.agent.clone(),
    };
    ask::confirm(args.yes, "the socket ends; its client may come back")?;
    let kicked = desk.kick(&kick)?;
    output.result(&kicked, &format!("{} sockets were ended.", kicked.kicked))
}
