use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, advance, sleep};
use tower::util::service_fn;

use super::{
    state::{Event, Machine, Reading, Times},
    *,
};
use crate::{
    ledger::{Record, Totals},
    message::{RequestBody, ResponseBody},
    server::Facts,
    stats::{Availability, Latency, Stats, Verdict},
    wire::clock,
    worker::Worker,
};

const SECOND: Duration = Duration::from_secs(1);

/// A machine that is given one value each ten seconds.
struct Fed {
    machine: Machine,
    now: Instant,
    rules: Rules,
}

impl Fed {
    fn new(rules: Rules) -> Self {
        Self {
            machine: Machine::default(),
            now: Instant::now(),
            rules,
        }
    }

    fn feed(&mut self, rule: Rule, values: impl IntoIterator<Item = Option<f64>>) -> Vec<Event> {
        let times = Times {
            hold: 60 * SECOND,
            clear: 300 * SECOND,
            baseline: 3600 * SECOND,
        };
        let mut events = Vec::new();
        for value in values {
            self.now += 10 * SECOND;
            let subject = "up".into();
            let reading = value.map(|value| Reading {
                rule,
                subject,
                value,
            });
            let readings = reading.into_iter().collect();
            events.extend(self.machine.observe(self.now, &self.rules, times, readings));
        }
        events
    }

    fn rates(&mut self, rate: f64, times: usize) -> Vec<Event> {
        self.feed(Rule::ErrorRate, vec![Some(rate); times])
    }
}

#[test]
fn an_alert_fires_once_what_is_wrong_stays_so_and_is_over_once_that_stays_back() {
    let mut fed = Fed::new(Rules::default());
    assert!(fed.rates(0.06, 6).is_empty(), "not yet for a minute");
    let events = fed.rates(0.06, 10);
    assert_eq!(events.len(), 1);
    assert!(events[0].is_firing);
    assert_eq!(fed.machine.firing().count(), 1);
    assert!(fed.rates(0.0, 30).is_empty(), "not yet for five minutes");
    let events = fed.rates(0.0, 10);
    assert_eq!(events.len(), 1);
    assert!(!events[0].is_firing);
    assert_eq!(fed.machine.firing().count(), 0);
}

#[test]
fn a_value_around_its_limit_does_not_flap() {
    let mut fed = Fed::new(Rules::default());
    // A short peak is none.
    for _ in 0..20 {
        assert!(fed.rates(0.5, 5).is_empty());
        assert!(fed.rates(0.01, 1).is_empty());
    }
    assert_eq!(fed.rates(0.06, 7).len(), 1);
    // Just below is not back, and neither is a short dip.
    for _ in 0..50 {
        assert!(fed.rates(0.049, 20).is_empty());
        assert!(fed.rates(0.0, 29).is_empty());
        assert!(fed.rates(0.051, 1).is_empty());
    }
    assert_eq!(fed.rates(0.0, 40).len(), 1);
}

#[test]
fn a_latency_is_wrong_above_what_it_usually_is_and_what_is_wrong_does_not_become_usual() {
    let mut fed = Fed::new(Rules::default());
    let mut p95 = |value: f64, times| fed.feed(Rule::P95, vec![Some(value); times]);
    assert!(p95(5000.0, 12).is_empty(), "nothing to compare with");
    assert!(p95(5050.0, 600).is_empty());
    let events = p95(5200.0, 700);
    assert_eq!(events.len(), 1, "and for two hours it is not usual");
    assert_eq!(
        (events[0].baseline, events[0].limit),
        (Some(5050.0), 5150.0)
    );
    let events = p95(5060.0, 40);
    assert_eq!(events.len(), 1);
    assert!(!events[0].is_firing);
}

#[test]
fn what_one_reading_proves_fires_at_once_and_what_is_not_seen_any_more_is_over() {
    let mut fed = Fed::new(Rules::default());
    assert_eq!(fed.feed(Rule::KeyRejected, [Some(1.0)]).len(), 1);
    assert!(fed.feed(Rule::KeyRejected, vec![None; 30]).is_empty());
    assert_eq!(fed.feed(Rule::KeyRejected, vec![None; 5]).len(), 1);
    assert_eq!(fed.machine.firing().count(), 0);
}

#[test]
fn what_is_not_watched_never_fires_and_what_is_watched_is_bounded() {
    let off = r#"{"error_rate": "off", "p95": "off", "budget": "off", "unpriced": false}"#;
    let rules: Rules = serde_json::from_str(off).unwrap();
    let mut fed = Fed::new(rules);
    for rule in [Rule::ErrorRate, Rule::P95, Rule::Budget, Rule::Unpriced] {
        assert!(fed.feed(rule, vec![Some(1e9); 50]).is_empty());
    }
    let times = Times {
        hold: SECOND,
        clear: SECOND,
        baseline: SECOND,
    };
    let reading = |number: usize| Reading {
        rule: Rule::KeyRejected,
        subject: number.to_string().into(),
        value: 1.0,
    };
    let readings = (0..5000).map(reading).collect();
    let events = fed.machine.observe(fed.now, &fed.rules, times, readings);
    assert_eq!(events.len(), 1000);
}

#[test]
fn rules_are_read_from_text_and_what_cannot_be_says_why() {
    let read = |text: &str| serde_json::from_str::<Rules>(text);
    let rules = read(r#"{"error_rate": 0.01, "p99": {"at_most": "2s"}}"#).unwrap();
    assert_eq!(rules.error_rate, Some(0.01));
    assert_eq!(rules.p99, LatencyRule::AtMost(2 * SECOND));
    for text in [
        r#"{"error_rate": "on"}"#,
        r#"{"p95": 3}"#,
        r#"{"p96": "off"}"#,
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    let built = |rules: &str| {
        let builder = AlertsBuilder::default().rules(read(rules).unwrap());
        builder
            .build()
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let error = built(r#"{"error_rate": 5}"#).unwrap_err();
    assert!(
        error.starts_with("rules.error_rate: must be a share"),
        "{error}"
    );
}

/// Alerts over `stats` and `totals`, and what their callback was given.
fn watching(
    stats: &Stats,
    totals: &Totals,
    builder: AlertsBuilder,
) -> (Alerts, Worker, Arc<Mutex<Vec<Notice>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let facts = Facts::default().stats(stats);
    let builder = builder.facts(&facts.ledger(Arc::new(totals.clone())));
    let builder = builder.callback(move |notice| tell.lock().unwrap().push(notice.clone()));
    let (alerts, worker) = builder.build().unwrap();
    (alerts, worker, told)
}

#[tokio::test(start_paused = true)]
async fn errors_breakers_rejected_keys_and_unknown_prices_are_told_of() {
    let (stats, totals) = (Stats::default(), Totals::default());
    let (alerts, worker, told) = watching(&stats, &totals, AlertsBuilder::default());
    let stop = worker.shutdown_handle();
    let worker = tokio::spawn(worker);
    let mut record = Record::new(clock::now(), "r", "up".into());
    record.model_served = Some("new-model".into());
    record.outcome = "upstream_auth".into();
    totals.add(&record);
    sleep(11 * SECOND).await;
    assert!(told.lock().unwrap().is_empty(), "from before");
    totals.add(&record);
    stats
        .availability("up")
        .publish(Availability::Unavailable { until: None });
    for _ in 0..12 {
        let now = Instant::now();
        for _ in 0..30 {
            stats.series("up", "m", now).record(now, Verdict::Failure);
        }
        advance(10 * SECOND).await;
        tokio::task::yield_now().await;
    }
    let mut rules: Vec<_> = told
        .lock()
        .unwrap()
        .iter()
        .map(|notice| notice.rule)
        .collect();
    rules.sort_unstable();
    assert_eq!(
        rules,
        [
            Rule::ErrorRate,
            Rule::Breaker,
            Rule::Unpriced,
            Rule::KeyRejected
        ]
    );
    let told = told.lock().unwrap().clone();
    let errors = told
        .iter()
        .find(|notice| notice.rule == Rule::ErrorRate)
        .unwrap();
    assert_eq!(
        errors.message,
        "up: 100.0 % of its attempts fail, above 5.0 %"
    );
    let shown = crate::control::Control::show(&alerts);
    assert_eq!(shown["firing"].as_array().unwrap().len(), 4);
    alerts.set_enabled(false);
    assert!(alerts.firing().is_empty());
    stop.shutdown();
    worker.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn too_few_attempts_say_nothing() {
    let (stats, totals) = (Stats::default(), Totals::default());
    let (alerts, worker, told) = watching(&stats, &totals, AlertsBuilder::default());
    let worker = tokio::spawn(worker);
    for _ in 0..60 {
        let now = Instant::now();
        let series = stats.series("up", "m", now);
        series.record(now, Verdict::Failure);
        series.observe(now, Latency::Total, Duration::from_secs(60));
        sleep(10 * SECOND).await;
    }
    assert!(told.lock().unwrap().is_empty());
    assert!(alerts.firing().is_empty());
    worker.abort();
}

/// A webhook that answers with `statuses`, one after the other, and what it was sent.
fn webhook(statuses: &[u16]) -> (Webhook, Arc<Mutex<Vec<serde_json::Value>>>) {
    let got = Arc::new(Mutex::new(Vec::new()));
    let (seen, mut statuses) = (Arc::clone(&got), statuses.to_vec());
    statuses.reverse();
    let statuses = Arc::new(Mutex::new(statuses));
    let client = service_fn(move |request: Request<RequestBody>| {
        let (seen, statuses) = (Arc::clone(&seen), Arc::clone(&statuses));
        async move {
            assert_eq!(request.headers()["authorization"], "Bearer hook");
            let body = request.into_body().collect().await.unwrap().to_bytes();
            seen.lock()
                .unwrap()
                .push(serde_json::from_slice(&body).unwrap());
            let status = statuses.lock().unwrap().pop().unwrap_or(200);
            if status == 0 {
                return std::future::pending().await;
            }
            let mut response = Response::new(ResponseBody::empty());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let hook = Webhook::new("http://hooks.test/secret".parse().unwrap(), client);
    (hook.authorization("Bearer hook".parse().unwrap()), got)
}

async fn rejected_keys(webhook: Webhook, keys: usize) -> Alerts {
    let (stats, totals) = (Stats::default(), Totals::default());
    let builder = AlertsBuilder::default().webhook(webhook).relay("eu-1");
    let (alerts, worker, _) = watching(&stats, &totals, builder);
    let stop = worker.shutdown_handle();
    let worker = tokio::spawn(worker);
    sleep(11 * SECOND).await;
    for number in 0..keys {
        let mut record = Record::new(clock::now(), "r", format!("up-{number}").into());
        record.outcome = "upstream_auth".into();
        record.cost_usd = Some(crate::message::catalog::Cost::ZERO);
        totals.add(&record);
    }
    sleep(11 * SECOND).await;
    stop.shutdown();
    worker.await.unwrap();
    alerts
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_fails_for_now_is_tried_again_and_one_that_refuses_is_not() {
    let (hook, got) = webhook(&[503, 0, 200]);
    let alerts = rejected_keys(hook, 1).await;
    assert_eq!(alerts.webhook_counts().sent, 1);
    let got = got.lock().unwrap().clone();
    assert_eq!(got.len(), 3);
    assert_eq!(got[2]["version"], 1);
    assert_eq!(got[2]["relay"], "eu-1");
    assert_eq!(
        (&got[2]["rule"], &got[2]["state"]),
        (&"key_rejected".into(), &"firing".into())
    );

    let (hook, got) = webhook(&[400]);
    let alerts = rejected_keys(hook, 1).await;
    assert_eq!(
        (alerts.webhook_counts().failed, got.lock().unwrap().len()),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_hangs_holds_nobody_up_and_what_waits_for_it_is_bounded() {
    let (hook, _) = webhook(&[0; 1000]);
    let alerts = rejected_keys(hook, 200).await;
    let counts = alerts.webhook_counts();
    assert_eq!(counts.sent, 0);
    assert!(counts.dropped >= 200 - 64 - 1, "{counts:?}");
    assert_eq!(counts.failed + counts.dropped, 200);
}
