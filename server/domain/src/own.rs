//! Which entries of a log a socket is shown. An entry that is not shown still counts as sent,
//! so that the position moves over it.

/// What a socket sees of what its own principal wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnEntries {
    /// Nothing (agents: they would answer themselves).
    Hidden,
    /// What other devices of the same user wrote.
    OtherDevices,
    /// Everything, in a form of its own where this device wrote it (Android).
    Echo,
    /// Everything.
    All,
}

/// How an entry is shown to one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Not at all; it counts as sent.
    Hidden,
    /// As everybody sees it.
    Plain,
    /// As the echo of what this device wrote.
    Echo,
}

/// Decides how a socket is shown an entry.
///
/// `mine`: the socket's principal wrote it; `this_device`: so did the socket's device.
pub const fn shown(own: OwnEntries, mine: bool, this_device: bool) -> Shown {
    match (own, mine, this_device) {
        (_, false, _)
        | (OwnEntries::All, true, _)
        | (OwnEntries::OtherDevices | OwnEntries::Echo, true, false) => Shown::Plain,
        (OwnEntries::Echo, true, true) => Shown::Echo,
        (OwnEntries::Hidden, true, _) | (OwnEntries::OtherDevices, true, true) => Shown::Hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_never_gets_its_own_entries_and_a_user_not_those_of_its_device() {
        assert_eq!(shown(OwnEntries::Hidden, true, false), Shown::Hidden);
        assert_eq!(shown(OwnEntries::Hidden, false, false), Shown::Plain);
        assert_eq!(shown(OwnEntries::OtherDevices, true, true), Shown::Hidden);
        assert_eq!(shown(OwnEntries::OtherDevices, true, false), Shown::Plain);
        assert_eq!(shown(OwnEntries::Echo, true, true), Shown::Echo);
        assert_eq!(shown(OwnEntries::All, true, true), Shown::Plain);
    }
}
