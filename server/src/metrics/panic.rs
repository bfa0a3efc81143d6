//! Counts panics and writes one log line for each, with its place and message and nothing else:
//! the default hook would print a backtrace to stderr beside the log.

use super::Metrics;
use std::any::Any;
use std::panic::PanicHookInfo;
use std::sync::Arc;

/// Replaces the process's panic hook. Call once, when the metrics exist.
pub fn install_panic_hook(metrics: Arc<Metrics>) {
    std::panic::set_hook(Box::new(move |info| record(&metrics, info)));
}

fn record(metrics: &Metrics, info: &PanicHookInfo<'_>) {
    metrics.panics.inc();
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(
        location,
        message = message(info.payload()),
        thread = thread.name().unwrap_or(""),
        "panic"
    );
}

fn message(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("")
}

/// The hook is the whole process's: tests that count panics take turns.
#[cfg(test)]
pub(crate) static HOOK: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_and_its_message_is_readable() {
        let _turn = HOOK.lock();
        let metrics = Arc::new(Metrics::new().unwrap());
        let before = std::panic::take_hook();
        install_panic_hook(Arc::clone(&metrics));
        let caught = std::thread::spawn(|| panic!("number {}", 5))
            .join()
            .unwrap_err();
        std::panic::set_hook(before);
        assert!(metrics.panics.get() >= 1);
        assert_eq!(message(caught.as_ref()), "number 5");
    }
}
