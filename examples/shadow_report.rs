//! What a file of comparisons says, and one of scores beside it: `cargo run --example shadow_report shadow.jsonl [feedback.jsonl]`

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufRead, BufReader},
};

use serde::de::DeserializeOwned;
use tower_relay::{
    ledger::Feedback,
    shadow::{Comparison, Gate, Report},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = env::args().skip(1);
    let Some(path) = paths.next() else {
        return Err("usage: shadow_report FILE [FEEDBACK]".into());
    };
    let comparisons: Vec<Comparison> = read(&path)?;
    let feedback: Vec<Feedback> = paths
        .next()
        .map_or_else(|| Ok(Vec::new()), |path| read(&path))?;
    let report = Report::of(&comparisons, &Gate::default());
    print!("{}", report.with_feedback(&comparisons, &feedback));
    Ok(())
}

/// The lines of a file that are such.
fn read<T: DeserializeOwned>(path: &str) -> Result<Vec<T>, Box<dyn Error>> {
    let (mut all, mut unread) = (Vec::new(), 0);
    for line in BufReader::new(File::open(path)?).lines() {
        match serde_json::from_str(&line?) {
            Ok(one) => all.push(one),
            // The last line of a program that was killed may be cut off.
            Err(_) => unread += 1,
        }
    }
    if unread > 0 {
        println!("{unread} lines of {path} say nothing");
    }
    Ok(all)
}
