use std::time::Duration;

use super::harness::builder;
use crate::commit_guard::{CommitGuardBuilder, Limits};

#[test]
fn settings_that_cannot_work_are_named() {
    let reason = |builder: CommitGuardBuilder| builder.build().unwrap_err().to_string();
    assert!(reason(builder().max_events(0)).starts_with("max_events: must be more than zero"));
    assert!(reason(builder().max_bytes(0)).starts_with("max_bytes: "));
    assert!(reason(builder().max_time(Duration::ZERO)).starts_with("max_time: "));
    assert!(reason(builder().max_held(0)).starts_with("max_held: "));
    let window = reason(builder().pace_window(Duration::from_millis(1)));
    assert_eq!(window, "pace_window: must be from 1s to 1h");
    assert!(
        builder()
            .max_time(Duration::MAX)
            .limits(Limits::none())
            .build()
            .is_ok()
    );
}

#[test]
fn a_configuration_names_what_differs_and_nothing_unknown() {
    let config = r#"{"max_bytes": "64KiB", "limits": {"first_token": "20s"}, "models": {"o3*": {"idle": "5m"}}}"#;
    let read: CommitGuardBuilder = serde_json::from_str(config).unwrap();
    let set = builder()
        .max_bytes(64 << 10)
        .limits(Limits::default().first_token(Duration::from_secs(20)))
        .model(
            "o3*".parse().unwrap(),
            Limits::default().idle(Duration::from_secs(300)),
        );
    assert_eq!(format!("{read:?}"), format!("{set:?}"));
    assert!(serde_json::from_str::<CommitGuardBuilder>(r#"{"limits": {"idel": "20s"}}"#).is_err());
    assert!(serde_json::from_str::<CommitGuardBuilder>(r#"{"max_event": 3}"#).is_err());
}
