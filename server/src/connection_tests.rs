use super::*;
use crate::doors::extract::Body;
use crate::doors::listener::tune;
use crate::doors::middleware::edge;
use crate::doors::middleware::tests::edge_with;
use crate::limits::{Caps, Enforcement};
use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, rt, web};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

const PATIENCE: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(10);
const COMPLETE: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n\r\n{\"a\":1}";
const UNFINISHED: &str = "POST / HTTP/1.1\r\nhost: a\r\nx-slow: ";
const WAITING: &str = "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";

async fn echo(body: Body<Value>) -> web::Json<Value> {
    web::Json(body.0)
}

async fn wait(until: web::Data<Notify>) -> String {
    until.notified().await;
    "done".to_owned()
}

struct Running {
    address: SocketAddr,
    watch: Arc<Watch>,
    until: web::Data<Notify>,
    handle: ServerHandle,
}

fn serve() -> Running {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let places = Connections::new(Caps::CONNECTIONS, Enforcement::On);
    let watch = Arc::new(Watch::with_patience(places, Proxies::default(), PATIENCE));
    let until = web::Data::new(Notify::new());
    let (data, notify, on_connect) = (
        edge_with(Enforcement::Lifted, &[]),
        until.clone(),
        Arc::clone(&watch),
    );
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(notify.clone())
            .wrap(from_fn(edge))
            .route("/", web::post().to(echo))
            .route("/wait", web::get().to(wait))
    });
    let server = tune(server, 1, 100).on_connect(move |io, kept| on_connect.on_connect(io, kept));
    let server = server.listen(listener).unwrap().run();
    let handle = server.handle();
    rt::spawn(server);
    Running {
        address,
        watch,
        until,
        handle,
    }
}

/// Sweeps until a connection was ended.
async fn sweep_until_one_ends(watch: &Watch) {
    let mut every = tokio::time::interval(PATIENCE);
    tokio::time::timeout(LIMIT, async {
        while watch.sweep() == 0 {
            every.tick().await;
        }
    })
    .await
    .unwrap();
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let read = tokio::time::timeout(LIMIT, stream.read(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

#[actix_web::test]
async fn a_slow_second_head_ends_the_connection_too() {
    let running = serve();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(COMPLETE.as_bytes()).await.unwrap();
    assert!(read_some(&mut stream).await.starts_with("HTTP/1.1 200"));
    stream.write_all(UNFINISHED.as_bytes()).await.unwrap();
    sweep_until_one_ends(&running.watch).await;
    assert_eq!(read_some(&mut stream).await, "");
    running.handle.stop(false).await;
}

#[actix_web::test]
async fn a_request_in_hand_is_never_ended_however_long_it_takes() {
    let running = serve();
    let mut waiting = TcpStream::connect(running.address).await.unwrap();
    waiting.write_all(WAITING.as_bytes()).await.unwrap();
    // Another connection that idles for the whole patience shows that the time has passed.
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(COMPLETE.as_bytes()).await.unwrap();
    assert!(read_some(&mut idle).await.starts_with("HTTP/1.1 200"));
    sweep_until_one_ends(&running.watch).await;
    assert_eq!(read_some(&mut idle).await, "");
    running.until.notify_one();
    assert!(read_some(&mut waiting).await.ends_with("done"));
    running.handle.stop(false).await;
}

#[actix_web::test]
async fn a_connection_over_the_cap_of_its_address_is_ended_at_once_and_a_place_comes_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let places = Connections::new(
        Caps {
            per_address: 1,
            total: 9,
        },
        Enforcement::On,
    );
    let watch = Watch::new(places.clone(), Proxies::default());
    let address = listener.local_addr().unwrap();
    let mut accepted = Vec::new();
    for place_is_free in [true, false] {
        let mut client = TcpStream::connect(address).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let mut kept = Extensions::new();
        watch.keep(&stream, Some(peer.ip()), &mut kept);
        assert_eq!(kept.contains::<Arc<Connection>>(), place_is_free);
        if !place_is_free {
            assert_eq!(read_some(&mut client).await, "");
        }
        accepted.push((client, stream, kept));
    }
    drop(accepted);
    assert_eq!(places.open_total(), 0);
}

#[actix_web::test]
async fn connections_of_trusted_proxies_take_no_place() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let places = Connections::new(
        Caps {
            per_address: 1,
            total: 1,
        },
        Enforcement::On,
    );
    let watch = Watch::new(places.clone(), Proxies::default());
    let _client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut kept = Extensions::new();
    watch.on_connect(&stream, &mut kept);
    assert!(kept.contains::<Arc<Connection>>());
    assert_eq!(places.open_total(), 0);
}
