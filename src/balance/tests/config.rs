//! What can be said, and what cannot.

use super::*;
use crate::key::StickyBy;

fn why(builder: BalanceBuilder) -> String {
    let error = builder.balance(&targets(&three(1, 1))).unwrap_err();
    error.to_string()
}

#[test]
fn what_cannot_work_is_refused_with_field_and_reason() {
    let new = BalanceLayer::builder;
    for (builder, reason) in [
        (
            new().targets(["a", "d"]),
            "targets.1: \"d\" is not there: known are a, b, c",
        ),
        (new().targets(["a", "a"]), "targets.1: \"a\" is there twice"),
        (
            new().weights([1, 1, 1]),
            "weights: count for the policy \"weighted\" alone",
        ),
        (
            new().policy(Policy::Weighted),
            "weights: must be 3, one for each target",
        ),
        (
            new().policy(Policy::Weighted).weights([0, 0, 0]),
            "weights: must not all be zero",
        ),
        (new().load_factor(0.9), "load_factor: must be from 1 to 100"),
        (
            new().load_factor(f64::NAN),
            "load_factor: must be from 1 to 100",
        ),
        (new().decay(Duration::ZERO), "decay: must be more than zero"),
    ] {
        assert_eq!(why(builder), reason);
    }
}

#[test]
fn a_configuration_names_policy_and_key() {
    let text = r#"{"policy":"least_in_flight","sticky":"header:x-session","decay":"5s","ramp":"0s","load_factor":1.5}"#;
    let builder: BalanceBuilder = serde_json::from_str(text).unwrap();
    builder.balance(&targets(&three(1, 1))).unwrap();
    for (wrong, reason) in [
        (r#"{"policy":"fastest"}"#, "unknown variant `fastest`"),
        (r#"{"stick":"user"}"#, "unknown field `stick`"),
    ] {
        let error = serde_json::from_str::<BalanceBuilder>(wrong).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    drop(BalanceLayer::builder().sticky(StickyBy::prompt_cache_key()));
}

#[test]
fn a_sixty_fifth_member_is_one_too_many() {
    let named = |number: usize| {
        let name: &'static str = Box::leak(number.to_string().into_boxed_str());
        Upstream::new(name, 1, 1)
    };
    let all: Vec<_> = (0..65).map(named).collect();
    let build = |count: usize| BalanceLayer::builder().balance(&targets(&all[..count]));
    assert!(build(64).is_ok());
    assert_eq!(
        build(65).unwrap_err().to_string(),
        "targets: must be at most 64"
    );
}
