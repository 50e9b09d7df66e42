//! The alert rules and the dashboard beside the examples name what there is.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Level, Metadata, Recorder, SharedString, Unit,
};
use serde_json::Value;

use crate::{
    server::Prometheus,
    telemetry::TelemetryLayer,
    testing::prometheus::{Family, parse},
};

const ABOUT: Metadata<'static> = Metadata::new("tests", Level::INFO, None);

/// The labels that stand in any metric.
const LABELS: [&str; 13] = [
    "error_type",
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "gen_ai_token_type",
    "le",
    "relay_end",
    "relay_layer",
    "relay_outcome",
    "relay_reason",
    "relay_state",
    "relay_tokens_kind",
];

/// Registers what is described, as what it is described.
struct Described {
    prometheus: Prometheus,
    count: Arc<Mutex<usize>>,
}

impl Described {
    fn register(&self, register: impl FnOnce(&Prometheus)) {
        *self.count.lock().unwrap() += 1;
        register(&self.prometheus);
    }
}

impl Recorder for Described {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.register(|all| {
            all.describe_counter(key.clone(), unit, text);
            all.register_counter(&Key::from_name(key), &ABOUT)
                .increment(1);
        });
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.register(|all| {
            all.describe_gauge(key.clone(), unit, text);
            all.register_gauge(&Key::from_name(key), &ABOUT).set(1.0);
        });
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.register(|all| {
            all.describe_histogram(key.clone(), unit, text);
            all.register_histogram(&Key::from_name(key), &ABOUT)
                .record(1.0);
        });
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Every name that a sample may have.
fn samples() -> BTreeSet<String> {
    let prometheus = Prometheus::new();
    let count = Arc::default();
    let described = Described {
        prometheus: prometheus.clone(),
        count: Arc::clone(&count),
    };
    let telemetry = TelemetryLayer::builder().recorder(Arc::new(described));
    telemetry.build().unwrap();
    let families: Vec<Family> = parse(&prometheus.render()).unwrap();
    assert_eq!(families.len(), *count.lock().unwrap() + 1);
    let samples = families.into_iter().flat_map(|family| family.samples);
    samples.map(|sample| sample.name).collect()
}

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/observability");
    fs::read_to_string(path.join(name)).unwrap()
}

/// The names of metrics and of labels in an expression of PromQL.
fn names(expression: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut metrics, mut labels) = (BTreeSet::new(), BTreeSet::new());
    let (mut word, mut is_quoted, mut is_braced, mut grouped) = (String::new(), false, false, 0);
    let mut after_by = false;
    for char in expression.chars().chain([' ']) {
        if is_quoted {
            is_quoted = char != '"';
            continue;
        }
        if char.is_ascii_alphanumeric() || char == '_' {
            word.push(char);
            continue;
        }
        let is_ours = word == "le" || word.starts_with("relay_") || word.starts_with("gen_ai_");
        if is_ours && (is_braced || grouped > 0) {
            labels.insert(word.clone());
        } else if is_ours {
            metrics.insert(word.clone());
        }
        after_by = word == "by" || (after_by && word.is_empty());
        match char {
            '"' => is_quoted = true,
            '{' => is_braced = true,
            '}' => is_braced = false,
            '(' if after_by || grouped > 0 => grouped += 1,
            ')' if grouped > 0 => grouped -= 1,
            _ => {}
        }
        word.clear();
    }
    (metrics, labels)
}

fn check(expression: &str, samples: &BTreeSet<String>) {
    let (metrics, labels) = names(expression);
    assert!(!metrics.is_empty(), "{expression}");
    for metric in metrics {
        assert!(
            samples.contains(&metric),
            "there is no {metric}: {expression}"
        );
    }
    for label in labels {
        let is_known = label == "relay_upstream" || LABELS.contains(&&*label);
        assert!(is_known, "there is no {label}: {expression}");
    }
    let opened = expression.matches(['(', '{', '[']).count();
    assert_eq!(opened, expression.matches([')', '}', ']']).count());
}

#[test]
fn names_are_told_from_labels_and_words() {
    let expression =
        r#"sum by (le, relay_upstream) (rate(relay_a_bucket{relay_end="relay_b"}[5m])) > relay_c"#;
    let (metrics, labels) = names(expression);
    assert_eq!(
        metrics.into_iter().collect::<Vec<_>>(),
        ["relay_a_bucket", "relay_c"]
    );
    assert_eq!(
        labels.into_iter().collect::<Vec<_>>(),
        ["le", "relay_end", "relay_upstream"]
    );
}

#[test]
fn every_alert_is_about_metrics_that_there_are() {
    let (samples, text) = (samples(), file("prometheus-rules.yml"));
    let mut expressions: Vec<String> = Vec::new();
    let mut is_block = false;
    for line in text.lines() {
        if let Some(expression) = line.trim().strip_prefix("expr:") {
            is_block = expression.trim() == "|";
            expressions.push(if is_block { "" } else { expression }.to_owned());
        } else if is_block && line.starts_with("          ") {
            expressions.last_mut().unwrap().push_str(line);
        } else {
            is_block = false;
        }
    }
    assert_eq!(expressions.len(), text.matches("- alert:").count());
    assert!(expressions.len() >= 10);
    for expression in expressions {
        check(&expression, &samples);
    }
}

#[test]
fn every_panel_is_about_metrics_that_there_are() {
    let samples = samples();
    let dashboard: Value = serde_json::from_str(&file("grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut used = BTreeSet::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            check(expression, &samples);
            used.extend(names(expression).0);
        }
    }
    // Whatever is counted can be seen.
    let base = |name: &String| {
        let suffixes = ["_bucket", "_sum", "_count"].iter();
        let mut bases = suffixes.filter_map(|suffix| name.strip_suffix(suffix));
        bases.next().unwrap_or(name).to_owned()
    };
    let used: BTreeSet<_> = used.iter().map(base).collect();
    let there: BTreeSet<_> = samples.iter().map(base).collect();
    let unseen: Vec<_> = there.difference(&used).collect();
    assert_eq!(unseen, ["relay_metrics_dropped_total"]);
}
