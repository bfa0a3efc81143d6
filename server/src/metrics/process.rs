//! What the operating system says about this process, for `/health` and the gauges that existing
//! dashboards read. Elsewhere than on Linux all figures are 0.

/// Memory and threads of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// Highest resident memory so far, bytes.
    pub peak_bytes: u64,
    /// Threads.
    pub threads: u64,
}

impl Memory {
    /// Reads the figures now; unreadable ones are 0.
    pub fn read() -> Self {
        std::fs::read_to_string("/proc/self/status")
            .map(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    fn parse(status: &str) -> Self {
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next())
                .and_then(|n| n.parse().ok())
                .unwrap_or(0)
        };
        Self {
            resident_bytes: field("VmRSS:") * 1024,
            peak_bytes: field("VmHWM:") * 1024,
            threads: field("Threads:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_file_of_linux_is_read() {
        let text = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads:\t7\n";
        let expected = Memory {
            resident_bytes: 1 << 20,
            peak_bytes: 2 << 20,
            threads: 7,
        };
        assert_eq!(Memory::parse(text), expected);
        assert_eq!(Memory::parse("nonsense"), Memory::default());
    }
}
