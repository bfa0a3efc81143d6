//! The one clock of a run: nanoseconds since the process began to measure, monotonic, shared by
//! all connections, so that a time written into a message can be compared by its receiver.
//! Also the precise alarm of the open loop: the runtime's own timers round up to a millisecond.

use anyhow::Context;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Nanoseconds since the first call in this process; never 0.
pub fn now_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    start.elapsed().as_nanos() as u64 + 1
}

/// A duration in nanoseconds.
pub fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// An alarm with microsecond precision, for one task.
pub struct Alarm {
    fd: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// Needs a running runtime.
    pub fn new() -> anyhow::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags).context("cannot make a timer")?;
        // Its unsafe successor asks that the descriptor stays open and is not replaced: an owned one does.
        #[expect(
            deprecated,
            reason = "the successor is unsafe, and unsafe code is forbidden here"
        )]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd })
    }

    /// Sets the alarm to `due_ns` of [`now_ns`]; a time that has passed rings at once.
    pub fn set(&self, due_ns: u64) -> anyhow::Result<()> {
        let wait_ns = due_ns.saturating_sub(now_ns()).max(1);
        let it_value = Timespec {
            tv_sec: (wait_ns / SECOND_NS) as i64,
            tv_nsec: (wait_ns % SECOND_NS) as i64,
        };
        let once = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value,
        };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Returns when the alarm has rung. May be dropped while it waits.
    pub async fn rung(&self) -> anyhow::Result<()> {
        let mut guard = self.fd.readable().await?;
        let mut count = [0_u8; 8];
        match rustix::io::read(self.fd.get_ref(), &mut count) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => guard.clear_ready(),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
