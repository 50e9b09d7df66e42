//! Settings.

use super::*;
use crate::fallback::{FallbackBuilder, FallbackLayer};

#[test]
fn settings_that_cannot_work_are_named() {
    let all = [200, 200].map(Scripted::status);
    let refused = |builder: FallbackBuilder| {
        let chain = builder.chain(&upstreams(&all));
        chain.unwrap_err().to_string()
    };
    let builder = FallbackLayer::builder;
    let second = Duration::from_secs(1);
    for (builder, reason) in [
        (builder().attempts(0), "attempts: must be at least 1"),
        (
            builder().deadline(Duration::ZERO),
            "deadline: must be more than zero",
        ),
        (builder().wait(second * 31), "wait: must be at most 30s"),
        (
            builder().max_waiting(0),
            "max_waiting: must be at least 1: a wait of zero turns waiting off",
        ),
        (builder().targets(["a"]), "targets: must be at least two"),
        (
            builder().targets(["a", "x"]),
            "targets.1: \"x\" is not there: known are a, b",
        ),
        (
            builder().targets(["b", "a", "b"]),
            "targets.2: \"b\" is there twice",
        ),
    ] {
        assert_eq!(refused(builder), reason);
    }
}

#[tokio::test(start_paused = true)]
async fn targets_are_asked_in_the_order_in_which_they_are_named() {
    let [a, b, c] = [200, 500, 200].map(Scripted::status);
    let chain = FallbackLayer::builder()
        .targets(["b", "c"])
        .chain(&upstreams([&a, &b, &c]))
        .unwrap();
    assert_eq!(ask(&chain, chat()).await.0, 200);
    assert_eq!([a.calls(), b.calls(), c.calls()], [0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_is_read_as_it_is_built() {
    let text = r#"{"targets": ["b", "a"], "attempts": 2, "sticky": "1m", "wait": "30s", "budget_percent": 0, "budget_burst": 1}"#;
    let builder: FallbackBuilder = serde_json::from_str(text).unwrap();
    assert_eq!(builder.get_targets(), ["b", "a"]);
    let [a, b] = [200, 500].map(Scripted::status);
    let chain = builder.chain(&upstreams([&a, &b])).unwrap();
    assert_eq!(ask(&chain, chat()).await.0, 200);
    assert_eq!(chain.handle().first(), 1);
    for wrong in [
        r#"{"target": []}"#,
        r#"{"sticky": 60}"#,
        r#"{"budget_percent": -1}"#,
    ] {
        assert!(
            serde_json::from_str::<FallbackBuilder>(wrong).is_err(),
            "{wrong}"
        );
    }
}
