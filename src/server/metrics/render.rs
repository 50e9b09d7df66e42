//! Prometheus' text format.

use std::{fmt::Write, sync::atomic::Ordering::Relaxed};

use metrics::{Key, Unit};

use super::{
    family::{Kind, Value},
    prometheus::State,
};

/// All metrics, by name.
pub(super) fn all(state: &State) -> String {
    let mut text = String::new();
    for (name, family) in &state.families {
        let described = state.described.get(name);
        let unit = described.and_then(|described| described.unit);
        let shown = shown_name(name, unit, family.kind);
        let help = described.map_or("", |described| &*described.text);
        head(&mut text, &shown, help, family.kind);
        for (labels, series) in &family.series {
            one(&mut text, &shown, labels, &series.value);
        }
    }
    let dropped = "relay_metrics_dropped_total";
    let help = "Metrics that found no place, for too many sets of labels.";
    head(&mut text, dropped, help, Kind::Counter);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{dropped} {}", state.dropped);
    text
}

fn head(text: &mut String, name: &str, help: &str, kind: Kind) {
    let kind = match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    if !help.is_empty() {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        let _ = writeln!(text, "# HELP {name} {help}");
    }
    let _ = writeln!(text, "# TYPE {name} {kind}");
}

fn one(text: &mut String, name: &str, labels: &str, value: &Value) {
    let braced = |more: &str| {
        let comma = if labels.is_empty() || more.is_empty() {
            ""
        } else {
            ","
        };
        match (labels, more) {
            ("", "") => String::new(),
            _ => format!("{{{labels}{comma}{more}}}"),
        }
    };
    match value {
        Value::Counter(counter) => {
            let _ = writeln!(text, "{name}{} {}", braced(""), counter.load(Relaxed));
        }
        Value::Gauge(gauge) => {
            let value = f64::from_bits(gauge.load(Relaxed));
            let _ = writeln!(text, "{name}{} {}", braced(""), number(value));
        }
        Value::Histogram(buckets) => {
            let read = buckets.read();
            for (bound, count) in read.cumulated {
                let bound = format!("le=\"{}\"", number(bound));
                let _ = writeln!(text, "{name}_bucket{} {count}", braced(&bound));
            }
            let count = read.count;
            let _ = writeln!(text, "{name}_bucket{} {count}", braced("le=\"+Inf\""));
            let _ = writeln!(text, "{name}_sum{} {}", braced(""), number(read.sum));
            let _ = writeln!(text, "{name}_count{} {count}", braced(""));
        }
    }
}

/// As Prometheus reads it.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value}")
    }
}

/// The name of a metric, with its unit and `_total` where it is due.
fn shown_name(name: &str, unit: Option<Unit>, kind: Kind) -> String {
    let mut shown = sanitized(name, true);
    let suffix = match unit {
        None | Some(Unit::Count) => "",
        Some(Unit::Percent) => "percent",
        Some(unit) => unit.as_str(),
    };
    if !suffix.is_empty() && !shown.ends_with(&format!("_{suffix}")) {
        shown.push('_');
        shown.push_str(suffix);
    }
    if kind == Kind::Counter && !shown.ends_with("_total") {
        shown.push_str("_total");
    }
    shown
}

/// The labels of `key`, by name, as they stand between braces.
pub(super) fn labels(key: &Key) -> String {
    let mut labels: Vec<_> = key
        .labels()
        .map(|label| (sanitized(label.key(), false), label.value()))
        .collect();
    labels.sort_unstable();
    // One name can have one value: the first.
    labels.dedup_by(|one, before| one.0 == before.0);
    let mut text = String::new();
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&name);
        text.push_str("=\"");
        for char in value.chars() {
            match char {
                '\\' => text.push_str(r"\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str(r"\n"),
                char => text.push(char),
            }
        }
        text.push('"');
    }
    text
}

/// A name of letters, digits and `_`, which does not begin with a digit; of a metric's, `:` too.
fn sanitized(name: &str, is_metric: bool) -> String {
    let fits =
        |char: char| char.is_ascii_alphanumeric() || char == '_' || (is_metric && char == ':');
    let mut shown: String = name
        .chars()
        .map(|char| if fits(char) { char } else { '_' })
        .collect();
    if !is_metric && shown == "le" {
        // It is what the bounds of buckets go by.
        shown.push('_');
    }
    if shown.is_empty() || shown.starts_with(|char: char| char.is_ascii_digit()) {
        shown.insert(0, '_');
    }
    shown
}
