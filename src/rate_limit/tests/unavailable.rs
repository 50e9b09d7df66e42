//! A store that does not answer.

use std::sync::Arc;

use super::*;
use crate::{
    message::{Reason, Rejection},
    reserve::{Account, Amounts, Answer, Decision, Levels, Limiter, Settlement, Verdict},
};

#[derive(Debug)]
struct Away;

impl Limiter for Away {
    fn reserve(&self, _: &Account, _: &Quota, _: Amounts) -> Answer<Decision> {
        let mut decision = Decision::admitted(Levels::default());
        let wait = Duration::from_millis(1_200);
        decision.verdict = Verdict::Unavailable { wait };
        Answer::Later(Box::pin(async move { decision }))
    }

    fn settle(&self, settlement: &Settlement<'_>) {
        panic!("nothing was reserved: {settlement:?}")
    }

    fn levels(&self, _: &Account, _: &Quota) -> Answer<Levels> {
        Answer::now(Levels::default())
    }

    fn reset(&self, _: &Account) -> Answer<()> {
        Answer::now(())
    }
}

#[tokio::test(start_paused = true)]
async fn without_its_store_it_says_so_and_does_not_make_up_a_limit() {
    for wait in [Duration::ZERO, MINUTE] {
        let layer = limited(10, 1_000).limiter(Arc::new(Away)).wait(wait);
        let service = layer.build().unwrap().layer(using(1, 1));
        let before = tokio::time::Instant::now();
        let response = service.oneshot(chat(100)).await.unwrap();
        assert_eq!(before.elapsed(), wait);
        let reason = response.extensions().get::<Rejection>().unwrap().reason;
        assert_eq!(reason, Reason::LimitsUnavailable);
        let head = response.headers();
        assert_eq!(head["retry-after"], "2");
        assert!(!head.contains_key("x-ratelimit-remaining-requests"));
        let refused = crate::testing::refusal(response).await;
        assert_eq!(refused, (503, "rate_limits_unavailable".to_owned()));
    }
}
