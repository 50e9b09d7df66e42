//! What is refused before it does harm.

use super::super::{CostLimit, ErrorLimit, RolloutBuilder, TimeLimit};
use super::*;
use crate::message::catalog::Cost;

fn refused(builder: &RolloutBuilder) -> String {
    builder.check(2).unwrap_err().to_string()
}

#[test]
fn stages_and_shares_that_cannot_hold_are_refused() {
    let builder = RolloutBuilder::default;
    assert_eq!(
        refused(&builder().stages([[1, 2, 3]])),
        "stages.0: must be 2, one for each target"
    );
    assert_eq!(
        refused(&builder().stages([[1, 1], [0, 0]])),
        "stages.1: must not all be zero"
    );
    assert_eq!(
        refused(&builder().stages(Vec::<[u32; 2]>::new())),
        "stages: must be at least one"
    );
    assert_eq!(
        refused(&builder().stage_time(Duration::ZERO)),
        "stage_time: must be more than zero"
    );
    for share in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(refused(&builder().false_alarms(share)).starts_with("false_alarms"));
        let limits = Limits::none().error_rate(ErrorLimit::AtMost(share));
        assert!(refused(&builder().limits(limits)).starts_with("limits.error_rate"));
    }
    let limits = Limits::none().p99(TimeLimit::AtMost(Duration::ZERO));
    assert_eq!(
        refused(&builder().limits(limits)),
        "limits.p99: must be more than zero"
    );
}

#[test]
fn the_guides_presets_can_hold() {
    RolloutBuilder::guide_a().check(2).unwrap();
    RolloutBuilder::guide_d().check(2).unwrap();
    RolloutBuilder::guide_e().check(4).unwrap();
}

#[test]
fn a_configuration_is_read_and_mistakes_in_it_are_named() {
    let read = |text: &str| serde_json::from_str::<RolloutBuilder>(text);
    let whole = r#"{"stages": [[75, 25], [0, 100]], "stage_time": "1h", "minimum_requests": 10, "false_alarms": 0.01,
        "rollback_step": "1m", "file": "rollout.json",
        "limits": {"error_rate": {"over_baseline": 0.02}, "rejected": "off", "p95": {"at_most": "200ms"},
                   "p99": {"over_baseline_percent": 50}, "first_token": "off", "cost": {"at_most": "0.004"}}}"#;
    read(whole).unwrap().check(2).unwrap();
    let limits: Limits = serde_json::from_str(r#"{"cost": {"at_most": "0.004"}}"#).unwrap();
    let cost = CostLimit::AtMost(Cost::parse_usd("0.004").unwrap());
    assert_eq!(limits, Limits::default().cost(cost));
    for wrong in [
        r#"{"stage": []}"#,
        r#"{"limits": {"p95": {"at_most": 200}}}"#,
        r#"{"limits": {"p95": "on"}}"#,
        r#"{"limits": {"p50": "off"}}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
