//! The load client's WebSocket against an independent implementation: every length of frame in
//! both directions, pings, and the close code.

use bench::socket::{Dial, Socket};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

#[tokio::test]
async fn frames_of_every_length_pass_unharmed_and_pings_are_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let stream = listener.accept().await.unwrap().0;
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let mut pongs = 0;
        socket.send(Message::Ping("one".into())).await.unwrap();
        while let Some(Ok(frame)) = socket.next().await {
            match frame {
                Message::Text(text) if text.as_str() == "end" => break,
                Message::Text(text) => socket.send(Message::Text(text)).await.unwrap(),
                Message::Pong(body) => pongs += usize::from(body.as_ref() == b"one"),
                _ => {}
            }
        }
        let goodbye = CloseFrame {
            code: CloseCode::Library(4008),
            reason: "too slow".into(),
        };
        socket.close(Some(goodbye)).await.unwrap();
        pongs
    });
    let dial = Dial {
        address,
        path: "/x".to_owned(),
        protocol: None,
        receive_buffer: Some(8192),
    };
    let mut socket = Socket::open(&dial).await.unwrap();
    let texts: Vec<String> = [0, 1, 124, 125, 126, 127, 65_535, 65_536, 200_000]
        .map(|length| "y".repeat(length))
        .into();
    for text in &texts {
        let (left, right) = text.split_at(text.len() / 3);
        socket.out.text(&[left.as_bytes(), right.as_bytes()]);
    }
    let mut back: Vec<String> = Vec::new();
    while back.len() < texts.len() {
        socket.step().await.unwrap();
        socket
            .drain(|text, _| back.push(String::from_utf8(text.to_vec()).unwrap()))
            .unwrap();
    }
    assert!(
        back == texts,
        "lengths {:?}",
        back.iter().map(String::len).collect::<Vec<_>>()
    );
    socket.out.text(&[b"end"]);
    while socket.closed().is_none() {
        socket.step().await.unwrap();
        socket.drain(|_, _| ()).unwrap();
    }
    assert_eq!(socket.closed(), Some(4008));
    assert_eq!(server.await.unwrap(), 1);
}

#[tokio::test]
async fn a_refused_upgrade_names_the_status() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = listener.accept().await.unwrap().0;
        let mut request = [0_u8; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream
            .write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno")
            .await
            .unwrap();
    });
    let dial = Dial {
        address,
        path: "/x".to_owned(),
        protocol: Some("v1"),
        receive_buffer: None,
    };
    let error = Socket::open(&dial).await.err().unwrap();
    assert!(error.to_string().contains("401"), "{error}");
    server.await.unwrap();
}
