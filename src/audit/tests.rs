use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use tempfile::tempdir;

use super::cli::run;
use crate::{
    ledger::Record,
    message::{catalog::Cost, usage::Usage},
};

fn record(id: &str, model: &str, input: u64, output: u64, cost: &str) -> Record {
    let at = UNIX_EPOCH + Duration::from_secs(1_788_000_000);
    let mut record = Record::new(at, id, "official".into());
    record.model_served = Some(model.into());
    record.usage = Usage {
        input,
        output,
        ..Usage::default()
    };
    record.cost_usd = Cost::parse_usd(cost);
    record.outcome = "success".into();
    record.latency_ms = 800;
    record
}

fn written(folder: &Path, name: &str, records: &[Record]) -> PathBuf {
    let lines: String = records
        .iter()
        .map(|record| serde_json::to_string(record).unwrap() + "\n")
        .collect();
    let path = folder.join(name);
    fs::write(&path, lines).unwrap();
    path
}

fn report(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Result<String, String> {
    run(arguments.iter().map(OsString::from))
}

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/guide-prices.toml");

#[test]
fn the_guides_month_comes_out_as_the_guide_says() {
    let folder = tempdir().unwrap();
    let each = || record("r", "gpt-4.1-mini", 24_000, 36_000, "0.336");
    let records: Vec<_> = (0..1_000).map(|_| each()).collect();
    let file = written(folder.path(), "audit.jsonl", &records);
    let text = report(&[
        &file,
        &"--prices",
        &GUIDE,
        &"--compare",
        &"llama-4-maverick",
    ])
    .unwrap();
    for expected in [
        "24,000,000",
        "36,000,000",
        "336.00",
        "17.52",
        "4,032.00",
        "210.24",
        "94.8 %",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
}

#[test]
fn several_files_are_one_report_and_attempts_of_one_request_are_one_request() {
    let folder = tempdir().unwrap();
    let mut failed = record("a", "gpt-4.1", 0, 0, "0");
    failed.outcome = "server_error".into();
    let mut again = record("a", "gpt-4.1", 100, 10, "0.5");
    again.attempt = 2;
    let mut shadow = record("b", "other", 100, 10, "0.25");
    shadow.shadow = true;
    let one = written(folder.path(), "1", &[failed]);
    let two = written(folder.path(), "2", &[again, shadow]);
    fs::write(&two, fs::read_to_string(&two).unwrap() + "torn").unwrap();
    let text = report(&[&one, &two]).unwrap();
    assert!(
        text.contains("1 requests, 2 attempts, 100 tokens in, 10 tokens out, 0.50 USD"),
        "{text}"
    );
    assert!(text.contains("1 shadow copies, 0.25 USD") && text.contains("1 lines are no records"));
    assert!(text.contains("50.0 %"), "{text}");
}

#[test]
fn a_page_holds_the_figures_and_loads_nothing() {
    let folder = tempdir().unwrap();
    let records = [record("a", "<script>alert(1)</script>", 10, 10, "1.5")];
    let file = written(folder.path(), "audit.jsonl", &records);
    let page = folder.path().join("page.html");
    report(&[&file, &"--html", &page, &"--compare", &"gpt-4.1-mini"]).unwrap();
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("1.50") && page.contains("<svg") && page.contains("&lt;script&gt;"));
    for loads in ["http:", "https:", "<script", "src=", "@import", "url("] {
        assert!(!page.contains(loads), "{loads}");
    }
}

#[test]
fn a_providers_export_is_laid_beside_our_sums() {
    let folder = tempdir().unwrap();
    let records = [
        record("a", "gpt-4.1", 100, 10, "0.5"),
        record("b", "gpt-4.1", 100, 10, "0.5"),
    ];
    let file = written(folder.path(), "audit.jsonl", &records);
    let export = folder.path().join("usage.csv");
    fs::write(
        &export,
        "start_time,model,num_model_requests,input_tokens,output_tokens,amount\n\
         1,gpt-4.1-2025-04-14,2,200,20,1.01\n2,\"gpt-4o, old\",1,7,7,$0.02\n",
    )
    .unwrap();
    let text = report(&[&file, &"--reconcile", &export]).unwrap();
    let line = text
        .lines()
        .rev()
        .find(|line| line.starts_with("gpt-4.1 "))
        .unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(
        cells,
        [
            "gpt-4.1", "2", "2", "200", "200", "20", "20", "1.00", "1.01"
        ]
    );
    assert!(text.contains("gpt-4o, old"));

    fs::write(&export, "model,input_tokens\ngpt-4.1,many\n").unwrap();
    let error = report(&[&file, &"--reconcile", &export]).unwrap_err();
    assert!(
        error.contains("line 2") && error.contains("many"),
        "{error}"
    );
    fs::write(&export, "day,tokens\n1,2\n").unwrap();
    assert!(
        report(&[&file, &"--reconcile", &export])
            .unwrap_err()
            .contains("model")
    );
}

#[test]
fn what_cannot_be_done_is_said() {
    assert!(report(&[]).unwrap_err().contains("--help"));
    assert!(report(&[&"--help"]).unwrap().contains("--reconcile"));
    assert!(report(&[&"/nowhere"]).unwrap_err().contains("/nowhere"));
    let error = report(&[&"/nowhere", &"--compare", &"nobody-knows"]).unwrap_err();
    assert!(error.contains("nobody-knows"), "{error}");
}
