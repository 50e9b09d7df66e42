//! Targets that are passed over.

use super::*;
use crate::{
    fallback::{FallbackBuilder, FallbackLayer},
    message::{
        Endpoint, FallBack, Outcome, Served,
        catalog::{ModelCatalog, ModelInfo, ModelTable},
    },
};

/// A builder with a catalog of these windows.
fn windows<const N: usize>(windows: [(&str, u64); N]) -> FallbackBuilder {
    let models = windows.into_iter().map(|(model, window)| {
        let mut info = ModelInfo::new(model);
        info.context_window = Some(window);
        info
    });
    FallbackLayer::builder().catalog(ModelCatalog::new(models.collect::<ModelTable>()))
}

fn too_long() -> Response<ResponseBody> {
    error(400, "context_length_exceeded")
}

/// How often each target is asked when the first finds the prompt too long.
async fn asked(builder: FallbackBuilder, first: &Scripted, names: [&'static str; 2]) -> [u32; 2] {
    let backups = [200, 200].map(Scripted::status);
    let targets = names.iter().zip(["b", "c"]).zip(&backups);
    let targets = targets.map(|((own, name), scripted)| {
        Target::new(name, scripted.stack.clone()).own_names(|_| Some((*own).to_owned()))
    });
    let targets = std::iter::once(Target::new("a", first.stack.clone())).chain(targets);
    let targets = targets
        .fold(Upstreams::builder(), UpstreamsBuilder::add)
        .build()
        .unwrap();
    let chain = builder.chain(&targets).unwrap();
    ask(&chain, chat()).await;
    backups.map(|backup| backup.calls())
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_too_long_goes_to_larger_windows_only() {
    let catalog = || windows([("fast", 8_000), ("same", 8_000), ("large", 128_000)]);
    let first = Scripted::new(|_| too_long());
    assert_eq!(asked(catalog(), &first, ["same", "large"]).await, [0, 1]);
    assert_eq!(asked(catalog(), &first, ["unknown", "same"]).await, [0, 0]);
    assert_eq!(asked(catalog(), &first, ["large", "same"]).await, [1, 0]);
    // What is not known to be larger is not asked.
    assert_eq!(asked(windows([]), &first, ["same", "large"]).await, [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_window_that_failed_is_that_of_what_served() {
    let first = Scripted::new(|_| {
        let mut served = Served::by("a".into());
        served.model = Some("huge".into());
        let mut response = too_long();
        response.extensions_mut().insert(served);
        response
    });
    let catalog = windows([("fast", 8_000), ("large", 128_000), ("huge", 200_000)]);
    assert_eq!(asked(catalog, &first, ["large", "huge"]).await, [0, 0]);
    let catalog = windows([("fast", 8_000), ("huge", 200_000), ("c/huge", 1_000_000)]);
    assert_eq!(asked(catalog, &first, ["large", "huge"]).await, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn refused_content_goes_on_only_if_asked() {
    let refused = Scripted::new(|_| error(400, "content_filter"));
    for (builder, calls) in [
        (FallbackLayer::builder(), 0),
        (FallbackLayer::builder().content_filtered(true), 1),
    ] {
        assert_eq!(asked(builder, &refused, ["x", "y"]).await[0], calls);
    }
}

#[tokio::test(start_paused = true)]
async fn the_operators_own_opinions_decide() {
    let wrong = Scripted::status(404);
    let ours = |_: http::StatusCode, _: &http::HeaderMap, _: &ApiError| Some(Outcome::ServerError);
    let builder = || FallbackLayer::builder();
    let teapot = Scripted::status(418);
    assert_eq!(asked(builder(), &teapot, ["x", "y"]).await, [0, 0]);
    let classified = builder().classify(ours);
    assert_eq!(asked(classified, &teapot, ["x", "y"]).await, [1, 0]);
    let never = builder().policy(|_| FallBack::No);
    assert_eq!(asked(never, &wrong, ["x", "y"]).await, [0, 0]);
    let always = builder().policy(|_| FallBack::Yes);
    assert_eq!(asked(always, &teapot, ["x", "y"]).await, [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_does_not_serve_the_endpoint_is_passed_over() {
    let [a, b, c] = [500, 200, 200].map(Scripted::status);
    let embeds = Target::new("b", b.stack.clone()).endpoints([Endpoint::Embeddings]);
    let targets = Upstreams::builder()
        .add(Target::new("a", a.stack.clone()))
        .add(embeds)
        .add(Target::new("c", c.stack.clone()));
    let chain = FallbackLayer::builder()
        .chain(&targets.build().unwrap())
        .unwrap();
    assert_eq!(ask(&chain, chat()).await.0, 200);
    assert_eq!([b.calls(), c.calls()], [0, 1]);
    let embeddings = post("/v1/embeddings", r#"{"model":"fast","input":"a"}"#);
    assert_eq!(ask(&chain, embeddings).await.0, 200);
    assert_eq!([b.calls(), c.calls()], [1, 1]);
}
