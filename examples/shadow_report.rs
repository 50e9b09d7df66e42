//! What a file of comparisons says: `cargo run --example shadow_report shadow.jsonl`

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufRead, BufReader},
};

use tower_relay::shadow::{Comparison, Gate, Report};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(path) = env::args().nth(1) else {
        return Err("usage: shadow_report FILE".into());
    };
    let mut comparisons: Vec<Comparison> = Vec::new();
    let mut unread = 0;
    for line in BufReader::new(File::open(path)?).lines() {
        match serde_json::from_str(&line?) {
            Ok(comparison) => comparisons.push(comparison),
            // The last line of a program that was killed may be cut off.
            Err(_) => unread += 1,
        }
    }
    if unread > 0 {
        println!("{unread} lines are no comparisons");
    }
    print!("{}", Report::of(&comparisons, &Gate::default()));
    Ok(())
}
