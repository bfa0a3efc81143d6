//! The bus of one process: posts to the conversation actor in this process's directory.

use super::Bus;
use crate::conversation::Committed;
use crate::mailbox::post;
use crate::registry::{Directory, Orphaned, Registry};
use actix::Addr;
use std::sync::{Arc, OnceLock};
use store::ConversationKey;

/// Delivers within this process.
pub struct LocalBus {
    directory: Arc<Directory>,
    /// Set once the registry runs; facts before that have nobody to go to.
    registry: OnceLock<Addr<Registry>>,
}

impl LocalBus {
    /// A bus over `directory`.
    pub fn new(directory: Arc<Directory>) -> Arc<Self> {
        Arc::new(Self {
            directory,
            registry: OnceLock::new(),
        })
    }

    /// Tells the bus who starts actors that are missing.
    pub fn serve(&self, registry: Addr<Registry>) {
        let _: Result<(), _> = self.registry.set(registry);
    }
}

impl Bus for LocalBus {
    fn publish(&self, conversation: ConversationKey, committed: Committed) {
        match self.directory.conversation(conversation) {
            Some(mailbox) if mailbox.addr().connected() => post(mailbox.addr(), committed),
            // Its actor died with sends under way: the successor tells the members.
            _ => {
                if let Some(registry) = self.registry.get() {
                    post(
                        registry,
                        Orphaned {
                            conversation,
                            committed,
                        },
                    );
                }
            }
        }
    }
}
