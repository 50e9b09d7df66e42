//! A report for people.

use std::fmt::Write as _;

use serde_json::Value;

/// What one wants to know first, in lines.
pub(super) fn text(status: &Value) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, status);
    text
}

fn write(out: &mut String, status: &Value) -> std::fmt::Result {
    let replica = at(status, "/replica");
    let replicas = at(replica, "/replicas").as_u64().unwrap_or(1);
    let others = if replicas > 1 {
        format!(", one of {replicas} replicas")
    } else {
        String::new()
    };
    writeln!(
        out,
        "{}  tower-relay {}, up {}{others}",
        word(at(replica, "/name")),
        word(at(status, "/version")),
        span(at(status, "/uptime_seconds").as_u64().unwrap_or(0))
    )?;
    let requests = at(status, "/traffic/requests");
    let (all, recent) = (at(requests, "/since_start"), at(requests, "/recent"));
    writeln!(
        out,
        "requests   {} in all, {} in flight; of late {}, {} answered, p95 {}, {} refused",
        at(all, "/total"),
        at(requests, "/in_flight"),
        at(recent, "/total"),
        percent(at(recent, "/success_rate")),
        millis(at(requests, "/total/p95_ms")),
        at(recent, "/rejected"),
    )?;
    for upstream in list(at(status, "/traffic/upstreams")) {
        writeln!(
            out,
            "upstream   {:<16} {:<10} {:>6} attempts, {} answered, p95 {}, first token p50 {}",
            word(at(upstream, "/upstream")),
            word(at(upstream, "/breaker")),
            sum(at(upstream, "/outcomes")),
            percent(at(upstream, "/success_rate")),
            millis(at(upstream, "/total/p95_ms")),
            millis(at(upstream, "/first_token/p50_ms")),
        )?;
    }
    let rollouts = at(status, "/controls/rollouts").as_object();
    for (name, rollout) in rollouts.into_iter().flatten() {
        let targets = list(at(rollout, "/targets"));
        let targets = targets
            .map(|target| format!("{} {}", word(at(target, "/name")), at(target, "/weight")));
        writeln!(
            out,
            "rollout    {name:<16} {}, stage {} of {}: {}",
            word(at(rollout, "/state")),
            at(rollout, "/stage"),
            at(rollout, "/stages"),
            targets.collect::<Vec<_>>().join(", ")
        )?;
    }
    if let Some(spend) = at(status, "/spend").as_object() {
        let cost = |group: &str| {
            spend
                .get(group)
                .map_or("?", |group| word(at(group, "/cost_usd")))
                .to_owned()
        };
        writeln!(
            out,
            "spend      {} USD today, {} USD in all{}",
            cost("today"),
            cost("total"),
            match cost("copies").as_str() {
                // One that is older does not tell copies apart.
                "0" | "?" => String::new(),
                copies => format!(", {copies} USD besides for shadow copies"),
            }
        )?;
    }
    for count in list(at(status, "/refusals/counts")) {
        writeln!(
            out,
            "refused    {:<16} {} by {}",
            word(at(count, "/reason")),
            at(count, "/count"),
            word(at(count, "/layer"))
        )?;
    }
    let alerts = at(status, "/controls/alerts").as_object();
    let firing = alerts
        .into_iter()
        .flatten()
        .flat_map(|(_, alerts)| list(at(alerts, "/firing")));
    for alert in firing {
        writeln!(
            out,
            "ALERT      {} {}",
            word(at(alert, "/rule")),
            word(at(alert, "/subject"))
        )?;
    }
    Ok(())
}

/// What a path leads to; null, where it leads nowhere.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn sum(outcomes: &Value) -> u64 {
    let counts = outcomes
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::values);
    counts.filter_map(Value::as_u64).sum()
}

fn percent(share: &Value) -> String {
    share
        .as_f64()
        .map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn millis(value: &Value) -> String {
    value
        .as_f64()
        .map_or("-".to_owned(), |millis| format!("{millis:.0} ms"))
}

fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
