//! What is refused before it does harm.

use super::*;

fn refused(builder: TrafficSplitBuilder) -> String {
    builder
        .split(&upstreams(&["old", "new"]))
        .unwrap_err()
        .to_string()
}

#[test]
fn weights_that_cannot_hold_are_refused() {
    let weights = |weights: &[u32]| TrafficSplitBuilder::default().weights(weights.to_vec());
    assert_eq!(refused(weights(&[0, 0])), "weights: must not all be zero");
    assert_eq!(
        refused(weights(&[1])),
        "weights: must be 2, one for each target"
    );
    assert_eq!(
        refused(weights(&[1, 2_000_000])),
        "weights: 2000000 is more than 1000000"
    );
    let split = weights(&[1, 1]).split(&upstreams(&["old", "new"])).unwrap();
    assert!(split.handle().set_weights(&[1]).is_err());
    assert_eq!(&*split.handle().weights(), [1, 1]);
}

#[test]
fn targets_that_are_not_there_or_there_twice_are_refused() {
    let targets = |names: &[&str]| TrafficSplitBuilder::default().targets(names.to_vec());
    assert_eq!(
        refused(targets(&["old", "newer"])),
        "targets.1: \"newer\" is not there: known are old, new"
    );
    assert_eq!(
        refused(targets(&["old", "old"])),
        "targets.1: \"old\" is there twice"
    );
    let baseline = TrafficSplitBuilder::default().baseline("new");
    assert!(baseline.build(&upstreams(&["new"])).is_err());
}

#[test]
fn a_configuration_is_read_and_mistakes_in_it_are_named() {
    let read = |text: &str| serde_json::from_str::<TrafficSplitBuilder>(text);
    let whole = r#"{"targets": ["old", "new"], "weights": [9, 1], "sticky": "header:x-session", "salt": "a",
                    "allow_override": true, "spread_unavailable": false}"#;
    let builder = read(whole).unwrap();
    assert!(builder.split(&upstreams(&["old", "new"])).is_ok());
    for sticky in ["request_id", "user", "api_key", "random"] {
        assert!(read(&format!(r#"{{"sticky": "{sticky}"}}"#)).is_ok());
    }
    let error = read(r#"{"sticky": "moon"}"#).unwrap_err().to_string();
    assert!(error.contains("\"moon\" is none of"), "{error}");
    assert!(read(r#"{"sticky": "header:a b"}"#).is_err());
    assert!(read(r#"{"weight": [1]}"#).is_err());
}
