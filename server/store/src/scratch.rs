//! Databases for a test or a measurement: made on a server of PostgreSQL, gone when dropped.

use crate::error::StoreError;
use crate::location::PostgresUrl;
use crate::random::random_id;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;

/// A database of its own.
#[derive(Debug)]
pub struct Scratch {
    server: PostgresUrl,
    url: PostgresUrl,
    name: String,
}

impl Scratch {
    /// Makes an empty one on the server that `server` names, whose user may make databases.
    pub fn make(server: &str) -> Result<Self, StoreError> {
        let wrong = |text: String| StoreError::Internal(text);
        let server = PostgresUrl::parse(server).map_err(wrong)?;
        let name = random_id("am_scratch_")?;
        execute(&server, &format!("CREATE DATABASE {name}"))?;
        let mut url = server.url().clone();
        url.set_path(&name);
        Ok(Self {
            url: PostgresUrl::parse(url.as_str()).map_err(wrong)?,
            server,
            name,
        })
    }

    /// Its address.
    pub const fn url(&self) -> &PostgresUrl {
        &self.url
    }

    /// Runs SQL in it as it stands.
    pub fn execute(&self, sql: &str) -> Result<(), StoreError> {
        execute(&self.url, sql)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let gone = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) = execute(&self.server, &gone) {
            tracing::warn!(%error, name = self.name, "a scratch database stays");
        }
    }
}

fn execute(url: &PostgresUrl, sql: &str) -> Result<(), StoreError> {
    let internal = |text: String| StoreError::Internal(text);
    let mut conn =
        PgConnection::establish(url.url().as_str()).map_err(|e| internal(e.to_string()))?;
    conn.batch_execute(sql).map_err(|e| internal(e.to_string()))
}
