use std::{fmt::Write as _, sync::Arc};

use http::{Request, StatusCode};
use metrics::{Key, Label, Level, Metadata, Recorder, Unit};
use proptest::prelude::*;
use tower::ServiceExt;

use super::{Metrics, Prometheus};
use crate::testing::{
    prometheus::{self, parse},
    read,
};

const ABOUT: Metadata<'static> = Metadata::new("tests", Level::INFO, None);

fn key(name: &str, labels: &[(&str, &str)]) -> Key {
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| Label::new((*name).to_owned(), (*value).to_owned()))
        .collect();
    Key::from_parts(name.to_owned(), labels)
}

#[test]
fn what_is_told_is_shown_as_prometheus_reads_it() {
    let prometheus = Prometheus::new().buckets("a.time", &[1.0, 0.5, f64::NAN, 0.5]);
    prometheus.describe_histogram("a.time".into(), Some(Unit::Seconds), "How\nlong.".into());
    let time = prometheus.register_histogram(&key("a.time", &[("b.c", "x\"\\\n")]), &ABOUT);
    time.record(0.5);
    time.record_many(0.75, 2);
    time.record(3.0);
    time.record(f64::NAN);
    let counter = key("a.count", &[("2", "two"), ("1", "one")]);
    prometheus.register_counter(&counter, &ABOUT).increment(7);
    let gauge = prometheus.register_gauge(&key("a.level", &[]), &ABOUT);
    gauge.set(f64::INFINITY);

    let text = prometheus.render();
    let expected = r#"# TYPE a_count_total counter
a_count_total{_1="one",_2="two"} 7
# TYPE a_level gauge
a_level +Inf
# HELP a_time_seconds How\nlong.
# TYPE a_time_seconds histogram
a_time_seconds_bucket{b_c="x\"\\\n",le="0.5"} 1
a_time_seconds_bucket{b_c="x\"\\\n",le="1"} 3
a_time_seconds_bucket{b_c="x\"\\\n",le="+Inf"} 4
a_time_seconds_sum{b_c="x\"\\\n"} 5
a_time_seconds_count{b_c="x\"\\\n"} 4
# HELP relay_metrics_dropped_total Metrics that found no place, for too many sets of labels.
# TYPE relay_metrics_dropped_total counter
relay_metrics_dropped_total 0
"#;
    assert_eq!(text, expected);
    let families = parse(&text).unwrap();
    let names: Vec<_> = families.iter().map(|family| &*family.name).collect();
    let dropped = "relay_metrics_dropped_total";
    assert_eq!(
        names,
        ["a_count_total", "a_level", "a_time_seconds", dropped]
    );
}

#[test]
fn labels_without_end_fill_no_memory() {
    let prometheus = Prometheus::new();
    for number in 0..10_050 {
        let key = key("many", &[("number", &number.to_string())]);
        prometheus.register_counter(&key, &ABOUT).increment(1);
    }
    // One that has its place keeps it.
    let first = key("many", &[("number", "0")]);
    prometheus.register_counter(&first, &ABOUT).increment(1);
    let families = parse(&prometheus.render()).unwrap();
    assert_eq!(families[0].samples.len(), 10_000);
    assert_eq!(
        prometheus::value(&families, "many_total", &[("number", "0")]),
        Some(2.0)
    );
    assert_eq!(
        prometheus::value(&families, "relay_metrics_dropped_total", &[]),
        Some(50.0)
    );
}

#[test]
fn one_name_is_of_one_kind() {
    let prometheus = Prometheus::new();
    prometheus
        .register_counter(&key("a", &[]), &ABOUT)
        .increment(1);
    prometheus.register_gauge(&key("a", &[]), &ABOUT).set(5.0);
    let families = parse(&prometheus.render()).unwrap();
    assert_eq!(prometheus::value(&families, "a_total", &[]), Some(1.0));
    assert_eq!(families.len(), 2);
}

#[test]
fn what_is_sampled_is_asked_for_each_time() {
    let prometheus = Prometheus::new();
    let calls = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    prometheus.sampled("calls", move |recorder| {
        let calls = counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        #[allow(clippy::cast_precision_loss)]
        recorder
            .register_gauge(&key("calls", &[]), &ABOUT)
            .set(calls as f64);
    });
    for calls in 1..4 {
        let families = parse(&prometheus.render()).unwrap();
        assert_eq!(
            prometheus::value(&families, "calls", &[]),
            Some(f64::from(calls))
        );
    }
}

#[tokio::test]
async fn a_scrape_is_answered_and_nothing_else_is() {
    let service = Metrics::new(Prometheus::new());
    let request = Request::get("/metrics").body(()).unwrap();
    let (head, text) = read(service.clone().oneshot(request).await.unwrap()).await;
    assert_eq!(
        head.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    parse(&text).unwrap();
    let request = Request::post("/metrics").body(()).unwrap();
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn a_parser_that_takes_anything_proves_nothing() {
    for wrong in [
        "a 1\n",
        "# TYPE a counter\na 1\n",
        "# TYPE a gauge\na 1",
        "# TYPE a gauge\na{b=c} 1\n",
        "# TYPE a gauge\na{b=\"c} 1\n",
        "# TYPE a gauge\na{1b=\"c\"} 1\n",
        "# TYPE a gauge\na{b=\"\\x\"} 1\n",
        "# TYPE a gauge\na x\n",
        "# TYPE a gauge\na 1\na 1\n",
        "# TYPE a gauge\na 1\n# TYPE a gauge\n",
        "# TYPE a gauge\n\na 1\n",
        "# TYPE a.b gauge\na.b 1\n",
        "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
        "# TYPE a histogram\na_sum 1\na_count 1\n",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn whatever_names_and_labels_are_the_text_is_well_formed(
        metrics in prop::collection::vec((".{0,12}", ".{0,8}", ".{0,12}", 0.0f64..1e9), 0..12)
    ) {
        let prometheus = Prometheus::new();
        for (at, (name, label, value, number)) in metrics.iter().enumerate() {
            // Different names may come to be shown as the same.
            let mut unique = String::new();
            write!(unique, "m{at}_x{name}").unwrap();
            let key = key(&unique, &[(label, value), ("le2", name)]);
            prometheus.register_histogram(&key, &ABOUT).record(*number);
        }
        let families = parse(&prometheus.render());
        prop_assert!(families.is_ok(), "{:?}", families.err());
        prop_assert_eq!(families.unwrap().len(), metrics.len() + 1);
    }
}
