//! A WebSocket client for load: it shares the cores of the server that it measures, so it reads
//! many frames with one system call, parses them where they lie, and writes a batch at once.
//! It answers pings, keeps the close code, and does not check the handshake's hash: it talks to
//! one known server on the loopback. It does not reassemble fragments, which that server never
//! sends, and refuses them.

use anyhow::{Context, bail, ensure};
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};

const READ_BYTES: usize = 64 * 1024;
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where and how to connect.
#[derive(Debug, Clone)]
pub struct Dial {
    /// The server.
    pub address: SocketAddr,
    /// Path and query.
    pub path: String,
    /// Sub-protocol to ask for.
    pub protocol: Option<&'static str>,
    /// Kernel receive buffer in bytes; a small one lets a reader that stops be felt soon.
    pub receive_buffer: Option<u32>,
}

/// One open connection.
pub struct Socket {
    stream: TcpStream,
    inbound: Vec<u8>,
    start: usize,
    end: usize,
    /// What will be written by the next [`Socket::step`].
    pub out: Outbox,
    closed: Option<u16>,
}

/// Frames on their way out, already masked.
#[derive(Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    mask: u32,
}

/// One frame in the read buffer: where its payload lies.
struct Found {
    opcode: u8,
    payload: std::ops::Range<usize>,
}

impl Outbox {
    /// Appends one text frame whose payload is the parts in order.
    pub fn text(&mut self, parts: &[&[u8]]) {
        self.frame(0x1, parts);
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.written
    }

    fn frame(&mut self, opcode: u8, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.bytes.push(0x80 | opcode);
        match length {
            0..=125 => self.bytes.push(0x80 | length as u8),
            126..=0xffff => {
                self.bytes.push(0xfe);
                self.bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                self.bytes.push(0xff);
                self.bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        self.mask = self
            .mask
            .wrapping_mul(0x9e37_79b1)
            .wrapping_add(0x7f4a_7c15);
        let key = self.mask.to_le_bytes();
        self.bytes.extend_from_slice(&key);
        let from = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        let (body, word) = (
            self.bytes.get_mut(from..).unwrap_or_default(),
            u64::from(self.mask),
        );
        let word = (word | word << 32).to_le_bytes();
        let mut chunks = body.chunks_exact_mut(8);
        for chunk in &mut chunks {
            chunk
                .iter_mut()
                .zip(word)
                .for_each(|(byte, key)| *byte ^= key);
        }
        chunks
            .into_remainder()
            .iter_mut()
            .zip(word)
            .for_each(|(byte, key)| *byte ^= key);
    }

    fn write_to(&mut self, stream: &TcpStream) -> anyhow::Result<()> {
        while let Some(rest) = self
            .bytes
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match stream.try_write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("the server ended the connection"),
            }
        }
        self.bytes.clear();
        self.written = 0;
        Ok(())
    }
}

impl Socket {
    /// Connects and upgrades. A refusal names the status line and the body's beginning.
    pub async fn open(dial: &Dial) -> anyhow::Result<Self> {
        let socket = if dial.address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(bytes) = dial.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket
            .connect(dial.address)
            .await
            .context("cannot connect to the server")?;
        stream.set_nodelay(true)?;
        let mut socket = Self {
            stream,
            inbound: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            out: Outbox {
                mask: 1,
                ..Outbox::default()
            },
            closed: None,
        };
        socket.upgrade(dial).await?;
        Ok(socket)
    }

    async fn upgrade(&mut self, dial: &Dial) -> anyhow::Result<()> {
        let protocol = dial
            .protocol
            .map(|p| format!("Sec-WebSocket-Protocol: {p}\r\n"))
            .unwrap_or_default();
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{protocol}\r\n",
            dial.path, dial.address
        );
        self.out.bytes.extend_from_slice(request.as_bytes());
        loop {
            self.step().await?;
            let read = self.inbound.get(..self.end).unwrap_or_default();
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(read);
                let status = head.lines().next().unwrap_or_default();
                ensure!(
                    status.contains(" 101 "),
                    "the upgrade was refused: {}",
                    refusal(&head)
                );
                self.start = at + 4;
                return Ok(());
            }
            ensure!(self.end < HEAD_BYTES_MAX, "the upgrade's answer has no end");
            ensure!(
                self.closed.is_none(),
                "the server closed the connection during the upgrade"
            );
        }
    }

    /// Writes what waits, then waits until the socket can be read (or written, if something is
    /// left over) and reads once. May be dropped while it waits.
    pub async fn step(&mut self) -> anyhow::Result<()> {
        self.out.write_to(&self.stream)?;
        let interest = if self.out.waiting() > 0 {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let ready = self.stream.ready(interest).await?;
        if ready.is_writable() {
            self.out.write_to(&self.stream)?;
        }
        if ready.is_readable() {
            self.read_once();
        }
        Ok(())
    }

    fn read_once(&mut self) {
        if self.start > 0 {
            self.inbound.copy_within(self.start..self.end, 0);
            (self.end, self.start) = (self.end - self.start, 0);
        }
        if self.end == self.inbound.len() {
            self.inbound.resize(self.inbound.len() * 2, 0);
        }
        let space = self.inbound.get_mut(self.end..).unwrap_or_default();
        match self.stream.try_read(space) {
            Ok(0) => self.closed = self.closed.or(Some(1006)),
            Ok(count) => self.end += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.closed = self.closed.or(Some(1006)),
        }
    }

    /// Hands every whole text frame that was read to `each`, which may append to the outbox.
    /// Pings are answered in between, at their place.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8], &mut Outbox)) -> anyhow::Result<()> {
        while let Some(found) = self.find()? {
            let payload = self.inbound.get(found.payload.clone()).unwrap_or_default();
            match found.opcode {
                0x1 => each(payload, &mut self.out),
                0x8 => {
                    let code = payload
                        .first_chunk::<2>()
                        .map_or(1005, |two| u16::from_be_bytes(*two));
                    self.closed = Some(code);
                    self.out.frame(0x8, &[payload.get(..2).unwrap_or_default()]);
                }
                0x9 => self.out.frame(0xa, &[payload]),
                0xa => {}
                opcode => bail!("a frame with opcode {opcode}, which this client does not read"),
            }
            self.start = found.payload.end;
        }
        Ok(())
    }

    /// The close code, once the server has closed; 1006 if it did so without one.
    pub fn closed(&self) -> Option<u16> {
        self.closed
    }

    fn find(&self) -> anyhow::Result<Option<Found>> {
        let read = self.inbound.get(self.start..self.end).unwrap_or_default();
        let Some(&[first, second]) = read.first_chunk::<2>() else {
            return Ok(None);
        };
        ensure!(
            first & 0x80 != 0,
            "a fragmented frame, which this client does not read"
        );
        ensure!(second & 0x80 == 0, "a masked frame from the server");
        let after = read.get(2..).unwrap_or_default();
        let (header, length) = match second {
            126 => match after.first_chunk::<2>() {
                Some(two) => (4, usize::from(u16::from_be_bytes(*two))),
                None => return Ok(None),
            },
            127 => match after.first_chunk::<8>() {
                Some(eight) => (10, u64::from_be_bytes(*eight) as usize),
                None => return Ok(None),
            },
            short => (2, usize::from(short)),
        };
        if read.len() - header.min(read.len()) < length {
            return Ok(None);
        }
        let from = self.start + header;
        Ok(Some(Found {
            opcode: first & 0x0f,
            payload: from..from + length,
        }))
    }
}

fn refusal(head: &str) -> String {
    let status = head.lines().next().unwrap_or_default();
    let body = head.split("\r\n\r\n").nth(1).unwrap_or_default();
    format!("{status} {}", body.chars().take(200).collect::<String>())
}
