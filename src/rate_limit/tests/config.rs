use super::*;

#[test]
fn the_guides_numbers_are_theirs() {
    for (builder, requests, tokens) in [
        (RateLimitBuilder::guide_c(), 300, 500_000),
        (RateLimitBuilder::default(), 300, 500_000),
        (RateLimitBuilder::guide_c_controller(), 3_000, 2_000_000),
    ] {
        let handle = builder.build().unwrap().handle();
        let quota = Quota::per_minute(requests, tokens).unwrap();
        assert_eq!(handle.quota(&Key::GLOBAL), quota);
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_reason() {
    let model = || "gpt-*".parse().unwrap();
    for (builder, error) in [
        (limited(1, 1).quota(Quota::default()), "limits: has none"),
        (
            limited(1, 1).model(model(), Quota::default()),
            "models: is for the provider's side: callers are counted by their key",
        ),
        (limited(1, 1).max_keys(0), "max_keys: must be at least 1"),
        (
            limited(1, 1).wait(Duration::MAX),
            "wait: is longer than a year",
        ),
        (
            limited(1, 1).wait(MINUTE).max_waiting(0, 1),
            "max_waiting: must be at least 1 where requests may wait",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().to_string(), error);
    }
    let provider = RateLimitBuilder::default().provider();
    assert!(provider.model(model(), Quota::default()).build().is_ok());
}

#[test]
fn it_is_read_from_text() {
    let text = r#"{"limits":[{"requests":5,"per":"1s","burst":9}],"output":"typical","unknown_usage":"keep_reservation","wait":"2s"}"#;
    let builder: RateLimitBuilder = serde_json::from_str(text).unwrap();
    let quota = builder.build().unwrap().handle().quota(&Key::GLOBAL);
    assert_eq!(quota.limits()[0].burst(), 9);
    for text in [
        r#"{"limit":[]}"#,
        r#"{"limits":[{"requests":5}]}"#,
        r#"{"limits":[{"requests":1,"per":"1s"},{"requests":2,"per":"1s"}]}"#,
        r#"{"wait":2}"#,
    ] {
        assert!(
            serde_json::from_str::<RateLimitBuilder>(text).is_err(),
            "{text}"
        );
    }
}
