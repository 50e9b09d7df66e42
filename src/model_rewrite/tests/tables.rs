use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use super::*;

/// A table whose two targets always go together.
fn generation(number: usize) -> Aliases {
    Aliases::new([("a", format!("a-{number}")), ("b", format!("b-{number}"))]).unwrap()
}

#[test]
fn a_table_replaced_under_load_is_seen_whole_and_by_all() {
    let layer = ModelRewriteLayer::builder()
        .aliases(generation(0))
        .build()
        .unwrap();
    let handle = layer.handle();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let handle = layer.handle();
                let mut seen = HashSet::new();
                while !done.load(SeqCst) {
                    let table = handle.aliases();
                    let (a, b) = (table.resolve("a").unwrap(), table.resolve("b").unwrap());
                    assert_eq!(
                        a.strip_prefix("a-"),
                        b.strip_prefix("b-"),
                        "half of each table"
                    );
                    seen.insert(a.into_owned());
                }
                seen
            });
        }
        scope.spawn(|| {
            for number in 1..=2000 {
                handle.set_aliases(generation(number));
            }
            done.store(true, SeqCst);
        });
    });
    assert_eq!(
        layer.handle().aliases().resolve("a").as_deref(),
        Some("a-2000")
    );
}

#[test]
fn requests_during_a_replacement_get_one_table_or_the_other() {
    let layer = ModelRewriteLayer::builder()
        .aliases(generation(0))
        .build()
        .unwrap();
    thread::scope(|scope| {
        let swap = scope
            .spawn(|| (1..=500).for_each(|number| layer.handle().set_aliases(generation(number))));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut last = 0;
        while !swap.is_finished() {
            let request = passed(&layer, post("/v1/chat/completions", r#"{"model":"a"}"#));
            let model = runtime
                .block_on(request)
                .unwrap()
                .body()
                .model()
                .unwrap()
                .into_owned();
            let number: usize = model.strip_prefix("a-").unwrap().parse().unwrap();
            assert!(number >= last, "an older table came back");
            last = number;
        }
    });
}

#[tokio::test]
async fn a_service_made_before_sees_the_new_table() {
    let layer = aliases([("a", "old")]).build().unwrap();
    let inner = answering(|request| {
        Response::new(ResponseBody::from(
            request.body().model().unwrap().into_owned(),
        ))
    });
    let service = layer.layer(inner);
    for target in ["new", "newer"] {
        layer
            .handle()
            .set_aliases(Aliases::new([("a", target)]).unwrap());
        let Ok(response) = service
            .clone()
            .oneshot(post("/v1/embeddings", r#"{"model":"a"}"#))
            .await;
        assert_eq!(crate::testing::read(response).await.1, target);
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let empty = ModelRewriteLayer::builder()
        .unknown(Unknown::Default(" ".to_owned()))
        .build()
        .unwrap_err();
    assert_eq!(empty.to_string(), "unknown.default: must name a model");
    let parsed: ModelRewriteBuilder =
        serde_json::from_str(r#"{"aliases":{"a":"b"},"unknown":"reject","restore_name":true}"#)
            .unwrap();
    parsed.build().unwrap();
    for text in [
        r#"{"alias":{}}"#,
        r#"{"aliases":{"a":""}}"#,
        r#"{"unknown":"refuse"}"#,
    ] {
        serde_json::from_str::<ModelRewriteBuilder>(text).unwrap_err();
    }
}
