//! A line in the data directory that says where administration is reached, so that `am-admin` finds
//! the server that uses the database. No secret: that stands in a file of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

const FILE: &str = "admin.url";

/// Leaves the address, or removes what an earlier server left.
pub(super) fn put(folder: &Path, address: Option<SocketAddr>) {
    let Some(address) = address else {
        return take_back(folder);
    };
    let ip = if address.ip().is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        address.ip()
    };
    let line = format!("http://{}\n", SocketAddr::new(ip, address.port()));
    // With PostgreSQL there may be no data directory: then the operator names the address.
    if folder.is_dir()
        && let Err(error) = std::fs::write(folder.join(FILE), line)
    {
        tracing::warn!(%error, "am-admin will not find this server by itself");
    }
}

/// Removes the line.
pub(super) fn take_back(folder: &Path) {
    match std::fs::remove_file(folder.join(FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::debug!(%error, "the address of administration stays");
        }
        _ => {}
    }
}
