//! Who sets the weights.

use super::{
    super::{Rollout, RolloutState},
    living::Site,
    *,
};
use crate::control::{Control, Parameters};

#[tokio::test(start_paused = true)]
async fn weights_and_target_are_an_operators_only_when_the_rollout_is_complete() {
    let site = Site::new();
    let (rollout, _worker) = site.rollout();
    let split = site.split.handle();
    let set = async |weights: &str| {
        let with = format!(r#"{{"weights": {weights}}}"#);
        let with = Parameters::parse(with.as_bytes()).unwrap();
        split.act("weights", with).await
    };
    let force = async || {
        let with = Parameters::parse(br#"{"target": null}"#).unwrap();
        split.act("force", with).await
    };
    let steps: [fn(&Rollout); 4] = [
        |_| (),
        Rollout::pause,
        Rollout::rollback_gradually,
        Rollout::rollback_now,
    ];
    for step in steps {
        step(&rollout);
        let now = split.weights();
        let error = set("[0, 100]").await.unwrap_err();
        assert_eq!(error.to_api_error().status(), 409, "{error}");
        assert_eq!(split.weights(), now);
        let error = force().await.unwrap_err();
        assert_eq!(error.to_api_error().status(), 409, "{error}");
        assert!(set("[0]").await.unwrap_err().to_string().contains("one"));
    }
    rollout.resume();
    for _ in 0..4 {
        tokio::time::advance(31 * MINUTE).await;
        site.ask(2000).await;
        tokio::time::advance(31 * MINUTE).await;
        rollout.status();
    }
    assert_eq!(rollout.status().state, RolloutState::Complete);
    force().await.unwrap();
    set("[50, 50]").await.unwrap();
    let shown: Vec<_> = rollout
        .status()
        .targets
        .iter()
        .map(|of| of.weight)
        .collect();
    assert_eq!((&*split.weights(), &*shown), (&[50, 50][..], &[50, 50][..]));
    rollout.rollback_now();
    assert_eq!(*split.weights(), [1, 0]);
}
