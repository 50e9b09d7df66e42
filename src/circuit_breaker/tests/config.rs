use super::*;

#[test]
fn what_cannot_work_is_refused_by_name() {
    let builder = CircuitBreakerBuilder::default;
    for (policy, field) in [
        (builder().window(Duration::ZERO), "window"),
        (builder().open_for(secs(u64::MAX)), "open_for"),
        (builder().max_open_for(secs(1)), "max_open_for"),
        (builder().failure_rate(1.1), "failure_rate"),
        (builder().rate_limited_rate(f64::NAN), "rate_limited_rate"),
        (builder().slow_start_from(0.0), "slow_start_from"),
        (builder().minimum_calls(0), "minimum_calls"),
        (builder().probes(0), "probes"),
    ] {
        let error = policy.build().unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
}

#[test]
fn a_configuration_deserializes_and_unknown_fields_are_refused() {
    let read = serde_json::from_str::<CircuitBreakerBuilder>;
    let policy = read(r#"{"open_for":"20s","forgiveness":"one","failure_rate":0.25}"#).unwrap();
    assert_eq!(policy.open_for, secs(20));
    assert_eq!(policy.forgiveness, Forgiveness::One);
    policy.build().unwrap();
    assert!(read(r#"{"open":"20s"}"#).is_err());
}

#[test]
fn the_presets_are_valid() {
    for preset in [
        CircuitBreakerBuilder::guide_a(),
        CircuitBreakerBuilder::guide_c(),
        CircuitBreakerBuilder::guide_d(),
    ] {
        preset.build().unwrap();
    }
}
