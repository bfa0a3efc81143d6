//! What stands in a message of a run: who sent it, in which lane, the how-manieth it is, and when
//! it was meant to leave, in fixed places, then filling up to the wanted size. So any receiver
//! can check order and completeness without help from the server, and read the delay.

/// Shortest body, bytes.
pub const BODY_BYTES_MIN: usize = HEAD;
const HEAD: usize = 1 + LANE + NUMBER + SENT;
const LANE: usize = 8;
const NUMBER: usize = 12;
const SENT: usize = 16;

/// Which of a lane's two members sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The user.
    User,
    /// The agent.
    Agent,
}

impl Side {
    /// The other member.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::User => Self::Agent,
            Self::Agent => Self::User,
        }
    }
}

/// The numbered part of a body. A lane is one conversation of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    /// Who sent it.
    pub side: Side,
    /// The lane's number in the run.
    pub lane: u32,
    /// The how-manieth message of this side in this lane, from 0.
    pub number: u64,
    /// When it was meant to leave, [`crate::clock::now_ns`].
    pub sent_ns: u64,
}

impl Body {
    /// The head as text bytes; filling follows it.
    pub fn head(&self) -> [u8; HEAD] {
        let mut head = [b'0'; HEAD];
        let (side, rest) = head.split_at_mut(1);
        side.fill(if self.side == Side::User { b'u' } else { b'a' });
        let (lane, rest) = rest.split_at_mut(LANE);
        let (number, sent) = rest.split_at_mut(NUMBER);
        put_hex(lane, u64::from(self.lane));
        put_hex(number, self.number);
        put_hex(sent, self.sent_ns);
        head
    }

    /// Reads a body; `None` if it is not one of a run.
    pub fn read(content: &str) -> Option<Self> {
        let (side, rest) = content.as_bytes().split_first()?;
        let side = match side {
            b'u' => Side::User,
            b'a' => Side::Agent,
            _ => return None,
        };
        let lane = take_hex(rest.get(..LANE)?)? as u32;
        let number = take_hex(rest.get(LANE..LANE + NUMBER)?)?;
        let sent_ns = take_hex(rest.get(LANE + NUMBER..LANE + NUMBER + SENT)?)?;
        Some(Self {
            side,
            lane,
            number,
            sent_ns,
        })
    }
}

/// The filling that brings a body to `bytes`.
pub fn filling(bytes: usize) -> Vec<u8> {
    vec![b'x'; bytes.saturating_sub(HEAD)]
}

fn put_hex(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        let nibble = (value & 15) as u8;
        *digit = if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + nibble - 10
        };
        value >>= 4;
    }
}

fn take_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_reads_back_as_it_was_written() {
        let body = Body {
            side: Side::Agent,
            lane: 499,
            number: 123_456_789,
            sent_ns: u64::MAX / 3,
        };
        let mut text = body.head().to_vec();
        text.extend(filling(128));
        assert_eq!(text.len(), 128);
        assert_eq!(Body::read(std::str::from_utf8(&text).unwrap()), Some(body));
    }

    #[test]
    fn text_of_others_is_not_a_body() {
        assert_eq!(Body::read("hello"), None);
        assert_eq!(Body::read(""), None);
        assert_eq!(Body::read(&"z".repeat(128)), None);
    }
}
