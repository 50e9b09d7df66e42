use std::{fs, path::Path};

use tempfile::tempdir;

use super::*;
use crate::message::catalog::Cost;

fn record(id: &str) -> Record {
    let mut record = Record::new(clock::now(), id, "u".into());
    record.outcome = "success".into();
    record.cost_usd = Some(Cost::from_pico_usd(7));
    record
}

fn ids(path: &Path) -> Vec<String> {
    read_files([path])
        .map(|record| record.unwrap().request_id.into_string())
        .collect()
}

/// Records each id, and ends when all of them are written.
async fn write(builder: JsonlAuditBuilder, written: &[&str]) -> JsonlAudit {
    let (audit, worker) = builder.build().unwrap();
    let shutdown = worker.shutdown_handle();
    let worker = tokio::spawn(worker);
    for id in written {
        let slot = match audit.try_slot() {
            Some(slot) => slot,
            None => audit.slot().await,
        };
        audit.record(record(id), slot);
    }
    shutdown.shutdown();
    worker.await.unwrap();
    audit
}

#[tokio::test]
async fn what_was_recorded_is_written_before_the_worker_ends() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = write(JsonlAudit::builder(&path), &["a", "b", "c"]).await;
    assert_eq!(ids(&path), ["a", "b", "c"]);
    assert_eq!(audit.dropped(), 0);
    audit.record(record("late"), Slot::default());
    assert_eq!(audit.dropped(), 1);
}

#[tokio::test]
async fn totals_survive_a_restart_and_a_torn_line_costs_only_itself() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    write(JsonlAudit::builder(&path), &["a", "b"]).await;
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.get(..text.len() - 20).unwrap()).unwrap();

    let audit = write(JsonlAudit::builder(&path), &["c"]).await;
    assert_eq!(ids(&path), ["a", "c"]);
    assert_eq!(audit.snapshot()[0].sums.cost_usd.pico_usd(), 14);
}

#[tokio::test]
async fn a_full_file_is_put_aside_and_its_records_still_count() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    for id in ["a", "b", "c"] {
        write(JsonlAudit::builder(&path).max_file(1), &[id]).await;
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    assert_eq!(ids(&path), ["c"]);
    let (audit, _worker) = JsonlAudit::builder(&path).build().unwrap();
    assert_eq!(audit.snapshot()[0].sums.attempts, 3);
}

#[tokio::test]
async fn older_files_than_are_kept_are_deleted() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    for id in ["a", "b", "c", "d"] {
        write(JsonlAudit::builder(&path).max_file(1).keep_files(1), &[id]).await;
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert_eq!(ids(&path), ["d"]);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_or_makes_attempts_wait() {
    let dir = tempdir().unwrap();
    let build = |policy| {
        let path = dir.path().join(format!("{policy:?}.jsonl"));
        JsonlAudit::builder(path)
            .queue(1)
            .when_full(policy)
            .build()
            .unwrap()
    };
    let (dropping, _worker) = build(WhenFull::Drop);
    for id in ["a", "b", "c"] {
        let slot = dropping.try_slot().unwrap();
        dropping.record(record(id), slot);
    }
    assert_eq!(dropping.dropped(), 2);
    assert_eq!(dropping.snapshot()[0].sums.attempts, 3);

    let (waiting, worker) = build(WhenFull::Wait);
    let slot = waiting.try_slot().unwrap();
    assert!(waiting.try_slot().is_none());
    let next = tokio::spawn(waiting.slot());
    let shutdown = worker.shutdown_handle();
    let worker = tokio::spawn(worker);
    waiting.record(record("a"), slot);
    waiting.record(record("b"), next.await.unwrap());
    shutdown.shutdown();
    worker.await.unwrap();
    assert_eq!(ids(&dir.path().join("Wait.jsonl")), ["a", "b"]);
    assert_eq!(waiting.dropped(), 0);
}

#[tokio::test]
async fn room_that_was_taken_is_waited_for_at_the_end() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let builder = JsonlAudit::builder(&path).when_full(WhenFull::Wait);
    let (audit, worker) = builder.build().unwrap();
    let slot = audit.try_slot().unwrap();
    worker.shutdown_handle().shutdown();
    let worker = tokio::spawn(worker);
    tokio::task::yield_now().await;
    audit.record(record("in flight"), slot);
    worker.await.unwrap();
    assert_eq!(ids(&path), ["in flight"]);
}

#[test]
fn bounds_of_zero_and_files_that_cannot_be_opened_are_refused() {
    let refused = |builder: JsonlAuditBuilder| builder.build().unwrap_err().to_string();
    let dir = tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    assert!(refused(JsonlAudit::builder(&path).queue(0)).contains("queue"));
    assert!(refused(JsonlAudit::builder(&path).max_file(0)).contains("max_file"));
    assert!(refused(JsonlAudit::builder("/nowhere/audit.jsonl")).contains("/nowhere"));
}

#[tokio::test]
async fn a_file_that_somebody_has_moved_away_is_begun_anew() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let (audit, worker) = JsonlAudit::builder(&path).max_file(1).build().unwrap();
    let shutdown = worker.shutdown_handle();
    let worker = tokio::spawn(worker);
    audit.record(record("a"), Slot::default());
    while fs::read(&path).unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    fs::rename(&path, dir.path().join("moved")).unwrap();
    audit.record(record("b"), Slot::default());
    shutdown.shutdown();
    worker.await.unwrap();
    assert_eq!(ids(&path), ["b"]);
    assert_eq!(ids(&dir.path().join("moved")), ["a"]);
}

#[tokio::test]
async fn what_is_read_back_is_all_that_was_written_and_none_where_nothing_was() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let read_back = || {
        let records = JsonlAudit::builder(&path).read_back(None).unwrap();
        records
            .map(|record| record.unwrap().request_id)
            .collect::<Vec<_>>()
    };
    assert!(read_back().is_empty());
    for id in ["a", "b", "c"] {
        write(JsonlAudit::builder(&path).max_file(1), &[id]).await;
    }
    assert_eq!(read_back(), ["a", "b", "c"].map(Box::from));
}
