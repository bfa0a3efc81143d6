//! Reads one conversation's next page from the log and puts it in the lane: the same frames as
//! live delivery sends, in the same order.

use super::outbound::{Outbound, Viewer};
use super::slot::Slot;
use super::wire::SharedFrames;
use crate::node::Node;
use crate::ops::entry::Names;
use domain::feed::{PageWanted, Progress};
use domain::own::Shown;
use protocol::{Event, Position, limits};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use store::{Conn, ConversationKey, StoreError};

/// How long a session waits before it reads a page again that could not be read.
const RETRY: Duration = Duration::from_millis(200);

/// One page and what is needed to show it.
struct Page {
    names: Names,
    stored: Position,
    entries: store::message::Page,
    changes: Option<store::change::ChangePage>,
    joined_seq: i64,
}

/// Reads and takes in a page in a task of its own on this thread.
pub(super) fn spawn(slot: Rc<Slot>, node: Arc<Node>, wanted: PageWanted<ConversationKey>) {
    actix::spawn(async move {
        let viewer = *slot.outbound.viewer();
        let started = std::time::Instant::now();
        // Never closed; without a turn it would only read sooner.
        let turn = node.session_reads.acquire().await;
        let page = node
            .store
            .read(move |conn| read(conn, &viewer, wanted))
            .await;
        drop(turn);
        node.metrics
            .catch_up_seconds
            .observe(started.elapsed().as_secs_f64());
        match page {
            Ok(page) => take_in(&slot.outbound, wanted.conversation, page),
            Err(StoreError::NotFound) => {
                // Deleted, or no longer a member: nothing more is wanted of it.
                slot.outbound
                    .with_feed(|feed| feed.forget(wanted.conversation));
            }
            Err(error) => {
                tracing::warn!(%error, "a catch-up page could not be read");
                actix_rt::time::sleep(RETRY).await;
                slot.outbound
                    .with_feed(|feed| feed.page_unfinished(wanted.conversation));
            }
        }
        slot.outbound.page_over();
    });
}

fn read(
    conn: &mut Conn,
    viewer: &Viewer,
    wanted: PageWanted<ConversationKey>,
) -> Result<Page, StoreError> {
    let key = wanted.conversation;
    let names = Names::load(conn, key)?;
    let joined_seq = names.joined(viewer.principal).ok_or(StoreError::NotFound)?;
    let stored = match wanted.above {
        Some(position) => position,
        None => store::position::load(conn, viewer.device, key)?,
    };
    let above = stored.seq.max(joined_seq);
    let entries = store::message::page_above(
        conn,
        key,
        above,
        limits::CATCH_UP_ROWS,
        limits::CATCH_UP_BYTES,
    )?;
    let last_read = entries.rows.last().map_or(above, |row| row.seq);
    let changes = if last_read >= entries.last_seq {
        Some(store::change::page_above(
            conn,
            key,
            stored.rev,
            limits::CATCH_UP_ROWS,
        )?)
    } else {
        None
    };
    Ok(Page {
        names,
        stored,
        entries,
        changes,
        joined_seq,
    })
}

fn take_in(outbound: &Outbound, key: ConversationKey, page: Page) {
    let Page {
        names,
        stored,
        entries,
        changes,
        joined_seq,
    } = page;
    let start = outbound.with_feed(|feed| feed.starts_at(key, stored));
    let conversation = names.conversation();
    outbound.learn(&conversation, key);
    let visible_from = entries.first_seq.max(joined_seq + 1);
    let expected = start.seq.max(joined_seq) + 1;
    if entries.first_seq > expected {
        let (from, to) = (expected, entries.first_seq - 1);
        outbound.queue(&Event::Truncated {
            conversation: conversation.clone(),
            from,
            to,
        });
    }
    outbound.with_feed(|feed| feed.sent_entry(key, visible_from - 1));
    for row in &entries.rows {
        outbound.queue_frames(frames_of(outbound, &names, row));
        outbound.with_feed(|feed| feed.sent_entry(key, row.seq));
    }
    let mut end = Position {
        seq: entries.last_seq,
        rev: start.rev,
    };
    if let Some(changes) = changes {
        take_in_changes(outbound, key, &names, start.rev, &changes);
        end.rev = changes.last_rev;
    }
    outbound.moved(key);
    let progress = outbound.with_feed(|feed| feed.page_done(key, end));
    if let Progress::Live(position) = progress {
        outbound.queue(&Event::Live {
            conversation,
            position,
        });
    }
}

fn take_in_changes(
    outbound: &Outbound,
    key: ConversationKey,
    names: &Names,
    start_rev: i64,
    changes: &store::change::ChangePage,
) {
    if changes.first_rev > start_rev + 1 {
        let rev = changes.first_rev - 1;
        outbound.queue(&Event::Resync {
            conversation: names.conversation(),
            rev,
        });
        outbound.with_feed(|feed| feed.sent_change(key, rev));
    }
    for change in &changes.rows {
        outbound.queue(&names.changed(change));
        outbound.with_feed(|feed| feed.sent_change(key, change.rev));
    }
}

/// A row of the log as this socket is shown it; hidden entries are told to sockets that count.
fn frames_of(outbound: &Outbound, names: &Names, row: &store::message::MessageRow) -> SharedFrames {
    let wire = &outbound.viewer().wire;
    if row.kind == protocol::EntryKind::Gap {
        return wire.encode(&Event::Gap {
            conversation: names.conversation(),
            from: row.seq,
            to: row.seq,
        });
    }
    match outbound.shown(row.sender, row.device) {
        Shown::Hidden => SharedFrames::from([]),
        Shown::Plain => wire.encode(&Event::Entry(Arc::new(names.entry(row)))),
        Shown::Echo => wire
            .dialect
            .encode_echo(&names.entry(row), wire.variant)
            .into(),
    }
}
