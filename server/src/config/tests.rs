use super::*;
use std::time::Duration;

fn args(args: &[&str]) -> Vec<OsString> {
    let args = std::iter::once("agent-messenger").chain(args.iter().copied());
    args.map(OsString::from).collect()
}

fn variables(pairs: &[(&str, &str)]) -> Environment {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn parse(flags: &[&str]) -> Result<Config, Unusable> {
    Config::parse_from_args(args(flags), &Environment::new())
}

fn with(flags: &[&str], env: &[(&str, &str)]) -> Result<Config, Unusable> {
    Config::parse_from_args(args(flags), &variables(env))
}

/// A settings file, and the flags that name it.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("am.toml");
    std::fs::write(&path, text).expect("written");
    (folder, path.display().to_string())
}

fn problems(unusable: &Unusable) -> Vec<String> {
    match unusable {
        Unusable::Problems(problems) => problems.iter().map(ToString::to_string).collect(),
        Unusable::CommandLine(error) => panic!("{error}"),
    }
}

#[test]
fn without_settings_there_are_defaults() {
    let config = parse(&[]).expect("defaults are valid");
    assert_eq!(config.server.port, 8080);
    assert_eq!(config.auth.registration(), Registration::Local);
    assert_eq!(config.auth.jwt_ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(config.limits.max_ws_message_size, 65_536);
    assert!(config.sources.is_empty() && config.warnings.is_empty());
}

#[test]
fn long_flags_take_one_dash_or_two() {
    assert_eq!(parse(&["-port", "9000"]).expect("valid").server.port, 9000);
    let both = parse(&["--port=9001", "-db", "x.db"]).expect("valid");
    assert_eq!(both.server.port, 9001);
    assert_eq!(parse(&["-version"]).expect_err("prints").exit_code(), 0);
}

#[test]
fn a_flag_wins_over_the_environment_which_wins_over_the_file() {
    let (_folder, path) = file("[server]\nport = 1001\nhost = \"::1\"\nworkers = 3\n");
    let env = [("PORT", "1002"), ("HOST", "127.0.0.2")];
    let config = with(&["--config", &path, "--port", "1003"], &env).expect("valid");
    assert_eq!(config.server.port, 1003);
    assert_eq!(config.server.host, "127.0.0.2");
    assert_eq!(config.server.workers, 3);
    assert_eq!(config.sources["host"], Source::Env("HOST".to_owned()));
    assert_eq!(config.sources["workers"].to_string(), format!("{path}:4"));
}

#[test]
fn the_file_is_found_by_its_variable_and_must_be_there() {
    let (_folder, path) = file("[log]\nlog_level = \"debug\"\n");
    let config = with(&[], &[("CONFIG_FILE", &path)]).expect("valid");
    assert_eq!(config.log.level, "debug");
    let error = parse(&["--config", "/nowhere.toml"]).expect_err("missing");
    assert!(problems(&error)[0].contains("/nowhere.toml"), "{error}");
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let (_folder, path) = file(
        "[server]\nport = 70000\nprot = 80\n\n[databse]\ndb = \"x\"\n\n[limits]\nworkers = 2\nmax_sockets = { a = 1 }\n",
    );
    let env = [
        ("JWT_TTL", "soon"),
        ("TLS_CERT", "/nowhere.pem"),
        ("NODE_ID", "one"),
    ];
    let error = with(&["--config", &path], &env).expect_err("all wrong");
    assert_eq!(error.exit_code(), 2);
    let told = problems(&error);
    for (place, said) in [
        (format!("{path}:2: "), "70000"),
        (format!("{path}:3: "), "did you mean port?"),
        (format!("{path}:6: "), "did you mean [database]?"),
        (format!("{path}:9: "), "belongs into [server]"),
        (format!("{path}:10: "), "takes a text"),
        ("JWT_TTL: ".to_owned(), "expected a duration"),
        (
            "NODE_ID: ".to_owned(),
            "expected a whole number, not \"one\"",
        ),
        ("TLS_CERT is set and TLS_KEY is not".to_owned(), ""),
        ("TLS_CERT: cannot read /nowhere.pem".to_owned(), ""),
    ] {
        assert!(
            told.iter()
                .any(|p| p.starts_with(&place) && p.contains(said)),
            "{place}{said} in {told:#?}"
        );
    }
    assert_eq!(told.len(), 9, "{told:#?}");
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    let (_folder, path) = file("[server]\nport = \n");
    let error = parse(&["--config", &path]).expect_err("broken");
    assert!(
        problems(&error)[0].starts_with(&format!("{path}:2: ")),
        "{error}"
    );
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own_but_not_twice() {
    use secrecy::ExposeSecret;
    let (_folder, path) = file("a-secret-of-a-good-length\n");
    let config = with(&[], &[("JWT_SECRET_FILE", &path)]).expect("valid");
    let secret = config.auth.jwt_secret.expect("read");
    assert_eq!(secret.expose_secret(), "a-secret-of-a-good-length");
    let twice = [
        ("JWT_SECRET_FILE", path.as_str()),
        ("JWT_SECRET", "another-secret-of-good-length"),
    ];
    let error = with(&[], &twice).expect_err("twice");
    assert!(problems(&error)[0].contains("leave one out"), "{error}");
    let (_other, settings) = file(&format!("[accounts]\njwt_secret_file = \"{path}\"\n"));
    assert!(parse(&["--config", &settings]).is_ok());
    let error = with(&[], &[("AGENT_SECRET_FILE", "/nowhere")]).expect_err("missing");
    assert!(
        problems(&error)[0].contains("cannot read /nowhere"),
        "{error}"
    );
}

#[test]
fn a_refused_secret_is_not_repeated() {
    for flags in [
        ["--jwt-secret", "too-short"],
        ["--database-url", "mysql://u:too-short@h/d"],
    ] {
        let error = with(&flags, &[("JWT_TTL", "soon")]).expect_err("refused");
        let told = problems(&error);
        assert!(told[0].starts_with(flags[0]), "{told:?}");
        assert!(
            told[1].starts_with("JWT_TTL"),
            "the rest is told too: {told:?}"
        );
        assert!(!error.to_string().contains("too-short"), "{error}");
    }
    let error = with(&[], &[("JWT_SECRET", "too-short")]).expect_err("short");
    let text = error.to_string();
    assert!(
        text.contains("JWT_SECRET: ") && text.contains("16 characters"),
        "{text}"
    );
    assert!(!text.contains("too-short"), "{text}");
}

#[test]
fn an_empty_variable_is_none_and_a_slip_is_warned_about() {
    let env = [
        ("PORT", ""),
        ("DATABASE_URL", ""),
        ("JWT_SECRT", "x"),
        ("HOME", "/root"),
    ];
    let config = with(&[], &env).expect("valid");
    assert_eq!(config.server.port, 8080);
    assert_eq!(
        config.warnings,
        ["JWT_SECRT is not a setting: JWT_SECRET is"]
    );
}

#[test]
fn what_is_in_force_is_shown_with_its_source_and_without_secrets() {
    let env = variables(&[("JWT_SECRET", "a-secret-of-a-good-length"), ("PORT", "81")]);
    let shown = Config::in_force(args(&["--host", "h"]), &env).expect("valid");
    for line in [
        "port = \"81\" # PORT",
        "host = \"h\" # --host",
        "jwt_secret = \"***\" # JWT_SECRET",
        "auth_rate_limit = \"30\" # default",
        "# database_url is not set",
    ] {
        assert!(
            shown.lines().any(|shown| shown == line),
            "{line} in\n{shown}"
        );
    }
    assert!(!shown.contains("good-length"));
    let (_folder, path) = file(&shown.replace("\"***\"", "\"a-secret-of-a-good-length\""));
    let again = parse(&["--config", &path]).expect("it is a settings file");
    assert_eq!((again.server.port, again.server.host.as_str()), (81, "h"));
}

#[test]
fn a_public_url_closes_registration_unless_it_is_opened() {
    let url = ["--public-url", "https://am.example"];
    let closed = parse(&url).expect("valid");
    assert_eq!(closed.auth.registration(), Registration::Closed);
    let open = parse(&[url[0], url[1], "--registration", "open"]).expect("valid");
    assert_eq!(open.auth.registration(), Registration::Open);
}

#[test]
fn a_database_url_chooses_postgresql() {
    let place = |flags: &[&str]| {
        let config = parse(flags).expect("valid");
        config.database.store("data".as_ref()).location.to_string()
    };
    let url = "postgres://am:x@db.example/log";
    assert_eq!(
        place(&["--database-url", url, "--db", "x.db"]),
        "postgres://am:***@db.example/log"
    );
    assert_eq!(place(&["--database-url", "", "--db", "x.db"]), "x.db");
    assert_eq!(place(&[]), "data/agent-messenger.db");
}

#[test]
fn bad_flags_name_the_setting_and_exit_with_2() {
    for (flags, named) in [
        (vec!["--port", "70000"], "--port"),
        (vec!["--jwt-ttl", "soon"], "--jwt-ttl"),
        (vec!["--registration", "maybe"], "--registration"),
        (
            vec!["--trusted-proxies", "10.0.0.0/99"],
            "--trusted-proxies",
        ),
        (
            vec!["--jwt-secret", "change-me-to-a-random-secret"],
            "--jwt-secret",
        ),
        (vec!["--log-level", "loud=="], "--log-level"),
        (vec!["--public-url", "am.example"], "--public-url"),
        (vec!["--admin-listen", "nowhere"], "ADMIN_LISTEN"),
        (vec!["--db-driver", "postgres"], "DATABASE_URL"),
        (vec!["--db-driver", "oracle"], "sqlite"),
        (vec!["--database-url", "mysql://h/d"], "mysql"),
        (
            vec!["--db-driver", "sqlite3", "--database-url", "postgres://h/d"],
            "DB_DRIVER is sqlite",
        ),
    ] {
        let error = parse(&flags).expect_err(named);
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn the_levels_of_the_go_server_are_understood() {
    for (written, level) in [
        ("WARNING", "warn"),
        ("Debug", "debug"),
        ("info,store=debug", "info,store=debug"),
    ] {
        assert_eq!(
            parse(&["--log-level", written]).expect("valid").log.level,
            level
        );
    }
}

/// `SETTINGS=write cargo test -p agent-messenger settings` writes the page anew.
#[test]
fn the_reference_of_settings_is_what_the_code_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
    let now = Config::reference();
    if std::env::var_os("SETTINGS").is_some_and(|word| word == "write") {
        std::fs::write(path, &now).expect("written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        kept, now,
        "docs/settings.md differs: run with SETTINGS=write"
    );
}
