//! Prometheus' text format, read strictly.

use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A metric and its samples.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// The families of `text`, each of which is well-formed, said once and in one piece.
pub(crate) fn parse(text: &str) -> Result<Vec<Family>, String> {
    let mut families: Vec<Family> = Vec::new();
    let mut seen = HashSet::new();
    let mut helped = None;
    if !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').ok_or(format!("no help: {line}"))?;
            helped = Some(name.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').ok_or(format!("no type: {line}"))?;
            check_name(name, true)?;
            if !["counter", "gauge", "histogram"].contains(&kind) {
                return Err(format!("unknown type: {line}"));
            }
            if kind == "counter" && !name.ends_with("_total") {
                return Err(format!("a counter without _total: {name}"));
            }
            if helped.take().is_some_and(|helped| helped != name) {
                return Err(format!("help of another: {line}"));
            }
            if !seen.insert(name.to_owned()) {
                return Err(format!("said twice: {name}"));
            }
            families.push(Family {
                name: name.into(),
                kind: kind.into(),
                samples: Vec::new(),
            });
        } else {
            let sample = sample(line)?;
            let family = families.last_mut().ok_or("a sample without a type")?;
            let base = match &*family.kind {
                "histogram" => ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|suffix| sample.name.strip_suffix(suffix))
                    .ok_or(format!("no part of a histogram: {line}"))?,
                _ => &sample.name,
            };
            if base != family.name {
                return Err(format!("{line} within {}", family.name));
            }
            let is_same =
                |other: &Sample| other.name == sample.name && other.labels == sample.labels;
            // Of large families only the last few are compared: they are in order.
            if family.samples.iter().rev().take(64).any(is_same) {
                return Err(format!("twice: {line}"));
            }
            family.samples.push(sample);
        }
    }
    families.iter().try_for_each(check_histogram)?;
    Ok(families)
}

/// The value of the one sample with this name and at least these labels.
pub(crate) fn value(families: &[Family], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let samples = families.iter().flat_map(|family| &family.samples);
    let mut found = samples.filter(|sample| {
        let has = |(name, value): &(&str, &str)| {
            sample.labels.get(*name).is_some_and(|label| label == value)
        };
        sample.name == name && labels.iter().all(has)
    });
    let value = found.next().map(|sample| sample.value);
    assert!(found.next().is_none(), "several {name}");
    value
}

/// Each name of a metric with the names of its labels.
pub(crate) fn names(families: &[Family]) -> BTreeMap<String, BTreeSet<String>> {
    let labels = |family: &Family| {
        let samples = family.samples.iter();
        samples
            .flat_map(|sample| sample.labels.keys().cloned())
            .collect()
    };
    families
        .iter()
        .map(|family| (family.name.clone(), labels(family)))
        .collect()
}

fn check_histogram(family: &Family) -> Result<(), String> {
    if family.kind != "histogram" {
        return Ok(());
    }
    let mut buckets: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    let mut sums = 0;
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        if sample.name.ends_with("_bucket") {
            let le = labels.remove("le").ok_or("a bucket without a bound")?;
            let bound = number(&le)?;
            buckets
                .entry(labels)
                .or_default()
                .push((bound, sample.value));
        } else if sample.name.ends_with("_count") {
            counts.insert(labels, sample.value);
        } else {
            sums += 1;
        }
    }
    if counts.len() != buckets.len() || sums != counts.len() {
        return Err(format!("{} lacks a part", family.name));
    }
    for (labels, buckets) in buckets {
        let is_sorted = buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
        let last = buckets.last().filter(|(bound, _)| bound.is_infinite());
        if !is_sorted || last.map(|(_, count)| count) != counts.get(&labels) {
            return Err(format!("{}{labels:?} does not add up", family.name));
        }
    }
    Ok(())
}

fn sample(line: &str) -> Result<Sample, String> {
    let wrong = |what: &str| format!("{what}: {line}");
    let end = line.find(['{', ' ']).ok_or(wrong("no value"))?;
    let (name, mut rest) = line.split_at(end);
    check_name(name, true)?;
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or(wrong("no label"))?;
            check_name(label, false)?;
            let (value, after) = quoted(after).ok_or(wrong("no quoted value"))?;
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(wrong("a label twice"));
            }
            if let Some(after) = after.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = after.strip_prefix(',').ok_or(wrong("no comma"))?;
        }
    }
    let value = rest.strip_prefix(' ').ok_or(wrong("no space"))?;
    Ok(Sample {
        name: name.into(),
        labels,
        value: number(value)?,
    })
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match chars.next()?.1 {
                '\\' => '\\',
                '"' => '"',
                'n' => '\n',
                _ => return None,
            }),
            char => value.push(char),
        }
    }
    None
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ if text.starts_with(|char: char| char.is_ascii_digit() || char == '-') => {
            text.parse().map_err(|_| format!("no number: {text}"))
        }
        _ => Err(format!("no number: {text}")),
    }
}

fn check_name(name: &str, is_metric: bool) -> Result<(), String> {
    let fits =
        |char: char| char.is_ascii_alphanumeric() || char == '_' || (is_metric && char == ':');
    let is_one = !name.is_empty()
        && name.chars().all(fits)
        && !name.starts_with(|char: char| char.is_ascii_digit());
    is_one.then_some(()).ok_or(format!("no name: {name:?}"))
}
