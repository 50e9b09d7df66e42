//! What can be said, and what cannot.

use super::*;

#[test]
fn what_cannot_work_is_refused_with_field_and_reason() {
    let new = HedgeLayer::builder;
    let (a, b) = (
        Upstream::new("a", |_| stream_after(1)),
        Upstream::new("b", |_| stream_after(1)),
    );
    for (builder, reason) in [
        (
            new().targets(["a", "c"]),
            "targets.1: \"c\" is not there: known are a, b",
        ),
        (
            new().percentile(49.0),
            "percentile: must be from 50 to 99.9",
        ),
        (
            new().percentile(f64::NAN),
            "percentile: must be from 50 to 99.9",
        ),
        (
            new().attempts(1),
            "attempts: must be at least 2, or there is none to hedge with",
        ),
        (new().max_hedges(0), "max_hedges: must be more than zero"),
        (new().min_samples(0), "min_samples: must be more than zero"),
        (
            new().window(Duration::ZERO),
            "window: must be more than zero",
        ),
        (
            new().floor(Duration::from_secs(31)),
            "floor: must be at most the ceiling",
        ),
    ] {
        let error = builder.hedge(&targets(&[&a, &b])).unwrap_err();
        assert_eq!(error.to_string(), reason);
    }
}

#[test]
fn a_configuration_has_units_and_no_unknown_fields() {
    let text = r#"{"targets":["a","b"],"delay":"200ms","budget_percent":3,"budget_burst":1}"#;
    assert!(serde_json::from_str::<HedgeBuilder>(text).is_ok());
    for (wrong, reason) in [
        (r#"{"delay":200}"#, "a span of time with its unit"),
        (r#"{"after":"1s"}"#, "unknown field `after`"),
    ] {
        let error = serde_json::from_str::<HedgeBuilder>(wrong).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}
