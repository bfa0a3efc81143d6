//! The closed table of error codes that every door answers with. A code is stable: clients may
//! branch on it. The sentence may be made more precise by the place that refuses; it never
//! holds secrets, message text or internal error text.

use crate::CloseCode;
use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($( $(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $close:expr, $retryable:literal, $sentence:literal; )*) => {
        /// One of the closed list of refusals. On the wire it is `lower_snake` text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $( $(#[$doc])* #[serde(rename = $code)] $name, )*
        }

        impl ErrorCode {
            /// Every code, in the order of the documents.
            pub const ALL: &[Self] = &[ $( Self::$name, )* ];

            /// The stable text on the wire, `lower_snake`.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$name => $code, )* }
            }

            /// The HTTP status that carries this code.
            pub const fn http_status(self) -> u16 {
                match self { $( Self::$name => $status, )* }
            }

            /// The close code, where this refusal also ends a socket.
            pub const fn close_code(self) -> Option<CloseCode> {
                match self { $( Self::$name => $close, )* }
            }

            /// Whether the same request may succeed later, unchanged.
            pub const fn retryable(self) -> bool {
                match self { $( Self::$name => $retryable, )* }
            }

            /// The sentence used when the refusing place has nothing more precise to say.
            pub const fn sentence(self) -> &'static str {
                match self { $( Self::$name => $sentence, )* }
            }
        }
    };
}

error_codes! {
    /// The body or frame is not JSON.
    InvalidJson = "invalid_json", 400, None, false, "the body is not valid JSON";
    /// A field is missing, of the wrong type or out of bounds.
    InvalidRequest = "invalid_request", 400, None, false, "the request is not valid";
    /// A frame of a type that this server does not know.
    UnknownType = "unknown_type", 400, None, false, "unknown message type";
    /// A message without text.
    ContentRequired = "content_required", 400, None, false, "content is required";
    /// A message that names neither a conversation nor an agent.
    ConversationRequired = "conversation_required", 400, None, false, "conversation_id is required";
    /// No credentials, or credentials that were never valid.
    Unauthorized = "unauthorized", 401, Some(CloseCode::Unauthenticated), false, "authorization required";
    /// The token's time is over.
    TokenExpired = "token_expired", 401, Some(CloseCode::Unauthenticated), false, "the token has expired";
    /// The login behind the token was ended.
    TokenRevoked = "token_revoked", 401, Some(CloseCode::Unauthenticated), false, "the token has been revoked";
    /// Unknown user name or wrong password.
    InvalidCredentials = "invalid_credentials", 401, None, false, "invalid credentials";
    /// Wrong agent secret, or wrong agent token.
    InvalidAgentSecret = "invalid_agent_secret", 401, None, false, "invalid agent secret";
    /// The caller is known and may not do this.
    Forbidden = "forbidden", 403, None, false, "not allowed";
    /// A state-changing request from a web page of an origin that is not allowed.
    OriginNotAllowed = "origin_not_allowed", 403, None, false, "this origin is not allowed";
    /// Registration is closed for this caller.
    RegistrationClosed = "registration_closed", 403, None, false, "registration is closed here: ask the operator for an invite";
    /// An agent tried to open a conversation with a user who has none with it.
    AgentsMayNotStart = "agents_may_not_start", 403, None, false, "an agent may not open the first conversation with a user";
    /// No such route or object, or not one of the caller's.
    NotFound = "not_found", 404, None, false, "not found";
    /// No such conversation, or the caller is not a member.
    ConversationNotFound = "conversation_not_found", 404, None, false, "conversation not found";
    /// No such agent.
    AgentNotFound = "agent_not_found", 404, None, false, "agent not found";
    /// No such user.
    UserNotFound = "user_not_found", 404, None, false, "user not found";
    /// No such attachment, or not one of the caller's.
    AttachmentNotFound = "attachment_not_found", 404, None, false, "attachment not found";
    /// The route exists, but not with this method.
    MethodNotAllowed = "method_not_allowed", 405, None, false, "method not allowed";
    /// The client took too long to send its request.
    RequestTimeout = "request_timeout", 408, None, true, "the request was not complete in time";
    /// The same idempotency key with another body, or a change that clashes with what is there.
    Conflict = "conflict", 409, None, false, "the same key was used with another body";
    /// The user name is taken.
    UsernameTaken = "username_taken", 409, None, false, "username already exists";
    /// A live socket holds this agent id and was replaced too often.
    AgentInUse = "agent_in_use", 409, None, true, "another connection of this agent was replaced too often";
    /// A body, frame or field is over its limit.
    TooLarge = "too_large", 413, Some(CloseCode::TooBig), false, "too large";
    /// The content type of the body is not one that this route reads.
    UnsupportedMediaType = "unsupported_media_type", 415, None, false, "send application/json or application/x-www-form-urlencoded";
    /// Over the rate; repeat after `retry_after` seconds.
    RateLimited = "rate_limited", 429, Some(CloseCode::RateLimited), true, "rate limit exceeded";
    /// Too many connections or waiting requests from this caller.
    TooManyConnections = "too_many_connections", 429, Some(CloseCode::Full), true, "too many connections";
    /// Something broke on our side; it is logged under the request id.
    Internal = "internal", 500, Some(CloseCode::Internal), true, "internal error";
    /// A queue is full; nothing was stored.
    Overloaded = "overloaded", 503, None, true, "the server is overloaded, nothing was stored";
    /// The database refused: disk full, locked or failing.
    StorageUnavailable = "storage_unavailable", 503, None, true, "the message could not be stored";
    /// The server is stopping.
    ShuttingDown = "shutting_down", 503, Some(CloseCode::Restart), true, "the server is restarting";
    /// No answer in time; the message may have been stored.
    Timeout = "timeout", 504, Some(CloseCode::Internal), true, "may have been stored; repeat with the same key";
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_is_unique_snake_case_and_has_a_sentence() {
        let mut seen = HashSet::new();
        for code in ErrorCode::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            assert!(
                code.as_str()
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c == '_')
            );
            assert!(!code.sentence().is_empty() && !code.sentence().ends_with('.'));
            assert!((400..600).contains(&code.http_status()));
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
        }
    }
}
