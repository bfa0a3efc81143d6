//! The documents say what the tables say: every error code and close code has its row in
//! `docs/errors.md` with the same facts, and every number of `limits` stands in `docs/limits.md`.

use am_protocol::{CloseCode, ErrorCode, limits};
use std::collections::BTreeSet;
use std::path::Path;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn error_row(code: ErrorCode) -> String {
    let close = code
        .close_code()
        .map_or_else(|| "–".to_owned(), |close| close.code().to_string());
    let again = if code.retryable() { "yes" } else { "no" };
    let status = code.http_status();
    let sentence = code.sentence();
    format!("| `{code}` | {status} | {close} | {again} | {sentence} |")
}

fn close_row(code: CloseCode) -> String {
    format!("| {} | {} |", code.code(), code.reason())
}

/// The first cell of each row of the tables, without header and rule.
fn first_cells(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.filter_map(|row| row.split(" |").next());
    cells
        .map(|cell| cell.trim_matches('`').to_owned())
        .collect()
}

#[test]
fn every_error_code_is_documented_with_its_facts() {
    let errors = document("errors.md");
    let missing: Vec<String> = ErrorCode::ALL
        .iter()
        .map(|code| error_row(*code))
        .filter(|row| !errors.lines().any(|line| line.starts_with(row.as_str())))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/errors.md lacks:\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_close_code_is_documented_with_its_reason() {
    let errors = document("errors.md");
    let missing: Vec<String> = CloseCode::ALL
        .iter()
        .map(|code| close_row(*code))
        .map(|row| row.trim_end_matches(" |").to_owned() + " | ")
        .filter(|row| !errors.lines().any(|line| line.starts_with(row.as_str())))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/errors.md lacks:\n{}",
        missing.join("\n")
    );
}

#[test]
fn no_code_is_documented_that_does_not_exist() {
    let mut known: BTreeSet<String> = ["code", "close", "door"].map(str::to_owned).into();
    known.extend(ErrorCode::ALL.iter().map(ToString::to_string));
    known.extend(CloseCode::ALL.iter().map(|code| code.code().to_string()));
    let cells = first_cells(&document("errors.md"));
    let codes = cells.iter().filter(|cell| {
        cell.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    });
    let stray: Vec<&String> = codes.filter(|cell| !known.contains(*cell)).collect();
    assert!(
        stray.is_empty(),
        "docs/errors.md has rows for unknown codes: {stray:?}"
    );
}

/// The row of `docs/limits.md` that starts so must hold these numbers.
fn limit_rows() -> Vec<(&'static str, Vec<u64>)> {
    let range = |r: &std::ops::RangeInclusive<usize>| vec![*r.start() as u64, *r.end() as u64];
    vec![
        ("WebSocket message", vec![limits::FRAME_BYTES as u64]),
        ("message text", vec![limits::BODY_BYTES as u64]),
        ("message metadata", vec![limits::METADATA_BYTES as u64]),
        ("HTTP request body", vec![limits::REQUEST_BYTES as u64]),
        (
            "`client_msg_id`",
            vec![1, limits::CLIENT_MSG_ID_BYTES as u64],
        ),
        ("agent id", vec![1, limits::AGENT_ID_CHARS as u64]),
        ("device id", vec![1, limits::DEVICE_ID_BYTES as u64]),
        ("agent name", vec![limits::AGENT_FIELD_BYTES as u64]),
        ("status text", vec![limits::STATUS_BYTES as u64]),
        ("user name", range(&limits::USERNAME_CHARS)),
        ("new password", range(&limits::PASSWORD_CHARS)),
        (
            "history page, largest",
            vec![limits::PAGE_ROWS as u64, limits::PAGE_BYTES as u64],
        ),
        ("history page, when", vec![limits::PAGE_ROWS_DEFAULT as u64]),
        (
            "one page while",
            vec![limits::CATCH_UP_ROWS as u64, limits::CATCH_UP_BYTES as u64],
        ),
        ("`wait` of a long-poll", vec![limits::WAIT_SECONDS]),
        ("long-polls of one", vec![limits::WAITERS as u64]),
        ("devices of one user", vec![limits::DEVICES_PER_USER as u64]),
        ("socket → session", vec![limits::IN_FLIGHT_SENDS as u64]),
        (
            "session → conversation",
            vec![limits::CONVERSATION_PERMITS as u64],
        ),
        (
            "acks, errors",
            vec![
                limits::IN_FLIGHT_SENDS as u64,
                limits::PENDING_ANSWERS as u64,
            ],
        ),
        ("conversation → writer", vec![limits::WRITER_QUEUE as u64]),
        ("writer, one transaction", vec![limits::WRITER_BATCH as u64]),
        ("writer → conversations", vec![limits::BATCH_PERMITS as u64]),
        (
            "worker → session",
            vec![
                limits::DELIVERY_ENTRIES as u64,
                limits::DELIVERY_BYTES as u64,
            ],
        ),
    ]
}

#[test]
fn every_limit_is_documented_with_its_number() {
    let document = document("limits.md");
    for (what, numbers) in limit_rows() {
        let row = document
            .lines()
            .find(|line| line.starts_with(&format!("| {what}")))
            .unwrap_or_else(|| panic!("docs/limits.md has no row for {what:?}"));
        let limit = row.split(" | ").nth(1).unwrap_or_default();
        // Character sets are code and hold digits that are no limits.
        let said: Vec<u64> = limit
            .split('`')
            .step_by(2)
            .collect::<String>()
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect();
        assert_eq!(said, numbers, "docs/limits.md, row {what:?}: {row}");
    }
}
