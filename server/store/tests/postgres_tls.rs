//! TLS on the way to PostgreSQL: who answers is proven where the address asks for it, and what is
//! asked for and not offered is refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests too"
)]

mod common;

use am_store::{Clock, OpenError, PostgresUrl, Store, StoreConfig, SystemClock};
use common::cluster::Cluster;
use common::{Db, Sink, on_server, postgres_server, text};
use std::path::Path;
use std::sync::Arc;

fn config(url: &str) -> StoreConfig {
    StoreConfig::at(PostgresUrl::parse(url).unwrap())
}

fn try_open(config: StoreConfig) -> Result<Store, OpenError> {
    let (send, _outcomes) = crossbeam_channel::unbounded();
    let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
    Store::open(config, clock, Arc::new(Sink(send)))
}

fn refused(config: StoreConfig) -> OpenError {
    try_open(config).expect_err("it must be refused")
}

struct Certificates {
    authority: String,
    other: String,
    chain: String,
    key: String,
}

impl Certificates {
    fn new() -> Self {
        let authority = || {
            let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertifiedIssuer::self_signed(params, key).unwrap()
        };
        let (ours, other) = (authority(), authority());
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let chain = params.signed_by(&key, &ours).unwrap();
        Self {
            authority: ours.pem(),
            other: other.pem(),
            chain: chain.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A server that lets in only who speaks TLS, with a database `log`.
fn with_tls(certificates: &Certificates) -> Option<Cluster> {
    use std::os::unix::fs::PermissionsExt;
    let prepare = |folder: &Path| {
        for (name, text) in [
            ("server.pem", &certificates.chain),
            ("server.key", &certificates.key),
            ("ca.pem", &certificates.authority),
            ("other.pem", &certificates.other),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    };
    let settings = "ssl = on\nssl_cert_file = '../server.pem'\nssl_key_file = '../server.key'";
    let cluster = Cluster::start(settings, prepare)?;
    on_server(&cluster.url("postgres"), "CREATE DATABASE log");
    let rules = cluster.folder.path().join("data/pg_hba.conf");
    std::fs::write(rules, "hostssl all all all trust\n").unwrap();
    on_server(&cluster.url("postgres"), "SELECT pg_reload_conf()");
    Some(cluster)
}

#[test]
fn tls_proves_who_answers_where_it_is_asked_to() {
    let Some(cluster) = with_tls(&Certificates::new()) else {
        return;
    };
    let (port, folder) = (cluster.port, cluster.folder.path().display().to_string());
    let at = |host: &str, rest: &str| {
        config(&format!(
            "postgres://postgres@{host}:{port}/log?sslmode={rest}"
        ))
    };
    let works = |config: StoreConfig| {
        let db = Db::at(config);
        let (user, _, here) = db.pair_named("ada", "bot");
        assert!(db.send(here, text(user, "hello")).is_ok());
    };
    works(at(
        "localhost",
        &format!("verify-full&sslrootcert={folder}/ca.pem"),
    ));
    drop(
        try_open(at(
            "127.0.0.1",
            &format!("verify-ca&sslrootcert={folder}/ca.pem"),
        ))
        .unwrap(),
    );
    drop(try_open(at("127.0.0.1", "require")).unwrap());
    drop(try_open(at("localhost", "prefer")).unwrap());
    for (config, said) in [
        (
            at(
                "localhost",
                &format!("verify-full&sslrootcert={folder}/other.pem"),
            ),
            "TLS",
        ),
        (
            at(
                "127.0.0.1",
                &format!("verify-full&sslrootcert={folder}/ca.pem"),
            ),
            "TLS",
        ),
        (
            at("localhost", "verify-full&sslrootcert=/nowhere.pem"),
            "/nowhere.pem",
        ),
        (at("localhost", "disable"), "pg_hba.conf"),
    ] {
        let error = refused(config).to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let Some(server) = postgres_server() else {
        return;
    };
    let mut url = url::Url::parse(&server).unwrap();
    url.set_query(Some("sslmode=require"));
    let error = refused(config(url.as_str())).to_string();
    assert!(error.contains("does not offer TLS"), "{error}");
}
