//! Agents: make one with its token, list them, replace a token.

use crate::args::{Args, CreateAgent, ResetAgentToken};
use crate::ask;
use crate::desk::{Desk, Missing};
use crate::failure::Failure;
use crate::output::Output;
use protocol::admin::{Agent, AgentWithToken, NewAgent};
use protocol::{AgentId, limits};

fn print(made: &AgentWithToken, what: &str, output: Output) -> Result<(), Failure> {
    let (id, token) = (&made.agent.agent_id, &made.agent_token);
    let text = format!("{what} {id}. Its token is shown only now:\n\n    {token}\n");
    output.result(made, &text)
}

/// `create-agent`.
pub(crate) fn create(args: &Args, wanted: &CreateAgent, output: Output) -> Result<(), Failure> {
    let id = agent_id(wanted.agent_id.as_ref())?;
    let new = described(&id, wanted)?;
    let made = Desk::open(args, Missing::Create)?.create_agent(id, new)?;
    print(&made, "Made agent", output)
}

/// `list-agents`.
pub(crate) fn list(args: &Args, output: Output) -> Result<(), Failure> {
    let agents = Desk::open(args, Missing::Refuse)?.agents()?;
    let cells = |a: &Agent| {
        let bound = if a.bound { "yes" } else { "no" };
        let status = if a.banned {
            "banned"
        } else {
            a.status.as_deref().unwrap_or_default()
        };
        vec![
            a.agent_id.to_string(),
            a.name.clone(),
            a.model.clone(),
            bound.to_owned(),
            status.to_owned(),
            a.created_at.to_string(),
        ]
    };
    let head = ["ID", "NAME", "MODEL", "BOUND", "STATUS", "CREATED"];
    output.list(&agents, &head, cells, "No agents.")
}

/// `reset-agent-token`, `reset-apikey`.
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
    let made = Desk::open(args, Missing::Refuse)?.reset_token(&id)?;
    print(&made, "New token for agent", output)
}

fn agent_id(given: Option<&String>) -> Result<AgentId, Failure> {
    let text = ask::required(given, "Agent ID")?;
    AgentId::parse(text).map_err(|error| Failure::Refused(error.to_string()))
}

/// What was given; the rest is asked for only where the id was asked for too.
fn described(id: &AgentId, wanted: &CreateAgent) -> Result<NewAgent, Failure> {
    let ask = |given: &Option<String>, label: &str| match given {
        None if wanted.agent_id.is_none() => ask::optional(label),
        given => Ok(given.clone()),
    };
    let new = NewAgent {
        agent_id: id.to_string(),
        name: ask(&wanted.name, "Name (optional)")?,
        model: ask(&wanted.model, "Model (optional)")?,
        personality: ask(&wanted.personality, "Personality (optional)")?,
        specialty: ask(&wanted.specialty, "Specialty (optional)")?,
    };
    let all = [&new.name, &new.model, &new.personality, &new.specialty];
    let most = limits::AGENT_FIELD_BYTES;
    if all.into_iter().flatten().any(|text| text.len() > most) {
        return Err(Failure::Refused(format!(
            "name, model, personality and specialty are at most {most} bytes each"
        )));
    }
    Ok(new)
}
