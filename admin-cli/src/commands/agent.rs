//! Agents: make one with its token, list them, replace a token.

use crate::args::{Args, CreateAgent, ResetAgentToken};
use crate::ask;
use crate::database::{Database, Missing};
use crate::failure::Failure;
use crate::output::Output;
use crate::token::Token;
use protocol::{AgentId, limits};
use serde::Serialize;
use store::{AgentFields, AgentRow, Overwrite, StoreError, agent};

#[derive(Serialize)]
struct Shown {
    agent_id: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    model: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    personality: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    specialty: String,
    /// It has a token of its own and has used it.
    bound: bool,
    created_at: String,
}

impl Shown {
    fn of(row: AgentRow) -> Self {
        Self {
            agent_id: row.id.to_string(),
            name: row.name,
            model: row.model,
            personality: row.personality,
            specialty: row.specialty,
            bound: row.bound,
            created_at: row.created_at.to_string(),
        }
    }
}

#[derive(Serialize)]
struct WithToken {
    #[serde(flatten)]
    agent: Shown,
    agent_token: String,
}

impl WithToken {
    fn print(self, what: &str, output: Output) -> Result<(), Failure> {
        let (id, token) = (&self.agent.agent_id, &self.agent_token);
        let text = format!("{what} {id}. Its token is shown only now:\n\n    {token}\n");
        output.result(&self, &text)
    }
}

/// `create-agent`.
pub(crate) fn create(args: &Args, wanted: &CreateAgent, output: Output) -> Result<(), Failure> {
    let id = agent_id(wanted.agent_id.as_ref())?;
    let fields = fields(wanted)?;
    let token = Token::random("at_")?;
    let database = Database::open(args, Missing::Create)?;
    let (name, hash) = (id.clone(), token.hash);
    let row = database.write(move |conn| {
        if agent::find(conn, &id)?.is_some() {
            return Err(StoreError::Conflict);
        }
        let (row, _) = agent::upsert(conn, &id, fields, Overwrite::All)?;
        agent::set_token(conn, row.key, hash)?;
        Ok(row)
    });
    let row = row.map_err(|error| match error {
        StoreError::Conflict => Failure::Refused(format!("an agent {name} exists already")),
        other => other.into(),
    })?;
    WithToken {
        agent: Shown::of(row),
        agent_token: token.text,
    }
    .print("Made agent", output)
}

/// `list-agents`.
pub(crate) fn list(args: &Args, output: Output) -> Result<(), Failure> {
    let database = Database::open(args, Missing::Refuse)?;
    let rows = database.read(agent::list)?;
    let agents: Vec<Shown> = rows.into_iter().map(Shown::of).collect();
    let cells = |a: &Shown| {
        let bound = if a.bound { "yes" } else { "no" };
        vec![
            a.agent_id.clone(),
            a.name.clone(),
            a.model.clone(),
            bound.to_owned(),
            a.created_at.clone(),
        ]
    };
    output.list(
        &agents,
        &["ID", "NAME", "MODEL", "BOUND", "CREATED"],
        cells,
        "No agents.",
    )
}

/// `reset-agent-token`.
pub(crate) fn reset_token(
    args: &Args,
    wanted: &ResetAgentToken,
    output: Output,
) -> Result<(), Failure> {
    let id = agent_id(wanted.agent_id.as_ref())?;
    ask::confirm(
        args.yes,
        &format!("the present token of {id} stops working"),
    )?;
    let token = Token::random("at_")?;
    let database = Database::open(args, Missing::Refuse)?;
    let (name, hash) = (id.clone(), token.hash);
    let row = database.write(move |conn| {
        let row = agent::find(conn, &id)?.ok_or(StoreError::NotFound)?;
        agent::set_token(conn, row.key, hash)?;
        Ok(row)
    });
    let row = row.map_err(|error| match error {
        StoreError::NotFound => Failure::Refused(format!("there is no agent {name}")),
        other => other.into(),
    })?;
    WithToken {
        agent: Shown::of(row),
        agent_token: token.text,
    }
    .print("New token for agent", output)
}

fn agent_id(given: Option<&String>) -> Result<AgentId, Failure> {
    let text = ask::required(given, "Agent ID")?;
    AgentId::parse(text).map_err(|error| Failure::Refused(error.to_string()))
}

/// What was given; the rest is asked for only where the id was asked for too.
fn fields(wanted: &CreateAgent) -> Result<AgentFields, Failure> {
    let ask = |given: &Option<String>, label: &str| match given {
        None if wanted.agent_id.is_none() => ask::optional(label),
        given => Ok(given.clone()),
    };
    let fields = AgentFields {
        name: ask(&wanted.name, "Name (optional)")?,
        model: ask(&wanted.model, "Model (optional)")?,
        personality: ask(&wanted.personality, "Personality (optional)")?,
        specialty: ask(&wanted.specialty, "Specialty (optional)")?,
    };
    let all = [
        &fields.name,
        &fields.model,
        &fields.personality,
        &fields.specialty,
    ];
    if all
        .into_iter()
        .flatten()
        .any(|text| text.len() > limits::AGENT_FIELD_BYTES)
    {
        let most = limits::AGENT_FIELD_BYTES;
        return Err(Failure::Refused(format!(
            "name, model, personality and specialty are at most {most} bytes each"
        )));
    }
    Ok(fields)
}
