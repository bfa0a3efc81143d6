use super::*;
use crate::doors::extract::Body;
use actix_web::dev::ServerHandle;
use actix_web::{App, rt, web};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A real server on a free port; it ends with the test's runtime.
fn serve() -> (SocketAddr, ServerHandle) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = HttpServer::new(|| App::new().route("/", web::post().to(echo)));
    let server = tune(server, 1, 100).listen(listener).unwrap().run();
    let handle = server.handle();
    rt::spawn(server);
    (address, handle)
}

async fn echo(body: Body<Value>) -> web::Json<Value> {
    web::Json(body.0)
}

/// Sends `bytes` and reads until the server closes, at most `patience`.
async fn exchange(address: SocketAddr, bytes: &[u8], patience: Duration) -> (String, Duration) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await;
    assert!(
        read.is_ok(),
        "the server keeps the connection: {}",
        String::from_utf8_lossy(&answer)
    );
    (
        String::from_utf8_lossy(&answer).into_owned(),
        started.elapsed(),
    )
}

const UNFINISHED: &str = "POST / HTTP/1.1\r\nhost: a\r\nx-slow: ";

#[actix_web::test]
async fn a_head_that_is_not_complete_in_time_ends_the_connection() {
    let (address, handle) = serve();
    let patience = HEAD_TIME * 2;
    let (answer, took) = exchange(address, UNFINISHED.as_bytes(), patience).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(took >= HEAD_TIME, "{took:?}");
    handle.stop(false).await;
}
