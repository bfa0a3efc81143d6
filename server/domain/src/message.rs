//! Who may send to a conversation.

/// What the conversation knows of a sender when a send arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderStanding {
    /// Is, or was once, a member.
    pub is_member: bool,
    /// Left or was removed.
    pub has_left: bool,
}

/// Why a send is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendRefused {
    /// Not a member, or no longer one; answered like a conversation that does not exist.
    #[error("not a member")]
    NotMember,
}

/// Whether somebody of this standing may send.
pub const fn may_send(standing: SenderStanding) -> Result<(), SendRefused> {
    if standing.is_member && !standing.has_left {
        Ok(())
    } else {
        Err(SendRefused::NotMember)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_present_members_may_send() {
        assert_eq!(
            may_send(SenderStanding {
                is_member: true,
                has_left: false
            }),
            Ok(())
        );
        assert_eq!(
            may_send(SenderStanding {
                is_member: true,
                has_left: true
            }),
            Err(SendRefused::NotMember)
        );
        assert_eq!(
            may_send(SenderStanding {
                is_member: false,
                has_left: false
            }),
            Err(SendRefused::NotMember)
        );
    }
}
