//! Figures as text for people and as JSON for machines.

use std::time::Duration;

use serde_json::{Value, json};

use crate::compare::{Comparison, Pair, Round};

/// What stands for all rounds of one proxy: medians over the rounds, times in microseconds a request.
struct Summary {
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

/// CPU time of the gateway to that of the bare proxy, over the pairs.
struct Ratio {
    median: f64,
    quartiles: [f64; 2],
    min: f64,
    max: f64,
}

impl Summary {
    fn of(rounds: &[&Round], requests: u32, connections: u32) -> Self {
        let median = |figure: &dyn Fn(&Round) -> f64| {
            quantile(&ascending(rounds.iter().map(|round| figure(round))), 0.5)
        };
        let added = |round: &Round| {
            let added = round.peak_rss?.saturating_sub(round.idle_rss?);
            Some(f64::from(u32::try_from(added).ok()?) / f64::from(connections))
        };
        let added = ascending(rounds.iter().filter_map(|round| added(round)));
        Self {
            cpu: median(&|round| micros(round.cpu) / f64::from(requests)),
            wall: median(&|round| micros(round.seen.wall) / f64::from(requests)),
            p50: median(&|round| micros(round.seen.latencies.percentile(50))),
            p99: median(&|round| micros(round.seen.latencies.percentile(99))),
            first: median(&|round| micros(round.seen.first.percentile(50))),
            peak_rss: rounds.iter().filter_map(|round| round.peak_rss).max(),
            connection_rss: (!added.is_empty()).then(|| quantile(&added, 0.5)),
        }
    }

    fn row(&self, name: &str) -> String {
        let Self {
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

    fn json(&self) -> Value {
        json!({
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
    fn of(rounds: &[Pair]) -> Self {
        let ratios = ascending(
            rounds
                .iter()
                .map(|pair| micros(pair.gateway.cpu) / micros(pair.bare.cpu)),
        );
        let at = |fraction| quantile(&ratios, fraction);
        Self {
            median: at(0.5),
            quartiles: [at(0.25), at(0.75)],
            min: at(0.0),
            max: at(1.0),
        }
    }
}

/// The figures of both proxies, and the ratio of their CPU time.
pub(crate) fn table(comparison: &Comparison) -> String {
    let Comparison {
        workload,
        requests,
        connections,
        rounds,
        ..
    } = comparison;
    let (bare, gateway) = summaries(comparison);
    let Ratio {
        median,
        quartiles: [lower, upper],
        min,
        max,
    } = Ratio::of(rounds);
    [
        format!(
            "{}: {}; {} rounds of {requests} requests over {connections} connections; CPU time from {}",
            workload.name,
            workload.about,
            rounds.len(),
            clock(rounds),
        ),
        "           CPU/request   wall/request   first byte          p50          p99    peak RSS  a connection"
            .to_owned(),
        bare.row("bare"),
        gateway.row("gateway"),
        format!(
            "  ratio   {median:>10.3}    (half of the rounds {lower:.3} to {upper:.3}, all {min:.3} to {max:.3})\n"
        ),
    ]
    .join("\n")
}

/// The same as one JSON object.
pub(crate) fn json(comparison: &Comparison) -> Value {
    let Comparison {
        workload,
        requests,
        connections,
        pinned,
        rounds,
    } = comparison;
    let (bare, gateway) = summaries(comparison);
    let Ratio {
        median,
        quartiles,
        min,
        max,
    } = Ratio::of(rounds);
    json!({
        "workload": workload.name,
        "rounds": rounds.len(),
        "requests": requests,
        "connections": connections,
        "clock": clock(rounds),
        "pinned": pinned,
        "bare": bare.json(),
        "gateway": gateway.json(),
        "ratio": { "median": median, "quartiles": quartiles, "min": min, "max": max },
    })
}

fn summaries(comparison: &Comparison) -> (Summary, Summary) {
    let bare: Vec<&Round> = comparison.rounds.iter().map(|pair| &pair.bare).collect();
    let gateway: Vec<&Round> = comparison.rounds.iter().map(|pair| &pair.gateway).collect();
    let of = |rounds: &[&Round]| Summary::of(rounds, comparison.requests, comparison.connections);
    (of(&bare), of(&gateway))
}

fn clock(rounds: &[Pair]) -> &'static str {
    rounds
        .first()
        .map_or("nothing", |pair| pair.bare.clock.name())
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
