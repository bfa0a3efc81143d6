//! Where a session starts: the snapshot of conversations above the device's positions, or above
//! those that the client names. Taken after the session stands in the directory, so that nothing
//! falls between the snapshot and live delivery.

use super::actor::Session;
use super::outbound::Phase;
use crate::node::Node;
use crate::ops::entry::Names;
use actix::{AsyncContext, Context, WrapFuture};
use protocol::event::Refusal;
use protocol::{ConversationId, ErrorCode, Event, Position};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::conversation::find;
use store::{Conn, ConversationKey, DeviceKey, Principal, StoreError};

/// One conversation where the session starts.
struct Start {
    key: ConversationKey,
    id: ConversationId,
    from: Position,
    end: Position,
}

/// The client's own map.
pub(super) type Positions = Option<BTreeMap<ConversationId, Position>>;

/// Takes the snapshot; deliveries that arrive meanwhile wait in the feed.
pub(super) fn begin(session: &mut Session, positions: Positions, ctx: &mut Context<Session>) {
    let outbound = session.outbound();
    let told = outbound.phase() == Phase::AwaitingResume;
    outbound.enter(Phase::Starting);
    session
        .node
        .positions
        .attach(session.setup.device, session.me.id);
    let snapshot = snapshot(
        Arc::clone(&session.node),
        session.setup.device,
        session.setup.who.principal(),
        positions,
    );
    let done = actix::fut::ActorFutureExt::map(
        snapshot.into_actor(session),
        move |starts, session: &mut Session, _| match starts {
            Ok(starts) => session.start_from(starts, told),
            Err(error) => {
                tracing::warn!(%error, "a session could not look up where to start");
                session
                    .outbound()
                    .answer(&Event::Error(Refusal::new(ErrorCode::StorageUnavailable)));
                session.outbound().close(protocol::CloseCode::Internal);
            }
        },
    );
    ctx.spawn(done);
}

impl Session {
    fn start_from(&self, starts: Vec<Start>, told: bool) {
        let outbound = self.outbound();
        if told {
            let positions = starts
                .iter()
                .map(|start| (start.id.clone(), start.from))
                .collect();
            outbound.answer(&Event::Resumed { positions });
        }
        for start in starts {
            outbound.learn(&start.id, start.key);
            outbound.with_feed(|feed| feed.begin(start.key, Some(start.from), start.end));
        }
        outbound.enter(Phase::Running);
    }
}

async fn snapshot(
    node: Arc<Node>,
    device: DeviceKey,
    principal: Principal,
    positions: Positions,
) -> Result<Vec<Start>, StoreError> {
    let _turn = node.session_reads.acquire().await;
    node.store
        .read(move |conn| {
            let mut starts = named(conn, principal, positions.unwrap_or_default())?;
            for behind in store::position::behind(conn, device, principal)? {
                if starts.iter().all(|start| start.key != behind.key) {
                    let from = Position {
                        seq: behind.position.seq.max(behind.joined_seq),
                        ..behind.position
                    };
                    let end = Position {
                        seq: behind.last_seq,
                        rev: behind.last_rev,
                    };
                    starts.push(Start {
                        key: behind.key,
                        id: behind.id,
                        from,
                        end,
                    });
                }
            }
            Ok(starts)
        })
        .await
}

/// The client's positions, never above the log's end: a position from another history (a restored
/// backup) would otherwise hide what is new.
fn named(
    conn: &mut Conn,
    principal: Principal,
    positions: BTreeMap<ConversationId, Position>,
) -> Result<Vec<Start>, StoreError> {
    let mut starts = Vec::with_capacity(positions.len());
    for (id, position) in positions {
        let Some(row) = find(conn, &id)? else {
            continue;
        };
        let Some(joined_seq) = Names::load(conn, row.key)?.joined(principal) else {
            continue;
        };
        let end = Position {
            seq: store::message::last_seq(conn, row.key)?,
            rev: store::change::page_above(conn, row.key, i64::MAX, 0)?.last_rev,
        };
        let from = Position {
            seq: position.seq.clamp(0, end.seq).max(joined_seq),
            rev: position.rev.clamp(0, end.rev),
        };
        starts.push(Start {
            key: row.key,
            id,
            from,
            end,
        });
    }
    Ok(starts)
}
