//! Users' tokens: JWT, HS256 and nothing else, with a key id, and a login behind each.

use data_encoding::HEXLOWER;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use protocol::{ErrorCode, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

const ISSUER: &str = "agent-messenger";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Public id of the user.
    pub user_id: String,
    /// Their name.
    pub username: String,
    /// Always `agent-messenger`.
    pub iss: String,
    /// The login behind it.
    pub sid: String,
    /// This token's own name.
    pub jti: String,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
}

/// Signs and checks tokens.
pub struct Tokens {
    key_id: String,
    signing: EncodingKey,
    checking: DecodingKey,
    ttl: Duration,
}

impl Tokens {
    /// Tokens that last `ttl`, signed with `secret`.
    pub fn new(secret: &SecretString, ttl: Duration) -> Self {
        let bytes = secret.expose_secret().as_bytes();
        let digest = Sha256::digest(bytes);
        let key_id = HEXLOWER.encode(digest.as_slice()).chars().take(8).collect();
        Self {
            key_id,
            signing: EncodingKey::from_secret(bytes),
            checking: DecodingKey::from_secret(bytes),
            ttl,
        }
    }

    /// When a token made now ends.
    pub fn end(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_micros((now.seconds() + self.ttl.as_secs() as i64) * 1_000_000)
    }

    /// Signs a token that ends with its login.
    pub fn sign(
        &self,
        user_id: &str,
        username: &str,
        sid: &str,
        now: Timestamp,
    ) -> Result<String, ErrorCode> {
        let claims = Claims {
            user_id: user_id.to_owned(),
            username: username.to_owned(),
            iss: ISSUER.to_owned(),
            sid: sid.to_owned(),
            jti: super::secret::random_name().ok_or(ErrorCode::Internal)?,
            iat: now.seconds(),
            exp: self.end(now).seconds(),
        };
        let header = Header {
            kid: Some(self.key_id.clone()),
            ..Header::new(Algorithm::HS256)
        };
        encode(&header, &claims, &self.signing).map_err(|_| ErrorCode::Internal)
    }

    /// Checks signature, algorithm, key, issuer and time. Whether the login still stands is not
    /// known here.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Claims, ErrorCode> {
        let header = decode_header(token).map_err(|_| ErrorCode::Unauthorized)?;
        if header.alg != Algorithm::HS256
            || header.kid.as_deref().is_some_and(|kid| kid != self.key_id)
        {
            return Err(ErrorCode::Unauthorized);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        // The time is this server's clock, not the library's.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, &self.checking, &validation)
            .map_err(|_| ErrorCode::Unauthorized)?
            .claims;
        if claims.exp <= now.seconds() {
            Err(ErrorCode::TokenExpired)
        } else {
            Ok(claims)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64URL_NOPAD;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&secret.to_owned().into(), Duration::from_secs(3600))
    }

    #[test]
    fn a_token_is_checked_back_until_it_expires() {
        let tokens = tokens("one secret of enough length");
        let token = tokens.sign("user_1", "ann", "sid1", NOW).expect("signed");
        let claims = tokens.check(&token, NOW).expect("valid");
        assert_eq!(
            (claims.user_id.as_str(), claims.sid.as_str()),
            ("user_1", "sid1")
        );
        let later = NOW.plus_micros(3_600_000_000);
        assert_eq!(tokens.check(&token, later), Err(ErrorCode::TokenExpired));
    }

    #[test]
    fn forged_tokens_are_refused() {
        let tokens = tokens("one secret of enough length");
        let foreign = super::tests::tokens("another secret of that length")
            .sign("user_1", "ann", "s", NOW)
            .expect("signed");
        assert_eq!(tokens.check(&foreign, NOW), Err(ErrorCode::Unauthorized));
        let good = tokens.sign("user_1", "ann", "s", NOW).expect("signed");
        let body = good.split('.').nth(1).expect("a body");
        let none = BASE64URL_NOPAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        assert_eq!(
            tokens.check(&format!("{none}.{body}."), NOW),
            Err(ErrorCode::Unauthorized)
        );
        let hs512 = BASE64URL_NOPAD.encode(br#"{"alg":"HS512","typ":"JWT"}"#);
        let signature = good.rsplit('.').next().expect("a signature");
        assert_eq!(
            tokens.check(&format!("{hs512}.{body}.{signature}"), NOW),
            Err(ErrorCode::Unauthorized)
        );
        for junk in ["", "x", "a.b.c", "....", &"a".repeat(9000)] {
            assert_eq!(tokens.check(junk, NOW), Err(ErrorCode::Unauthorized));
        }
    }
}
