//! The two socket endpoints: credentials are checked before the upgrade (with `?auth=frame`, in
//! the first frame after it), the sub-protocol is returned only if it was asked for, and the
//! session starts on this worker.

use super::MESSENGER;
use super::agents::fields;
use super::caller::{bearer, header, login_device};
use crate::auth::{AgentCredentials, AgentIdentity, AgentProof, UserIdentity};
use crate::connection::Connection;
use crate::doors::extract::{Params, RequestId};
use crate::doors::middleware::{Edge, origin::Standing};
use crate::error::ApiError;
use crate::limits::connections::Full;
use crate::limits::{ClientAddress, ConnectionGuard, Enforcement, FrameBuckets, Refusals};
use crate::node::Node;
use crate::ops;
use crate::session::wire::Wire;
use crate::session::{Setup, Slots, Who, start};
use actix_web::http::header::{HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, Session as Socket};
use domain::own::OwnEntries;
use futures_util::StreamExt;
use protocol::messenger::{Variant, decode};
use protocol::{AgentId, CloseCode, Command, DeviceId, ErrorCode, Party, PrincipalKind};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use store::Principal;

/// How long a socket may stay without credentials.
const FIRST_FRAME: Duration = Duration::from_secs(5);

/// This worker's part of the ring.
#[derive(Clone)]
pub struct Worker {
    /// Its index.
    pub index: usize,
    /// Its sessions.
    pub slots: Slots,
}

/// What a connect may carry in its query; never logged.
#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    device_id: Option<String>,
    #[serde(default)]
    protocol_version: Option<String>,
    #[serde(default)]
    ack: bool,
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default)]
    agent_secret: Option<String>,
    #[serde(default)]
    agent_token: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    personality: Option<String>,
    #[serde(default)]
    specialty: Option<String>,
}

/// What the handshake asks for.
struct Asked {
    /// Returned in the answer.
    sub_protocol: Option<&'static str>,
    version: Option<&'static str>,
    /// `bearer.<token>` among the sub-protocols.
    token: Option<String>,
}

impl Asked {
    fn of(headers: &HeaderMap, query: &Query) -> Self {
        let mut asked = Self {
            sub_protocol: None,
            version: None,
            token: None,
        };
        let lists = headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .filter_map(|value| value.to_str().ok());
        for word in lists.flat_map(|list| list.split(',')).map(str::trim) {
            if let Some(token) = word.strip_prefix("bearer.") {
                asked.token.get_or_insert_with(|| token.to_owned());
            } else if asked.sub_protocol.is_none() {
                asked.sub_protocol = known(word);
            }
        }
        asked.version = asked
            .sub_protocol
            .or_else(|| query.protocol_version.as_deref().and_then(known));
        asked
    }
}

fn known(word: &str) -> Option<&'static str> {
    ["v1", "v2"].into_iter().find(|version| *version == word)
}

/// How a socket wants its frames.
#[derive(Debug, Clone, Copy)]
struct Way {
    variant: Variant,
    cursor_aware: bool,
}

/// Both sides of an upgraded socket.
type Opened = (Socket, AggregatedMessageStream);

/// Everything about one handshake.
struct Handshake {
    node: Data<Node>,
    worker: Worker,
    request: HttpRequest,
    address: ClientAddress,
    guard: ConnectionGuard,
    asked: Asked,
    request_id: String,
}

impl Handshake {
    fn begin(
        node: Data<Node>,
        worker: &Worker,
        request: HttpRequest,
        address: ClientAddress,
        query: &Query,
        request_id: &RequestId,
    ) -> Result<Self, ApiError> {
        refuse_foreign_pages(&request)?;
        if node.draining.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(ApiError::new(ErrorCode::ShuttingDown));
        }
        if header(request.headers(), "sec-websocket-key").is_none() {
            return Err(ApiError::because(
                ErrorCode::InvalidRequest,
                "this route is a WebSocket: send an upgrade request",
            ));
        }
        let guard = node.sockets.open(address.ip).map_err(|full| match full {
            Full::Address => ApiError::because(
                ErrorCode::TooManyConnections,
                "too many sockets from this address",
            ),
            Full::Total => ApiError::because(
                ErrorCode::TooManyConnections,
                "the server has no more sockets",
            ),
        })?;
        let asked = Asked::of(request.headers(), query);
        let request_id = request_id.0.to_string();
        Ok(Self {
            node,
            worker: worker.clone(),
            request,
            address,
            guard,
            asked,
            request_id,
        })
    }

    fn upgrade(
        &self,
        payload: Payload,
    ) -> Result<(HttpResponse, Socket, AggregatedMessageStream), ApiError> {
        let wanted: Vec<&str> = self.asked.sub_protocol.into_iter().collect();
        let upgraded = actix_ws::handle_with_protocols(&self.request, payload, &wanted);
        let (response, socket, messages) = upgraded.map_err(|error| {
            ApiError::because(
                ErrorCode::InvalidRequest,
                format!("not a WebSocket upgrade: {error}"),
            )
        })?;
        let limit = self.node.config.limits.max_ws_message_size as usize;
        let messages = messages
            .max_frame_size(limit)
            .aggregate_continuations()
            .max_continuation_size(limit);
        Ok((response, socket, messages))
    }

    /// `device`: its name, and what the client called it.
    async fn start(
        self,
        who: Who,
        party: Party,
        device: (String, Option<DeviceId>),
        way: Way,
        (socket, messages): Opened,
    ) -> Result<(), ApiError> {
        let Way {
            variant,
            cursor_aware,
        } = way;
        let principal = who.principal();
        let key = ops::device::open(&self.node, principal, &device.0).await?;
        let kind = party.kind;
        let setup = Setup {
            who,
            device: key,
            device_id: device.1,
            wire: Wire {
                dialect: &MESSENGER,
                variant: variant as u8,
                own: own_entries(variant),
                cursor_aware,
            },
            version: if variant.is_v2() { "v2" } else { "v1" },
            buckets: FrameBuckets::new(kind, self.node.config.limits.enforcement()),
            refusals: (self.node.config.limits.enforcement() == Enforcement::On)
                .then(Refusals::new),
            guard: self.guard,
            address: self.address.ip,
            connection: self.request.conn_data::<Arc<Connection>>().cloned(),
            heartbeat_timeout: if kind == PrincipalKind::Agent {
                self.node.heartbeat.monitored_timeout()
            } else {
                None
            },
            request_id: self.request_id,
            party,
        };
        tracing::debug!(
            request_id = setup.request_id,
            variant = variant.name(),
            "socket opened"
        );
        start(
            setup,
            self.node.into_inner(),
            &self.worker.slots,
            self.worker.index,
            socket,
            messages,
        );
        Ok(())
    }
}

/// A page of another origin may not open a socket with somebody's token.
fn refuse_foreign_pages(request: &HttpRequest) -> Result<(), ApiError> {
    let standing = request
        .app_data::<Data<Edge>>()
        .map(|edge| edge.origins.standing(request.headers(), request.uri()));
    if standing == Some(Standing::Foreign) {
        Err(ApiError::new(ErrorCode::OriginNotAllowed))
    } else {
        Ok(())
    }
}

const fn own_entries(variant: Variant) -> OwnEntries {
    match variant {
        Variant::AgentPlain | Variant::AgentV1 | Variant::AgentV2 => OwnEntries::Hidden,
        Variant::UserDevice | Variant::UserV1 | Variant::UserPlain => OwnEntries::OtherDevices,
        Variant::Android => OwnEntries::Echo,
        Variant::UserV2 => OwnEntries::All,
    }
}

/// `GET /client/connect`
pub(super) async fn client(
    node: Data<Node>,
    worker: Data<Worker>,
    address: ClientAddress,
    request_id: RequestId,
    request: HttpRequest,
    Params(query): Params<Query>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let handshake = Handshake::begin(node, &worker, request, address, &query, &request_id)?;
    let device_id = query
        .device_id
        .clone()
        .filter(|id| !id.is_empty())
        .map(DeviceId::parse)
        .transpose();
    let device_id =
        device_id.map_err(|error| ApiError::because(ErrorCode::InvalidRequest, error.0))?;
    let from_header = bearer(handshake.request.headers()).map(str::to_owned);
    let by_header = from_header.is_some();
    let variant = user_variant(&handshake.asked, device_id.is_some(), by_header);
    let way = Way {
        variant,
        cursor_aware: query.ack || variant.is_v2(),
    };
    let token = from_header
        .or_else(|| query.token.clone())
        .or_else(|| handshake.asked.token.clone());
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        let user = handshake.node.auth.user(&token).await?;
        let (response, socket, messages) = handshake.upgrade(payload)?;
        start_user(handshake, user, device_id, way, (socket, messages)).await?;
        return Ok(response);
    }
    if query.auth.as_deref() != Some("frame") {
        return Err(ApiError::because(
            ErrorCode::Unauthorized,
            "missing token parameter",
        ));
    }
    let (response, socket, messages) = handshake.upgrade(payload)?;
    actix_web::rt::spawn(first_frame(handshake, device_id, way, socket, messages));
    Ok(response)
}

async fn start_user(
    handshake: Handshake,
    user: UserIdentity,
    device_id: Option<DeviceId>,
    way: Way,
    opened: Opened,
) -> Result<(), ApiError> {
    let name = device_id
        .as_ref()
        .map_or_else(|| login_device(&user.sid), |id| format!("device:{id}"));
    let party = Party::new(PrincipalKind::User, user.id.text());
    let who = Who::User {
        key: user.key,
        sid: user.sid,
        expires_at: user.expires_at,
    };
    handshake
        .start(who, party, (name, device_id), way, opened)
        .await
}

/// Credentials in the first frame, within five seconds.
async fn first_frame(
    handshake: Handshake,
    device_id: Option<DeviceId>,
    way: Way,
    socket: Socket,
    mut messages: AggregatedMessageStream,
) {
    let node = handshake.node.clone();
    let first = actix_rt::time::timeout(FIRST_FRAME, messages.next()).await;
    let user = match first {
        Ok(Some(Ok(AggregatedMessage::Text(text)))) => match decode(&text, false) {
            Ok(Command::Auth { token }) => node
                .auth
                .user(&token)
                .await
                .map_err(|_| CloseCode::Unauthenticated),
            _ => Err(CloseCode::BadFrame),
        },
        Ok(Some(Ok(_) | Err(_))) => Err(CloseCode::BadFrame),
        Ok(None) | Err(_) => Err(CloseCode::Unauthenticated),
    };
    let code = match user {
        Ok(user) => {
            let started =
                start_user(handshake, user, device_id, way, (socket.clone(), messages)).await;
            if started.is_ok() {
                return;
            }
            CloseCode::Internal
        }
        Err(code) => code,
    };
    node.metrics.closed(code);
    let reason = actix_ws::CloseReason {
        code: code.code().into(),
        description: Some(code.reason().into()),
    };
    drop(socket.close(Some(reason)).await);
}

fn user_variant(asked: &Asked, named_device: bool, by_header: bool) -> Variant {
    match (asked.version, named_device, by_header) {
        (Some("v2"), _, _) => Variant::UserV2,
        (Some(_), true, _) => Variant::UserDevice,
        (Some(_), false, _) => Variant::UserV1,
        (None, _, true) => Variant::Android,
        (None, _, false) => Variant::UserPlain,
    }
}

/// `GET /agent/connect`
pub(super) async fn agent(
    node: Data<Node>,
    worker: Data<Worker>,
    address: ClientAddress,
    request_id: RequestId,
    request: HttpRequest,
    Params(query): Params<Query>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let handshake = Handshake::begin(node, &worker, request, address, &query, &request_id)?;
    let shown = credentials(&handshake, &query)?;
    let variant = match handshake.asked.version {
        Some("v2") => Variant::AgentV2,
        Some(_) => Variant::AgentV1,
        None => Variant::AgentPlain,
    };
    let way = Way {
        variant,
        cursor_aware: query.ack || variant.is_v2(),
    };
    let fields = fields(query.name, query.model, query.personality, query.specialty)?;
    let identity = handshake
        .node
        .auth
        .agent(shown, Some(fields), handshake.address.ip)
        .await?;
    refuse_takeovers(&handshake.node, &identity)?;
    let (response, socket, messages) = handshake.upgrade(payload)?;
    let party = Party::new(PrincipalKind::Agent, identity.id.text());
    let who = Who::Agent {
        key: identity.key,
        new_token: identity.new_token,
    };
    let device = (ops::device::OF_AGENT.to_owned(), None);
    handshake
        .start(who, party, device, way, (socket, messages))
        .await?;
    Ok(response)
}

fn credentials(handshake: &Handshake, query: &Query) -> Result<AgentCredentials, ApiError> {
    let headers = handshake.request.headers();
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let id = given(query.agent_id.as_deref()).or_else(|| given(header(headers, "x-agent-id")));
    let id = id.ok_or_else(|| {
        ApiError::because(ErrorCode::InvalidRequest, "missing agent_id parameter")
    })?;
    let id = AgentId::parse(id)
        .map_err(|error| ApiError::because(ErrorCode::InvalidRequest, error.0))?;
    let secret =
        given(query.agent_secret.as_deref()).or_else(|| given(header(headers, "x-agent-secret")));
    let token = given(query.agent_token.as_deref())
        .or_else(|| given(bearer(headers)))
        .or_else(|| handshake.asked.token.clone());
    let proof = match (token, secret) {
        (Some(token), _) => AgentProof::Token(token),
        (None, Some(secret)) => AgentProof::Secret(secret),
        (None, None) => {
            return Err(ApiError::because(
                ErrorCode::Unauthorized,
                "missing agent_secret parameter",
            ));
        }
    };
    Ok(AgentCredentials { id, proof })
}

/// Two processes that fight for one id would replace each other for ever.
fn refuse_takeovers(node: &Node, identity: &AgentIdentity) -> Result<(), ApiError> {
    let principal = Principal::agent(identity.key);
    if node.directory.live(principal).is_none() {
        return Ok(());
    }
    node.takeovers
        .take(identity.key)
        .map_err(|seconds| ApiError::new(ErrorCode::AgentInUse).retry_after(seconds))
}
