//! The bar that shows how far a run is: only on a terminal, on standard error, so that what is
//! piped stays clean.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// A bar of `length` steps, hidden where nobody looks.
pub fn bar(name: &str, length: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(length.max(1)), target);
    if let Ok(style) =
        ProgressStyle::with_template("{prefix:12} {bar:40} {pos}/{len} {elapsed} {msg}")
    {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar
}

/// Waits while the bar shows the time, in tenths of a second.
pub async fn wait(name: &str, span: Duration) {
    let tenths = span.as_millis() as u64 / 100;
    let bar = bar(name, tenths);
    for _ in 0..tenths {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bar.inc(1);
    }
    bar.finish_and_clear();
}
