//! What came of it, for people and for programs.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use super::{
    run::{Judged, Row},
    stacks::Layers,
};

/// Writes a line of JSON for each of `rows`.
pub(crate) fn write_json<'a>(
    path: &Path,
    rows: impl IntoIterator<Item = &'a Row>,
) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for row in rows {
        serde_json::to_writer(&mut file, row)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

/// The matrix as a table: a row for each scenario, a column for each stack. What a stream comes to stands after a slash, where that is
/// something else.
pub(crate) fn table<'a>(judged: impl IntoIterator<Item = &'a Judged>) -> String {
    let judged: Vec<_> = judged.into_iter().collect();
    let mut table = String::from("| the upstream |");
    for layers in Layers::ALL {
        let _ = write!(table, " {layers} |");
    }
    table += "\n|---|---|---|---|---|\n";
    for scenario in judged.chunk_by(|one, next| one.row.scenario == next.row.scenario) {
        let name = scenario.first().map_or("", |first| &first.row.scenario);
        let _ = write!(table, "| {name} |");
        for stack in scenario.chunk_by(|one, next| one.row.stack == next.row.stack) {
            let mut shown: Vec<_> = stack.iter().map(ToString::to_string).collect();
            shown.dedup();
            let _ = write!(table, " {} |", shown.join(" / "));
        }
        table.push('\n');
    }
    table
}

/// What was not as expected, a line each.
pub(crate) fn faults(judged: &[Judged]) -> Vec<String> {
    let mut lines = Vec::new();
    for judged in judged {
        let Row {
            scenario,
            stack,
            streamed,
            ..
        } = &judged.row;
        let kind = if *streamed { "streamed" } else { "whole" };
        let named = |fault: &String| format!("{scenario}, {stack}, {kind}: {fault}");
        lines.extend(judged.faults.iter().map(named));
    }
    lines
}
