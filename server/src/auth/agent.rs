//! Agents' credentials: the shared secret, or an agent's own token. Only failures are counted,
//! per address and never per id, so that nobody can lock a real agent out and a valid
//! credential always passes.

use super::account::banned;
use super::{Auth, secret, take};
use crate::config::AgentAuth;
use crate::ops::of_store;
use protocol::event::Refusal;
use protocol::{AgentId, ErrorCode};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use store::{AgentFields, AgentKey, AgentRow, Conn, Overwrite, Principal, StoreError};
use subtle::ConstantTimeEq;

/// What an agent shows.
pub enum AgentProof {
    /// The secret that all agents share.
    Secret(String),
    /// Its own token.
    Token(String),
}

/// An agent at the door.
pub struct AgentCredentials {
    /// Who it says it is.
    pub id: AgentId,
    /// What it shows.
    pub proof: AgentProof,
}

/// An agent that was let in.
#[derive(Debug, Clone)]
pub struct AgentIdentity {
    /// Its row.
    pub key: AgentKey,
    /// Its id.
    pub id: AgentId,
    /// Its own token, where one was made just now; shown once.
    pub new_token: Option<String>,
}

impl Auth {
    /// Lets an agent in by its secret or token. With the secret an unknown id is registered with
    /// `fields` and gets a token; a known one has its non-empty fields updated.
    pub async fn agent(
        &self,
        shown: AgentCredentials,
        fields: Option<AgentFields>,
        address: IpAddr,
    ) -> Result<AgentIdentity, Refusal> {
        let (row, kept_out) = self.find_agent(&shown.id).await?;
        let accepted = match &shown.proof {
            AgentProof::Secret(text) => self.secret_opens(text, row.as_ref()),
            AgentProof::Token(text) => token_opens(text, row.as_ref()),
        };
        if !accepted {
            return Err(self.failed(address));
        }
        if kept_out {
            return Err(banned());
        }
        match (row, shown.proof) {
            (Some(row), AgentProof::Token(_)) => self.bind(row, fields).await,
            (_, AgentProof::Secret(_)) => {
                self.enter(
                    shown.id,
                    fields.unwrap_or_default(),
                    Overwrite::NonEmpty,
                    false,
                )
                .await
            }
            (None, AgentProof::Token(_)) => Err(self.failed(address)),
        }
    }

    /// `/auth/agent`: registers an id with the shared secret, replaces its fields, and its token
    /// until the id is bound.
    pub async fn register_agent(
        &self,
        id: AgentId,
        shown: &str,
        fields: AgentFields,
        address: IpAddr,
    ) -> Result<(AgentRow, Option<String>), Refusal> {
        let (row, kept_out) = self.find_agent(&id).await?;
        if !secret::same(&self.agent_secret, shown) {
            return Err(self.failed(address));
        }
        if kept_out {
            return Err(banned());
        }
        let bound = row.as_ref().is_some_and(|row| row.bound);
        if bound && self.agent_rule != AgentAuth::Shared {
            return Err(Refusal::because(
                ErrorCode::InvalidAgentSecret,
                "this agent opens with its own token only",
            ));
        }
        let identity = self.enter(id, fields, Overwrite::All, !bound).await?;
        let (row, _) = self.find_agent(&identity.id).await?;
        let row = row.ok_or_else(|| Refusal::new(ErrorCode::AgentNotFound))?;
        Ok((row, identity.new_token))
    }

    /// The agent of this id, and whether it is kept out.
    async fn find_agent(&self, id: &AgentId) -> Result<(Option<AgentRow>, bool), Refusal> {
        let wanted = id.clone();
        let found = self
            .store
            .read(move |conn| {
                let row = store::agent::find(conn, &wanted)?;
                let kept_out = match &row {
                    Some(row) => store::ban::stands(conn, Principal::agent(row.key))?,
                    None => false,
                };
                Ok((row, kept_out))
            })
            .await;
        found.map_err(|error| of_store(error, ErrorCode::AgentNotFound))
    }

    fn secret_opens(&self, shown: &str, row: Option<&AgentRow>) -> bool {
        let same = secret::same(&self.agent_secret, shown);
        let allowed = match self.agent_rule {
            AgentAuth::Shared => true,
            AgentAuth::Bound => !row.is_some_and(|row| row.bound),
            AgentAuth::Token => false,
        };
        same && allowed
    }

    /// A failure; too many of one address are answered with when to come back.
    fn failed(&self, address: IpAddr) -> Refusal {
        match take(
            self.agent_failures.as_ref(),
            address,
            "rate limit exceeded: too many failed attempts",
        ) {
            Ok(()) => Refusal::new(ErrorCode::InvalidAgentSecret),
            Err(refusal) => refusal,
        }
    }

    async fn bind(
        &self,
        row: AgentRow,
        fields: Option<AgentFields>,
    ) -> Result<AgentIdentity, Refusal> {
        let (key, id) = (row.key, row.id.clone());
        if !row.bound || fields.is_some() {
            let wanted = row.id;
            let bound = self.store.write(move |conn| {
                if let Some(fields) = fields {
                    store::agent::upsert(conn, &wanted, fields, Overwrite::NonEmpty)?;
                }
                store::agent::set_bound(conn, key)
            });
            bound
                .await
                .map_err(|error| of_store(error, ErrorCode::AgentNotFound))?;
        }
        Ok(AgentIdentity {
            key,
            id,
            new_token: None,
        })
    }

    async fn enter(
        &self,
        id: AgentId,
        fields: AgentFields,
        overwrite: Overwrite,
        renew: bool,
    ) -> Result<AgentIdentity, Refusal> {
        let token = secret::random_token("at_").ok_or_else(|| Refusal::new(ErrorCode::Internal))?;
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let entered = self
            .store
            .write(move |conn| upsert(conn, &id, fields, overwrite, hash, renew))
            .await;
        let (row, issued) = entered.map_err(|error| of_store(error, ErrorCode::AgentNotFound))?;
        Ok(AgentIdentity {
            key: row.key,
            id: row.id,
            new_token: issued.then_some(token),
        })
    }
}

fn upsert(
    conn: &mut Conn,
    id: &AgentId,
    fields: AgentFields,
    overwrite: Overwrite,
    hash: [u8; 32],
    renew: bool,
) -> Result<(AgentRow, bool), StoreError> {
    let (row, created) = store::agent::upsert(conn, id, fields, overwrite)?;
    let issue = created || renew;
    if issue {
        store::agent::set_token(conn, row.key, hash)?;
    }
    Ok((row, issue))
}

fn token_opens(shown: &str, row: Option<&AgentRow>) -> bool {
    let hash: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
    row.and_then(|row| row.token_hash)
        .is_some_and(|stored| stored.ct_eq(&hash).into())
}
