//! Recorded answers through a commit guard: whole ones pass byte for byte, and no others pass for whole.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_relay::{
    commit_guard::CommitGuardLayer,
    message::{Completion, End, Endpoint, Outcome, RequestBody, ResponseBody, Verdict},
};

use super::{
    Record, records,
    sent::{Cut, Sent, collect},
};

#[tokio::test(start_paused = true)]
async fn whole_answers_pass_untouched_and_no_others_pass_for_whole() {
    let Some(records) = records() else { return };
    let mut counts = BTreeMap::new();
    for record in records.iter().filter(|record| record.is_success()) {
        let sent = Sent::of(record);
        let alone = alone(sent.response(Cut::Whole));
        let outcome = Outcome::of_completion(&alone, Outcome::Success);
        for cut in [Cut::Whole, Cut::Every(13), Cut::AsRead] {
            let response = guarded(record, &sent, cut).await;
            let what = if !response.status().is_success() {
                assert!(
                    alone.end != End::Complete || outcome.verdict() == Verdict::Failure,
                    "{} is refused: {:?}",
                    record.id,
                    response.into_body().collect().await.unwrap().to_bytes()
                );
                "refused"
            } else if alone.end == End::Complete {
                let (bytes, broken) = read(response).await;
                assert!(!broken && bytes == sent.body, "{} is changed", record.id);
                "passed"
            } else {
                let (_, broken) = read(response).await;
                // The regular end of a Responses stream.
                let text = String::from_utf8_lossy(&sent.body);
                assert!(
                    broken || text.contains("response.failed"),
                    "{} passes for whole",
                    record.id
                );
                "broken"
            };
            *counts.entry((format!("{cut:?}"), what)).or_insert(0) += 1;
        }
    }
    println!("through a commit guard: {counts:?}");
}

/// How the answer ends where nothing guards it.
fn alone(response: Response<ResponseBody>) -> Completion {
    let ended = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&ended);
    let body = response
        .into_body()
        .on_end(move |done| *slot.lock().unwrap() = Some(done.clone()));
    collect(body);
    ended.lock().unwrap().take().expect("an answer that ended")
}

async fn guarded(record: &Record, sent: &Sent, cut: Cut) -> Response<ResponseBody> {
    let endpoint = match record.api.as_str() {
        "anthropic-messages" => Endpoint::Messages,
        "openai-responses" => Endpoint::Responses,
        _ => Endpoint::ChatCompletions,
    };
    let sent = sent.clone();
    let upstream = service_fn(move |_: Request<RequestBody>| {
        let response = sent.response(cut);
        async move { Ok::<_, Infallible>(response) }
    });
    let request = Request::post("/").extension(endpoint);
    let request = request.body(RequestBody::json("{}")).unwrap();
    let guard = CommitGuardLayer::default().layer(upstream);
    let Ok(response) = guard.oneshot(request).await;
    response
}

async fn read(response: Response<ResponseBody>) -> (Bytes, bool) {
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(_)) => return (bytes.into(), true),
            None => return (bytes.into(), false),
        }
    }
}
