//! Profiles of the process, on the admin listener only: where CPU time goes, sampled for a bounded
//! time and one at a time, and what memory is made of as the kernel counts it.

use super::caller::By;
use crate::doors::extract::Params;
use crate::error::{ApiError, ApiResult};
use actix_web::HttpResponse;
use protocol::ErrorCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Samples a second: a prime, so that it does not march in step with timers.
const HERTZ: i32 = 97;
/// Longest profile, seconds.
const LONGEST: u64 = 60;

static BUSY: AtomicBool = AtomicBool::new(false);

/// One profile at a time.
struct Turn;

impl Turn {
    fn take() -> ApiResult<Self> {
        if BUSY.swap(true, Ordering::AcqRel) {
            let sentence = "another profile is being taken";
            return Err(ApiError::because(ErrorCode::Overloaded, sentence));
        }
        Ok(Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Release);
    }
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    seconds: Option<u64>,
}

/// `GET /api/admin/profile/cpu?seconds=10`: stacks in the folded format of flame graph tools, one
/// a line with its number of samples.
pub(super) async fn cpu(_by: By, Params(wanted): Params<Wanted>) -> ApiResult<HttpResponse> {
    let seconds = wanted.seconds.unwrap_or(10);
    if !(1..=LONGEST).contains(&seconds) {
        let sentence = format!("seconds must be between 1 and {LONGEST}");
        return Err(ApiError::because(ErrorCode::InvalidRequest, sentence));
    }
    let _turn = Turn::take()?;
    let sampling = pprof::ProfilerGuardBuilder::default()
        .frequency(HERTZ)
        // Unwinding inside these can deadlock.
        .blocklist(&["libc", "libgcc", "pthread", "vdso"])
        .build()
        .map_err(|error| ApiError::internal(&error))?;
    actix_rt::time::sleep(Duration::from_secs(seconds)).await;
    // Looking up names takes long: not on a thread that serves.
    let (tell, told) = tokio::sync::oneshot::channel();
    let naming = std::thread::Builder::new().name("profile".into());
    let spawned = naming.spawn(move || {
        let text = sampling.report().build().map(|report| folded(&report));
        drop(tell.send(text.map_err(|error| error.to_string())));
    });
    spawned.map_err(|error| ApiError::internal(&error))?;
    let text = told.await.map_err(|error| ApiError::internal(&error))?;
    let text = text.map_err(|error| ApiError::internal(&error))?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(text))
}

fn folded(report: &pprof::Report) -> String {
    let mut text = String::new();
    for (stack, count) in &report.data {
        let _ = write!(text, "{}", stack.thread_name);
        for symbol in stack.frames.iter().rev().flatten() {
            let _ = write!(text, ";{symbol}");
        }
        let _ = writeln!(text, " {count}");
    }
    text
}

/// `GET /api/admin/profile/memory`: bytes by kind, from the kernel's own account. Anonymous
/// memory is the heap and the stacks.
pub(super) async fn memory(_by: By) -> ApiResult<HttpResponse> {
    let read = std::fs::read_to_string("/proc/self/smaps_rollup");
    let text = read.map_err(|error| ApiError::internal(&error))?;
    let mut bytes = Map::new();
    for line in text.lines().skip(1) {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(Ok(kilobytes))) =
            (words.next(), words.next().map(str::parse::<u64>))
        {
            let name = name.trim_end_matches(':').to_lowercase();
            bytes.insert(format!("{name}_bytes"), Value::from(kilobytes * 1024));
        }
    }
    Ok(HttpResponse::Ok().json(bytes))
}
