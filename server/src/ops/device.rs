//! Devices: each has its own positions.

use super::of_store;
use crate::node::Node;
use protocol::ErrorCode;
use protocol::event::Refusal;
use store::{DeviceKey, Principal};

/// The name of an agent's one device.
pub const OF_AGENT: &str = "agent";

/// The device of a principal by its name; made where it is new, marked as used.
pub async fn open(node: &Node, principal: Principal, name: &str) -> Result<DeviceKey, Refusal> {
    let (wanted, now) = (name.to_owned(), node.clock.now());
    let opened = node
        .store
        .write(move |conn| store::device::find_or_create(conn, principal, &wanted, now))
        .await;
    let device = opened
        .map_err(|error| of_store(error, ErrorCode::Internal))?
        .key;
    node.devices.insert((principal, name.to_owned()), device);
    Ok(device)
}

/// The same for a caller that comes again and again: looked up once an hour.
pub async fn known(node: &Node, principal: Principal, name: &str) -> Result<DeviceKey, Refusal> {
    if let Some(device) = node.devices.get(&(principal, name.to_owned())) {
        return Ok(*device);
    }
    open(node, principal, name).await
}
