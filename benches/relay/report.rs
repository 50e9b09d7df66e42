//! Figures as text for people and as JSON for machines.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::compare::{Comparison, Measured, Round};

/// What stands for all rounds of one proxy: medians over the rounds, times in microseconds a request.
struct Summary {
    name: &'static str,
    cpu: f64,
    wall: f64,
    p50: f64,
    p99: f64,
    first: f64,
    /// The highest of all rounds, in KiB.
    peak_rss: Option<u64>,
    /// What a connection, with its request under way, has added to it at most, in KiB.
    connection_rss: Option<f64>,
}

/// CPU time of a proxy to that of the bare one for as many requests, over the rounds.
struct Ratio {
    median: f64,
    quartiles: [f64; 2],
    min: f64,
    max: f64,
}

impl Summary {
    fn of(proxy: &Measured, connections: u32) -> Self {
        let Measured {
            name,
            requests,
            rounds,
        } = proxy;
        let requests = *requests;
        let median =
            |figure: &dyn Fn(&Round) -> f64| quantile(&ascending(rounds.iter().map(figure)), 0.5);
        let added = |round: &Round| {
            let added = round.peak_rss?.saturating_sub(round.idle_rss?);
            Some(f64::from(u32::try_from(added).ok()?) / f64::from(connections))
        };
        let added = ascending(rounds.iter().filter_map(added));
        Self {
            name,
            cpu: median(&|round| micros(round.cpu) / f64::from(requests)),
            wall: median(&|round| micros(round.seen.wall) / f64::from(requests)),
            p50: median(&|round| micros(round.seen.latencies.percentile(50))),
            p99: median(&|round| micros(round.seen.latencies.percentile(99))),
            first: median(&|round| micros(round.seen.first.percentile(50))),
            peak_rss: rounds.iter().filter_map(|round| round.peak_rss).max(),
            connection_rss: (!added.is_empty()).then(|| quantile(&added, 0.5)),
        }
    }

    fn row(&self) -> String {
        let Self {
            name,
            cpu,
            wall,
            p50,
            p99,
            first,
            peak_rss,
            connection_rss,
        } = self;
        let peak_rss = peak_rss.map_or_else(|| "-".to_owned(), |kib| format!("{kib} KiB"));
        let each = connection_rss.map_or_else(|| "-".to_owned(), |kib| format!("{kib:.1} KiB"));
        format!(
            "  {name:<8}{cpu:>10.2} µs{wall:>12.2} µs{first:>10.0} µs{p50:>10.0} µs{p99:>10.0} µs{peak_rss:>12}{each:>15}"
        )
    }

    /// With the ratio of its CPU time to the bare proxy's.
    fn json(&self, ratio: &Ratio) -> Value {
        json!({
            "ratio": ratio.json(),
            "cpu_us": self.cpu,
            "wall_us": self.wall,
            "p50_us": self.p50,
            "p99_us": self.p99,
            "first_byte_p50_us": self.first,
            "peak_rss_kib": self.peak_rss,
            "connection_rss_kib": self.connection_rss,
        })
    }
}

impl Ratio {
    fn of(proxy: &Measured, bare: &Measured) -> Self {
        let each = |proxy: &Measured, round: &Round| micros(round.cpu) / f64::from(proxy.requests);
        let rounds = proxy.rounds.iter().zip(&bare.rounds);
        let ratios = ascending(rounds.map(|(own, theirs)| each(proxy, own) / each(bare, theirs)));
        let at = |fraction| quantile(&ratios, fraction);
        Self {
            median: at(0.5),
            quartiles: [at(0.25), at(0.75)],
            min: at(0.0),
            max: at(1.0),
        }
    }

    fn row(&self, name: &str) -> String {
        let Self {
            median,
            quartiles: [lower, upper],
            min,
            max,
        } = self;
        format!(
            "  {name:<8}{median:>10.3} times bare (half of the rounds {lower:.3} to {upper:.3}, all {min:.3} to {max:.3})"
        )
    }

    fn json(&self) -> Value {
        let Self {
            median,
            quartiles,
            min,
            max,
        } = self;
        json!({ "median": median, "quartiles": quartiles, "min": min, "max": max })
    }
}

/// The figures of all proxies, and the ratios of their CPU time.
pub(crate) fn table(comparison: &Comparison) -> String {
    let Comparison {
        workload,
        connections,
        proxies,
        ..
    } = comparison;
    let bare = bare(proxies);
    let (rounds, requests) = (bare.rounds.len(), bare.requests);
    let mut lines = vec![
        format!(
            "{}: {}; {rounds} rounds of {requests} requests over {connections} connections; CPU time from {}",
            workload.name,
            workload.about,
            clock(proxies),
        ),
        "           CPU/request   wall/request   first byte          p50          p99    peak RSS  a connection"
            .to_owned(),
    ];
    lines.extend(
        proxies
            .iter()
            .map(|proxy| Summary::of(proxy, *connections).row()),
    );
    let others = proxies.iter().skip(1);
    lines.extend(others.map(|proxy| Ratio::of(proxy, bare).row(proxy.name)));
    lines.push(String::new());
    lines.join("\n")
}

/// The same as one JSON object.
pub(crate) fn json(comparison: &Comparison) -> Value {
    let Comparison {
        workload,
        connections,
        pinned,
        proxies,
    } = comparison;
    let bare = bare(proxies);
    let mut object = Map::from_iter([
        ("workload".to_owned(), workload.name.into()),
        ("rounds".to_owned(), bare.rounds.len().into()),
        ("requests".to_owned(), bare.requests.into()),
        ("connections".to_owned(), (*connections).into()),
        ("clock".to_owned(), clock(proxies).into()),
        ("pinned".to_owned(), (*pinned).into()),
    ]);
    object.extend(proxies.iter().map(|proxy| {
        let figures = Summary::of(proxy, *connections).json(&Ratio::of(proxy, bare));
        (proxy.name.to_owned(), figures)
    }));
    object.into()
}

/// What the others are compared to: the first.
fn bare(proxies: &[Measured]) -> &Measured {
    proxies.first().expect("the bare proxy")
}

fn clock(proxies: &[Measured]) -> &'static str {
    let first = bare(proxies).rounds.first();
    first.map_or("nothing", |round| round.clock.name())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn ascending(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Interpolates linearly between the two nearest of at least one value (type 7 of Hyndman and Fan, 1996).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "a rank is at least zero and below the number of rounds"
)]
fn quantile(ascending: &[f64], fraction: f64) -> f64 {
    let rank = fraction * (ascending.len() - 1) as f64;
    let (lower, upper) = (
        ascending[rank.floor() as usize],
        ascending[rank.ceil() as usize],
    );
    lower + (upper - lower) * rank.fract()
}
