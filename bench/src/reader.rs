//! Clients over HTTP for load: one request under way on a connection that stays open, read where
//! it lies. They know what this server answers and no more.

use crate::clock::now_ns;
use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LONGEST_NS: u64 = 60_000_000_000;

/// A request, as it goes over the wire each time.
pub fn get(address: SocketAddr, path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

/// What clients measured together.
#[derive(Debug)]
pub struct Reads {
    /// Delays, nanoseconds.
    pub delays: Histogram<u64>,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// From the first request to the end.
    pub seconds: f64,
}

impl Reads {
    /// A quantile in milliseconds.
    pub fn ms(&self, quantile: f64) -> f64 {
        self.delays.value_at_quantile(quantile) as f64 / 1e6
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.delays.len() as f64 / self.seconds.max(1e-9)
    }
}

/// Lets `clients` ask for the same again and again for this long.
pub async fn repeat(
    address: SocketAddr,
    request: &[u8],
    clients: u64,
    span: Duration,
) -> anyhow::Result<Reads> {
    let shared = Rc::new(RefCell::new((
        Histogram::new_with_bounds(1_000, LONGEST_NS, 3)?,
        0_u64,
    )));
    let begin = now_ns();
    let end = begin + u64::try_from(span.as_nanos())?;
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (request, shared) = (request.to_vec(), Rc::clone(&shared));
        tasks.push(tokio::task::spawn_local(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut buffer = Vec::with_capacity(256 * 1024);
            while now_ns() < end {
                let asked = now_ns();
                let bytes = once(&mut stream, &request, &mut buffer).await?;
                let mut kept = shared.borrow_mut();
                kept.0.saturating_record(now_ns() - asked);
                kept.1 += bytes as u64;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let seconds = (now_ns() - begin) as f64 / 1e9;
    let kept = shared.borrow();
    Ok(Reads {
        delays: kept.0.clone(),
        bytes: kept.1,
        seconds,
    })
}

/// One request and its answer, which must be a success; gives the size of the body.
pub async fn once(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> anyhow::Result<usize> {
    stream.write_all(request).await?;
    buffer.clear();
    loop {
        ensure!(
            stream.read_buf(buffer).await? > 0,
            "the server ended the connection"
        );
        let Some(head) = buffer.windows(4).position(|part| part == b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(buffer.get(..head).unwrap_or_default())?;
        if !text.starts_with("HTTP/1.1 200") {
            bail!(
                "the server answered {}",
                text.lines().next().unwrap_or_default()
            );
        }
        let length = text
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse::<usize>()
                    .ok()
            })
            .context("an answer without a length")?;
        while buffer.len() < head + 4 + length {
            ensure!(
                stream.read_buf(buffer).await? > 0,
                "the server ended the connection in an answer"
            );
        }
        return Ok(length);
    }
}
