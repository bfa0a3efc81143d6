//! Names for the keys in a conversation's log: how a stored row or a committed entry looks to
//! its readers.

use domain::message::SenderStanding;
use protocol::event::Change;
use protocol::{ChangeKind, ConversationId, Entry, Event, Party, PrincipalKind};
use std::sync::Arc;
use store::change::{self, ChangeRow};
use store::conversation::{ConversationKind, MemberRow, load, members};
use store::message::MessageRow;
use store::{Conn, ConversationKey, NewEntry, Principal, StoreError, Stored};

/// A conversation's public id and its members'.
#[derive(Debug, Clone)]
pub struct Names {
    id: ConversationId,
    kind: ConversationKind,
    members: Arc<[MemberRow]>,
}

impl Names {
    /// Reads them.
    pub fn load(conn: &mut Conn, key: ConversationKey) -> Result<Self, StoreError> {
        let row = load(conn, key)?;
        Ok(Self {
            id: row.id,
            kind: row.kind,
            members: members(conn, key)?.into(),
        })
    }

    /// The conversation's public id.
    pub fn conversation(&self) -> ConversationId {
        self.id.clone()
    }

    /// Members who are there now.
    pub fn present(&self) -> impl Iterator<Item = Principal> + '_ {
        self.members
            .iter()
            .filter(|member| member.left_seq.is_none())
            .map(|member| member.principal)
    }

    /// The last `seq` before a present member joined; `None` for others.
    pub fn joined(&self, principal: Principal) -> Option<i64> {
        let member = self
            .members
            .iter()
            .find(|member| member.principal == principal)?;
        member.left_seq.is_none().then_some(member.joined_seq)
    }

    /// What is known of a sender.
    pub fn standing(&self, sender: Principal) -> SenderStanding {
        let member = self
            .members
            .iter()
            .find(|member| member.principal == sender);
        SenderStanding {
            is_member: member.is_some(),
            has_left: member.is_some_and(|member| member.left_seq.is_some()),
        }
    }

    /// The user and the agent of a direct conversation.
    pub fn direct(&self) -> (Option<&str>, Option<&str>) {
        let of = |kind| {
            let member = self
                .members
                .iter()
                .find(|member| member.principal.kind == kind)?;
            Some(&*member.id)
        };
        (of(PrincipalKind::User), of(PrincipalKind::Agent))
    }

    fn party(&self, principal: Principal) -> Option<Party> {
        let member = self
            .members
            .iter()
            .find(|member| member.principal == principal)?;
        Some(Party::new(principal.kind, member.id.clone()))
    }

    /// The other party of a direct conversation.
    fn recipient(&self, sender: Principal) -> Option<Party> {
        if self.kind != ConversationKind::Direct {
            return None;
        }
        let other = self
            .members
            .iter()
            .find(|member| member.principal != sender)?;
        Some(Party::new(other.principal.kind, other.id.clone()))
    }

    /// An entry that has just been committed.
    pub fn committed(&self, entry: &NewEntry, stored: Stored) -> Entry {
        Entry {
            id: stored.id,
            conversation: self.id.clone(),
            seq: stored.seq,
            kind: entry.kind,
            sender: self
                .party(entry.sender)
                .unwrap_or_else(|| Party::new(PrincipalKind::System, "")),
            recipient: self.recipient(entry.sender),
            content: entry.content.clone(),
            metadata: entry.metadata.clone(),
            client_msg_id: entry.client_msg_id.clone(),
            created_at: stored.created_at,
            edited_at: None,
            deleted_at: None,
        }
    }

    /// An entry that was read from the log.
    pub fn entry(&self, row: &MessageRow) -> Entry {
        Entry {
            id: row.id,
            conversation: self.id.clone(),
            seq: row.seq,
            kind: row.kind,
            sender: Party::new(row.sender.kind, row.sender_id.clone()),
            recipient: self.recipient(row.sender),
            content: row.content.clone(),
            metadata: row.metadata.clone(),
            client_msg_id: row.client_msg_id.clone(),
            created_at: row.created_at,
            edited_at: row.edited_at,
            deleted_at: row.deleted_at,
        }
    }

    /// A change that was read from the log.
    pub fn changed(&self, row: &ChangeRow) -> Event {
        Event::Changed(Change {
            conversation: self.id.clone(),
            rev: row.rev,
            kind: kind_of(row.kind),
            message: row.message,
            message_seq: row.message_seq,
            payload: row.payload.clone().map(Into::into),
            at: row.created_at,
        })
    }
}

const fn kind_of(kind: change::ChangeKind) -> ChangeKind {
    match kind {
        change::ChangeKind::Edit => ChangeKind::Edit,
        change::ChangeKind::Delete => ChangeKind::Delete,
        change::ChangeKind::Reaction => ChangeKind::Reaction,
        change::ChangeKind::Membership => ChangeKind::Membership,
        change::ChangeKind::Conversation => ChangeKind::Conversation,
    }
}
