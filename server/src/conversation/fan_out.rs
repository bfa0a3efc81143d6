//! Who gets a committed entry: the live sessions of every member and subscriber, the sender's
//! other devices included, grouped by worker.

use super::outbox;
use crate::registry::{Directory, Live};
use crate::session::wire::Encoded;
use crate::session::{CommittedEntry, Delivery, EntryDelivery};
use protocol::{Entry, Event};
use std::sync::Arc;
use store::{ConversationKey, DeviceKey, Principal};

/// A committed entry and where it came from.
pub(super) struct Fact {
    /// Whose log.
    pub conversation: ConversationKey,
    /// The entry.
    pub entry: Arc<Entry>,
    /// Who wrote it.
    pub sender: Principal,
    /// With which device.
    pub device: Option<DeviceKey>,
}

/// Encodes a fact once for each wire that is online and puts it in the outbox.
pub(super) fn deliver(directory: &Directory, members: impl Iterator<Item = Principal>, fact: Fact) {
    let mut live: smallvec::SmallVec<[Arc<Live>; 4]> = members
        .filter_map(|member| directory.live(member))
        .collect();
    live.extend(directory.subscribers(fact.conversation));
    if live.is_empty() {
        return;
    }
    let event = Event::Entry(Arc::clone(&fact.entry));
    let mut frames = Encoded::default();
    for sessions in &live {
        for wire in &sessions.wires {
            frames.add(wire, &event);
        }
    }
    let Fact {
        conversation,
        entry,
        sender,
        device,
    } = fact;
    let entry = Arc::new(CommittedEntry {
        conversation,
        entry,
        sender,
        device,
        frames,
    });
    for sessions in &live {
        for (worker, targets) in &sessions.by_worker {
            let delivery = EntryDelivery {
                targets: Arc::clone(targets),
                entry: Arc::clone(&entry),
            };
            outbox::add(*worker, Delivery::Entry(delivery));
        }
    }
}
