//! The fault suite, held to what it expects: every way in which an upstream fails ends in an answer or in a clear error.
#![cfg(test)]

mod checker;
#[path = "../../examples/fault_suite/suite/mod.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod suite;

use std::{collections::HashSet, fs, sync::LazyLock};

use self::suite::{
    report,
    run::{self, Judged},
    scenarios::{self, Scenario},
    script::ScriptFile,
};

static IN_MEMORY: LazyLock<Vec<Judged>> =
    LazyLock::new(|| run::in_memory(&scenarios::all()).unwrap());
static ON_SOCKETS: LazyLock<Vec<Judged>> =
    LazyLock::new(|| run::on_sockets(&scenarios::all()).unwrap());

fn assert_as_expected(judged: &[Judged]) {
    assert!(!judged.is_empty());
    let faults = report::faults(judged);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_fault_ends_in_an_answer_or_one_clear_error() {
    assert_as_expected(&IN_MEMORY);
}

#[test]
fn so_do_those_that_only_a_kernel_makes() {
    assert_as_expected(&ON_SOCKETS);
}

#[test]
fn every_scenario_has_a_name_of_its_own() {
    let names: HashSet<_> = scenarios::all().into_iter().map(|s| s.name).collect();
    assert_eq!(names.len(), scenarios::all().len());
    assert!(names.len() >= 40, "{}", names.len());
}

#[test]
fn the_readme_shows_the_matrix() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let table = report::table(IN_MEMORY.iter().chain(&*ON_SOCKETS));
    assert!(readme.contains(&table), "the README should show\n{table}");
}

#[test]
fn the_script_of_the_documentation_is_one() {
    let text = include_str!("../../examples/fault_suite/PROTOCOL.md");
    let json = text.split("```").nth(1).unwrap().trim_start_matches("json");
    let file: ScriptFile = serde_json::from_str(json).unwrap();
    let judged = run::in_memory(&[Scenario::from_file(&file)]).unwrap();
    assert_as_expected(&judged);
    let last = judged.last().unwrap();
    assert_eq!(
        (last.to_string(), last.row.upstream_calls),
        ("answer".to_owned(), 3)
    );
}

#[test]
fn every_scenario_survives_being_written_to_a_file() {
    for scenario in scenarios::all() {
        let written = serde_json::to_string(&scenario.file()).unwrap();
        let read: ScriptFile = serde_json::from_str(&written).unwrap();
        for streamed in [false, true] {
            let script = &scenario.case(streamed).script;
            assert_eq!(
                read.script(streamed).calls,
                script.calls,
                "{}",
                scenario.name
            );
        }
    }
}
