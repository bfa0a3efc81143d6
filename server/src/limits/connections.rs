//! Caps on what is open at once: TCP connections, and live sockets, each per address and in
//! total. Whoever opens something holds a guard; dropping it gives the place back, whatever way
//! the connection ends. The caps in total hold even where limits are lifted.

use super::Enforcement;
use super::address::counting_key;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many may be open at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// From one address (IPv6: one /64).
    pub per_address: usize,
    /// From everywhere.
    pub total: usize,
}

impl Caps {
    /// Live sockets: enough for a household of agents behind one address.
    pub const SOCKETS: Self = Self {
        per_address: 500,
        total: 50_000,
    };
    /// TCP connections: sockets, and the HTTP connections beside them.
    pub const CONNECTIONS: Self = Self {
        per_address: 600,
        total: 60_000,
    };
}

/// Which cap was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// This address has too many open.
    #[error("too many connections from this address")]
    Address,
    /// The server has too many open.
    #[error("the server has too many connections")]
    Total,
}

/// Counts what is open. Clones share the count.
#[derive(Debug, Clone)]
pub struct Connections {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    caps: Caps,
    enforcement: Enforcement,
    total: AtomicUsize,
    by_address: DashMap<IpAddr, usize>,
}

/// One open place; dropping it gives the place back.
#[derive(Debug)]
pub struct ConnectionGuard {
    shared: Arc<Shared>,
    key: IpAddr,
}

impl Connections {
    /// Nothing open yet.
    pub fn new(caps: Caps, enforcement: Enforcement) -> Self {
        let shared = Shared {
            caps,
            enforcement,
            total: AtomicUsize::new(0),
            by_address: DashMap::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Takes a place for `ip`.
    pub fn open(&self, ip: IpAddr) -> Result<ConnectionGuard, Full> {
        let shared = &self.shared;
        let admit = |open: usize| (open < shared.caps.total).then_some(open + 1);
        if shared
            .total
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, admit)
            .is_err()
        {
            return Err(Full::Total);
        }
        // From here on the guard gives the place in the total back.
        let key = counting_key(ip);
        let mut open = shared.by_address.entry(key).or_insert(0);
        if *open >= shared.caps.per_address && shared.enforcement == Enforcement::On {
            shared.total.fetch_sub(1, Ordering::AcqRel);
            return Err(Full::Address);
        }
        *open += 1;
        drop(open);
        Ok(ConnectionGuard {
            shared: Arc::clone(shared),
            key,
        })
    }

    /// How many are open.
    pub fn open_total(&self) -> usize {
        self.shared.total.load(Ordering::Acquire)
    }

    /// How many addresses have one open.
    pub fn addresses(&self) -> usize {
        self.shared.by_address.len()
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.shared.total.fetch_sub(1, Ordering::AcqRel);
        if let Entry::Occupied(mut open) = self.shared.by_address.entry(self.key) {
            if *open.get() <= 1 {
                open.remove();
            } else {
                *open.get_mut() -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAPS: Caps = Caps {
        per_address: 2,
        total: 3,
    };

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, last])
    }

    #[test]
    fn an_address_and_the_whole_are_capped_and_a_dropped_guard_frees_a_place() {
        let open = Connections::new(CAPS, Enforcement::On);
        let first = open.open(ip(1)).unwrap();
        let _second = open.open(ip(1)).unwrap();
        assert_eq!(open.open(ip(1)).unwrap_err(), Full::Address);
        let _third = open.open(ip(2)).unwrap();
        assert_eq!(open.open(ip(3)).unwrap_err(), Full::Total);
        drop(first);
        let _again = open.open(ip(1)).unwrap();
        assert_eq!(open.open_total(), 3);
    }

    #[test]
    fn lifted_limits_keep_the_cap_in_total() {
        let open = Connections::new(CAPS, Enforcement::Lifted);
        let guards: Vec<_> = (0..3).map(|_| open.open(ip(1)).unwrap()).collect();
        assert_eq!(open.open(ip(1)).unwrap_err(), Full::Total);
        drop(guards);
        assert_eq!((open.open_total(), open.addresses()), (0, 0));
    }

    #[test]
    fn a_thousand_connections_from_one_address_are_refused_beyond_the_cap() {
        let open = Connections::new(Caps::SOCKETS, Enforcement::On);
        let guards: Vec<_> = (0..1_000).filter_map(|_| open.open(ip(1)).ok()).collect();
        assert_eq!(guards.len(), Caps::SOCKETS.per_address);
        assert!(open.open(ip(2)).is_ok());
    }

    proptest! {
        #[test]
        fn counts_return_to_zero_in_any_order(steps in prop::collection::vec((any::<bool>(), 0_u8..3), 0..60)) {
            let open = Connections::new(CAPS, Enforcement::On);
            let mut held: Vec<ConnectionGuard> = Vec::new();
            for (opens, last) in steps {
                if opens {
                    held.extend(open.open(ip(last)));
                } else if !held.is_empty() {
                    held.remove(usize::from(last) % held.len());
                }
                prop_assert_eq!(open.open_total(), held.len());
            }
            held.clear();
            prop_assert_eq!((open.open_total(), open.addresses()), (0, 0));
        }
    }
}
