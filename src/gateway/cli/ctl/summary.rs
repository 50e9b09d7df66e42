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
    let replica = &status["replica"];
    let replicas = replica["replicas"].as_u64().unwrap_or(1);
    let others = if replicas > 1 {
        format!(", one of {replicas} replicas")
    } else {
        String::new()
    };
    writeln!(
        out,
        "{}  tower-relay {}, up {}{others}",
        word(&replica["name"]),
        word(&status["version"]),
        span(status["uptime_seconds"].as_u64().unwrap_or(0))
    )?;
    let requests = &status["traffic"]["requests"];
    let (all, recent) = (&requests["since_start"], &requests["recent"]);
    writeln!(
        out,
        "requests   {} in all, {} in flight; of late {}, {} answered, p95 {}, {} refused",
        all["total"],
        requests["in_flight"],
        recent["total"],
        percent(&recent["success_rate"]),
        millis(&requests["total"]["p95_ms"]),
        recent["rejected"],
    )?;
    for upstream in list(&status["traffic"]["upstreams"]) {
        writeln!(
            out,
            "upstream   {:<16} {:<10} {:>6} attempts, {} answered, p95 {}, first token p50 {}",
            word(&upstream["upstream"]),
            word(&upstream["breaker"]),
            sum(&upstream["outcomes"]),
            percent(&upstream["success_rate"]),
            millis(&upstream["total"]["p95_ms"]),
            millis(&upstream["first_token"]["p50_ms"]),
        )?;
    }
    let rollouts = status["controls"]["rollouts"].as_object();
    for (name, rollout) in rollouts.into_iter().flatten() {
        let targets = list(&rollout["targets"]);
        let targets =
            targets.map(|target| format!("{} {}", word(&target["name"]), target["weight"]));
        writeln!(
            out,
            "rollout    {name:<16} {}, stage {} of {}: {}",
            word(&rollout["state"]),
            rollout["stage"],
            rollout["stages"],
            targets.collect::<Vec<_>>().join(", ")
        )?;
    }
    if let Some(spend) = status["spend"].as_object() {
        let cost = |group: &str| {
            spend
                .get(group)
                .map_or("?", |group| word(&group["cost_usd"]))
                .to_owned()
        };
        writeln!(
            out,
            "spend      {} USD today, {} USD in all",
            cost("today"),
            cost("total")
        )?;
    }
    for count in list(&status["refusals"]["counts"]) {
        writeln!(
            out,
            "refused    {:<16} {} by {}",
            word(&count["reason"]),
            count["count"],
            word(&count["layer"])
        )?;
    }
    let alerts = status["controls"]["alerts"].as_object();
    let firing = alerts
        .into_iter()
        .flatten()
        .flat_map(|(_, alerts)| list(&alerts["firing"]));
    for alert in firing {
        writeln!(
            out,
            "ALERT      {} {}",
            word(&alert["rule"]),
            word(&alert["subject"])
        )?;
    }
    Ok(())
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
