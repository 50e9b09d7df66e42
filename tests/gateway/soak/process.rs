//! What a process holds, as Linux tells it.

use std::{
    fs,
    process::{Child, Command},
};

pub(super) struct Process(u32);

impl Process {
    pub(super) fn of(id: u32) -> Self {
        Self(id)
    }

    /// Files and sockets that are open.
    pub(super) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0))
            .unwrap()
            .count()
    }

    /// Memory that is resident, in KiB.
    pub(super) fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    }

    /// Asks it to end, which it has to do well.
    pub(super) fn end(&self, child: &mut Child) {
        let asked = Command::new("kill").arg(self.0.to_string()).status();
        assert!(asked.unwrap().success());
        assert!(child.wait().unwrap().success());
    }
}

pub(super) fn median(samples: &[(f64, f64)]) -> f64 {
    let mut values: Vec<_> = samples.iter().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Of the line of least squares.
pub(super) fn slope(samples: &[(f64, f64)]) -> f64 {
    let count = samples.iter().map(|_| 1.0).sum::<f64>();
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let along: f64 = samples.iter().map(|s| (s.0 - x) * (s.1 - y)).sum();
    let across: f64 = samples.iter().map(|s| (s.0 - x).powi(2)).sum();
    along / across
}
