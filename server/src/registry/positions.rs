//! A device's position is the lowest of its sockets' (two tabs share a login). This book keeps
//! what each live socket has confirmed and says which stored positions may move.

use crate::session::SessionId;
use dashmap::DashMap;
use protocol::Position;
use std::collections::HashMap;
use store::{ConversationKey, DeviceKey};

type Confirmed = HashMap<ConversationKey, Position>;

/// What the live sockets of each device have confirmed.
#[derive(Default)]
pub struct PositionBook(DashMap<DeviceKey, HashMap<SessionId, Confirmed>>);

impl PositionBook {
    /// A socket of the device starts to hear of its conversations.
    pub fn attach(&self, device: DeviceKey, session: SessionId) {
        self.0
            .entry(device)
            .or_default()
            .insert(session, Confirmed::new());
    }

    /// A socket of the device has gone; it holds nobody back any more.
    pub fn detach(&self, device: DeviceKey, session: SessionId) {
        if let Some(mut sessions) = self.0.get_mut(&device) {
            sessions.remove(&session);
        }
        self.0.remove_if(&device, |_, sessions| sessions.is_empty());
    }

    /// A socket has confirmed these; returns the positions that every socket of the device has.
    pub fn confirm(
        &self,
        device: DeviceKey,
        session: SessionId,
        confirmed: &[(ConversationKey, Position)],
    ) -> Vec<(ConversationKey, Position)> {
        let Some(mut sessions) = self.0.get_mut(&device) else {
            return confirmed.to_vec();
        };
        let own = sessions.entry(session).or_default();
        for (conversation, position) in confirmed {
            own.insert(*conversation, *position);
        }
        confirmed
            .iter()
            .filter_map(|(conversation, _)| {
                Some((*conversation, lowest(&sessions, *conversation)?))
            })
            .collect()
    }
}

/// `None` while a socket has confirmed nothing there: it stands at what is stored.
fn lowest(
    sessions: &HashMap<SessionId, Confirmed>,
    conversation: ConversationKey,
) -> Option<Position> {
    let mut lowest: Option<Position> = None;
    for confirmed in sessions.values() {
        let position = confirmed.get(&conversation)?;
        lowest = Some(lowest.map_or(*position, |low| Position {
            seq: low.seq.min(position.seq),
            rev: low.rev.min(position.rev),
        }));
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceKey = DeviceKey(1);
    const CONVERSATION: ConversationKey = ConversationKey(7);

    fn at(seq: i64) -> Position {
        Position { seq, rev: 0 }
    }

    #[test]
    fn two_tabs_of_one_login_move_the_position_to_the_lower_of_theirs() {
        let book = PositionBook::default();
        let (one, two) = (SessionId(1), SessionId(2));
        book.attach(DEVICE, one);
        book.attach(DEVICE, two);
        assert!(
            book.confirm(DEVICE, one, &[(CONVERSATION, at(9))])
                .is_empty()
        );
        assert_eq!(
            book.confirm(DEVICE, two, &[(CONVERSATION, at(4))]),
            vec![(CONVERSATION, at(4))]
        );
        book.detach(DEVICE, two);
        assert_eq!(
            book.confirm(DEVICE, one, &[(CONVERSATION, at(10))]),
            vec![(CONVERSATION, at(10))]
        );
    }
}
