//! What the gateway holds: what Linux tells of its process, and what it tells itself.

use std::fs;

use serde_json::Value;

use crate::harness::get;

pub(super) struct Process {
    id: u32,
    /// Where it tells operators how it stands.
    admin: String,
}

/// What is held at a moment.
#[derive(Debug)]
pub(super) struct Held {
    /// Files and sockets that are open.
    pub(super) files: usize,
    pub(super) tasks: u64,
    /// What it says is under way: permits, reservations, settlements.
    under_way: Vec<String>,
}

impl Process {
    pub(super) fn new(id: u32, admin: String) -> Self {
        Self { id, admin }
    }

    /// Memory that is resident, in KiB.
    pub(super) fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    }

    pub(super) async fn holds(&self) -> Held {
        let status = get(format!("http://{}/status", self.admin)).await.json();
        let files = fs::read_dir(format!("/proc/{}/fd", self.id)).unwrap();
        for shown in ["limits/callers/in_flight", "stores/redis/queued"] {
            let shown = status.pointer(&format!("/controls/{shown}"));
            assert!(shown.is_some_and(Value::is_u64), "{status}");
        }
        let mut under_way = Vec::new();
        look("", &status, &mut under_way);
        Held {
            files: files.count(),
            tasks: status["tasks"].as_u64().unwrap(),
            under_way,
        }
    }
}

impl Held {
    /// Whether nothing is under way, and nothing is held that was not `before`.
    pub(super) fn is_at_rest(&self, before: &Self) -> bool {
        self.under_way.is_empty() && self.files <= before.files && self.tasks <= before.tasks
    }
}

/// Finds the counts of what is under way, wherever they stand, that are not zero.
fn look(at: &str, status: &Value, under_way: &mut Vec<String>) {
    for value in status.as_array().into_iter().flatten() {
        look(at, value, under_way);
    }
    for (name, value) in status.as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        let is_under_way = match &**name {
            "in_flight" | "waiting" | "under_way" | "queued" => {
                value.as_u64().is_some_and(|count| count > 0)
            }
            "reserved_usd" => value != "0",
            _ => false,
        };
        if is_under_way {
            under_way.push(format!("{at}: {value}"));
        }
        look(&at, value, under_way);
    }
}
