//! The two listeners: the public one with every door, and the admin one.

use super::health::Source;
use super::proxies;
use crate::connection::Watch;
use crate::doors::admin;
use crate::doors::extract::RequestId;
use crate::doors::health::{self, Probes};
use crate::doors::listener::{HEAD_TIME, tune};
use crate::doors::messenger::{self, Worker};
use crate::doors::middleware::origin::Origins;
use crate::doors::middleware::{Edge, Identify, edge};
use crate::error::ApiError;
use crate::limits::connections::Caps;
use crate::limits::{Connections, Proxies, Tier, TierKey, Tiers};
use crate::node::Node;
use crate::session::{Hub, Slots};
use crate::tls::Certificates;
use actix::Actor;
use actix_web::dev::{Extensions, ServerHandle, ServiceRequest};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer, ResponseError};
use protocol::ErrorCode;
use rustls::ServerConfig;
use std::any::Any;
use std::net::TcpListener;
use std::sync::Arc;

/// Serves both; returns what stops them.
pub(super) fn all(
    node: &Arc<Node>,
    listener: TcpListener,
    admin_listener: Option<TcpListener>,
    certificates: Option<&Arc<Certificates>>,
) -> anyhow::Result<Vec<ServerHandle>> {
    let source = Arc::new(Source {
        node: Arc::clone(node),
        started_at: node.clock.now(),
    });
    let probes = Probes {
        metrics: Arc::clone(&node.metrics),
        source,
    };
    let proxies = proxies(&node.config)?;
    let edge_of = |tls| Data::new(edge_of(node, proxies.clone(), tls));
    let edge_data = edge_of(certificates.is_some());
    let tls = certificates.map(Certificates::server_config).transpose()?;
    let public = public(node, &probes, &edge_data, proxies.clone(), (listener, tls))?;
    let mut servers = vec![public];
    if let Some(listener) = admin_listener {
        servers.push(administration(node, &probes, &edge_of(false), listener)?);
    }
    Ok(servers)
}

fn edge_of(node: &Arc<Node>, proxies: Proxies, tls: bool) -> Edge {
    Edge {
        metrics: Arc::clone(&node.metrics),
        proxies,
        origins: Origins::new(node.config.server.cors_allowed_origins.split(',')),
        tiers: Tiers::new(node.config.limits.enforcement()),
        identify: Arc::new(BySignature(Arc::clone(node))),
        tls,
    }
}

fn public(
    node: &Arc<Node>,
    probes: &Probes,
    edge_data: &Data<Edge>,
    proxies: Proxies,
    (listener, tls): (TcpListener, Option<ServerConfig>),
) -> anyhow::Result<ServerHandle> {
    let (data, probes, edge_data) = (
        Data::from(Arc::clone(node)),
        probes.clone(),
        edge_data.clone(),
    );
    let workers = match node.config.server.workers {
        0 => std::thread::available_parallelism()
            .map_or(1, |cores| cores.get().saturating_sub(1).max(1)),
        workers => workers,
    };
    let metrics_public = node.config.server.metrics_public;
    let (hubs, metrics) = (Arc::clone(&node.hubs), Arc::clone(&node.metrics));
    let server = HttpServer::new(move || {
        let slots = Slots::default();
        let index = hubs.enter(Hub::new(slots.clone(), Arc::clone(&metrics)).start());
        App::new()
            .app_data(edge_data.clone())
            .app_data(data.clone())
            .app_data(Data::new(probes.clone()))
            .app_data(Data::new(Worker { index, slots }))
            .configure(health::routes)
            .configure(|config| public_metrics(config, metrics_public))
            .configure(messenger::routes)
            .configure(admin::api)
            .default_service(web::to(nothing_here))
            .wrap(from_fn(edge))
    });
    let limits = &node.config.limits;
    // A little above the sockets, for requests beside them.
    let caps = Caps {
        per_address: limits.max_sockets_per_address * 2,
        total: limits.max_sockets * 2,
    };
    let watch = Arc::new(Watch::new(
        Connections::new(caps, limits.enforcement()),
        proxies,
    ));
    actix_rt::spawn(Arc::clone(&watch).run());
    let server = tune(server, workers, limits.max_sockets * 2)
        .on_connect(move |io: &dyn Any, kept: &mut Extensions| watch.on_connect(io, kept));
    let server = match tls {
        Some(tls) => server
            .tls_handshake_timeout(HEAD_TIME)
            .listen_rustls_0_23(listener, tls)?,
        None => server.listen(listener)?,
    }
    .run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok(handle)
}

fn administration(
    node: &Arc<Node>,
    probes: &Probes,
    edge_data: &Data<Edge>,
    listener: TcpListener,
) -> anyhow::Result<ServerHandle> {
    let (data, probes, edge_data) = (
        Data::from(Arc::clone(node)),
        probes.clone(),
        edge_data.clone(),
    );
    let server = HttpServer::new(move || {
        App::new()
            .app_data(edge_data.clone())
            .app_data(data.clone())
            .app_data(Data::new(probes.clone()))
            .configure(admin::routes)
            .configure(admin::api)
            .default_service(web::to(nothing_here))
            .wrap(from_fn(edge))
    });
    let server = tune(server, 1, 64).listen(listener)?.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok(handle)
}

fn public_metrics(config: &mut web::ServiceConfig, wanted: bool) {
    if wanted {
        config.service(web::resource("/metrics").route(health::get_or_head().to(admin::metrics)));
    }
}

async fn nothing_here(request_id: RequestId) -> HttpResponse {
    ApiError::new(ErrorCode::NotFound)
        .for_request(request_id.0)
        .error_response()
}

/// Counts a request for whom its signature names; whether the login stands is checked later.
struct BySignature(Arc<Node>);

impl Identify for BySignature {
    fn identify(&self, request: &ServiceRequest) -> Option<(TierKey, Tier)> {
        let text = |name: &str| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        if let (Some(agent), Some(secret)) = (text("x-agent-id"), text("x-agent-secret")) {
            let known = self.0.auth.is_agent_secret(secret)
                && protocol::AgentId::parse(agent.to_owned()).is_ok();
            return known.then(|| (TierKey::Agent(agent.to_owned().into()), Tier::default()));
        }
        let token = text("authorization")?;
        let token = token.strip_prefix("Bearer ").unwrap_or(token);
        let user = self.0.auth.signed_for(token)?;
        Some((TierKey::User(user.into()), Tier::default()))
    }
}
