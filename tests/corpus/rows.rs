//! One row per record of what this crate read of it, for others to check.
//!
//! `RELAY_CORPUS_OUT=DIR` writes the rows to `DIR/corpus.jsonl`, in the order of the records. `CONTRIBUTING.md` says what their
//! members mean.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use serde_json::{Map, Value};

use super::{Record, completions, costs, normal, records};

/// Adds its members to the row of a record.
type Members = fn(&Record, &mut Map<String, Value>);

/// Whoever has something to say about a record.
const MEMBERS: &[Members] = &[completions::members, costs::members, normal::members];

#[tokio::test]
async fn every_record_has_a_row() {
    let Some(records) = records() else { return };
    let rows: Vec<_> = records.iter().map(row).collect();
    let ids: BTreeSet<_> = rows.iter().map(|row| row["id"].to_string()).collect();
    assert_eq!(ids.len(), records.len(), "two records of one id");
    let names: BTreeSet<_> = rows[0].keys().collect();
    assert!(
        rows.iter()
            .all(|row| row.keys().collect::<BTreeSet<_>>() == names)
    );

    for (record, row) in records.iter().zip(&rows) {
        let is_openais = record.provider == "openai";
        assert!(!is_openais || row["unchanged"] == true, "{}", record.id);
    }

    let Some(folder) = env::var_os("RELAY_CORPUS_OUT").map(PathBuf::from) else {
        println!(
            "{} rows, not written: RELAY_CORPUS_OUT is not set",
            rows.len()
        );
        return;
    };
    let lines: String = rows
        .into_iter()
        .map(|row| Value::Object(row).to_string() + "\n")
        .collect();
    fs::create_dir_all(&folder).expect("a folder to write to");
    let path = folder.join("corpus.jsonl");
    fs::write(&path, lines).expect("a file to write to");
    println!("{} rows in {}", records.len(), path.display());
}

fn row(record: &Record) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("id".into(), record.id.as_str().into());
    for members in MEMBERS {
        members(record, &mut row);
    }
    row
}
