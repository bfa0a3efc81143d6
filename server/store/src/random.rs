//! Public ids from 128 random bits. The operating system's generator is asked each time: an id
//! must not be guessable from another.

use crate::error::StoreError;

const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: u32 = 26;

/// `prefix` (such as `user_`) and 26 characters of lower-case base32: 128 random bits.
pub fn random_id(prefix: &str) -> Result<String, StoreError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| StoreError::Internal(format!("no randomness: {e}")))?;
    let number = u128::from_be_bytes(bytes);
    let mut id = String::with_capacity(prefix.len() + DIGITS as usize);
    id.push_str(prefix);
    for place in (0..DIGITS).rev() {
        let digit = (number >> (5 * place)) & 31;
        id.push(BASE32.get(digit as usize).map_or('0', |b| char::from(*b)));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_well_formed_and_differ() {
        let (a, b) = (random_id("conv_").unwrap(), random_id("conv_").unwrap());
        assert_eq!(a.len(), 31);
        assert_ne!(a, b);
        assert!(protocol::ConversationId::parse(a).is_ok());
    }
}
