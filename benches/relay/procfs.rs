//! What the kernel knows of a process.

use std::fs;
use std::time::Duration;

/// `USER_HZ`: 100 on every architecture that Rust's standard library runs on (proc(5)).
const TICKS_PER_SECOND: u64 = 100;

/// Where CPU time is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CpuClock {
    /// Nanoseconds, from `/proc/<pid>/task/*/schedstat`.
    Schedstat,
    /// Hundredths of a second, from `/proc/<pid>/stat`: for kernels built without scheduler statistics.
    Stat,
}

impl CpuClock {
    /// The finest clock that runs for `pid`, which must have used some CPU time.
    pub(crate) fn finest(pid: u32) -> Self {
        match schedstat(pid) {
            Some(used) if !used.is_zero() => Self::Schedstat,
            _ => Self::Stat,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Schedstat => "schedstat",
            Self::Stat => "stat",
        }
    }

    /// CPU time of all threads of `pid` since it started, user and system.
    pub(crate) fn read(self, pid: u32) -> Duration {
        match self {
            Self::Schedstat => schedstat(pid),
            Self::Stat => stat(pid),
        }
        .expect("a running process")
    }
}

fn schedstat(pid: u32) -> Option<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        nanos += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}

fn stat(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold spaces; utime and stime are 14 and 15.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(
        (user + system) * 1000 / TICKS_PER_SECOND,
    ))
}

/// Peak resident memory of `pid`, in KiB.
pub(crate) fn peak_rss(pid: u32) -> Option<u64> {
    let value = status_field(&pid.to_string(), "VmHWM:")?;
    value.split_whitespace().next()?.parse().ok()
}

/// The cpus this process may run on.
pub(crate) fn allowed_cpus() -> Vec<u32> {
    let allowed = status_field("self", "Cpus_allowed_list:").unwrap_or_default();
    allowed
        .split(',')
        .filter_map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}

fn status_field(process: &str, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status
        .lines()
        .find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}
