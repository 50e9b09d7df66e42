//! What conforms is handed on without an allocation of its own, and what is replaced leaves nothing behind: counted by the allocator of
//! this test.
#![cfg(test)]

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::StreamBody;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_relay::{
    gateway::Config,
    message::{RequestBody, ResponseBody},
    normalize::{ResponseNormalizeLayer, conforms},
};

#[path = "../benches/instructions/layers.rs"]
mod layers;

const BODY: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1730000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"a \"quoted\" line\n","refusal":null,"annotations":[],"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":[1]}"}}]},"logprobs":{"content":[{"token":"a","logprob":-0.1,"bytes":[97],"top_logprobs":[]}],"refusal":null},"finish_reason":"tool_calls","content_filter_results":{"hate":{"filtered":false}}}],"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0}}}"#;

/// Chunks as OpenAI sends them: text with escapes, log probabilities, fragments of a tool call.
fn event(number: usize) -> Bytes {
    let said = match number % 3 {
        0 => r#""delta":{"role":"assistant","content":" a\n\"b\""},"logprobs":null"#.to_owned(),
        1 => r#""delta":{"content":"c"},"logprobs":{"content":[{"token":"c","logprob":-1.5,"bytes":[99],"top_logprobs":[{"token":"d"}]}],"refusal":null}"#.to_owned(),
        _ => r#""delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\""}}]}"#.to_owned(),
    };
    let text = format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,{said},\"finish_reason\":null}}],\"usage\":null}}\n\n"
    );
    // Slices of leaked text are counted by nobody.
    Bytes::from_static(Box::leak(text.into_bytes().into_boxed_slice()))
}

/// A stream of `chunks` through the layer, up to its body.
fn streamed(chunks: Vec<Bytes>) -> ResponseBody {
    let mut chunks = Some(chunks);
    let service = ServiceBuilder::new()
        .layer(ResponseNormalizeLayer::new())
        .service(service_fn(move |_: Request<RequestBody>| {
            let chunks = chunks.take().unwrap_or_default().into_iter();
            let frames = chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
            let mut response = Response::new(StreamBody::new(stream::iter(frames)));
            let media = "text/event-stream".parse().unwrap();
            response.headers_mut().insert("content-type", media);
            std::future::ready(Ok::<_, Infallible>(ResponseBody::wrap(response)))
        }));
    let request = Request::post("/v1/chat/completions")
        .body(RequestBody::json("{}"))
        .unwrap();
    let response = service.oneshot(request).now_or_never().unwrap().unwrap();
    response.into_body()
}

fn next(body: &mut ResponseBody) -> Option<Bytes> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(body).poll_frame(&mut cx) {
        Poll::Ready(frame) => frame.map(|frame| frame.unwrap().into_data().unwrap()),
        Poll::Pending => panic!("a body that never waits"),
    }
}

#[test]
fn a_conformant_body_is_told_without_an_allocation() {
    assert!(conforms(BODY.as_bytes()));
    let counted = measure(|| assert!(conforms(BODY.as_bytes())));
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_conformant_event_passes_without_an_allocation() {
    let events: Vec<_> = (0..64).map(event).collect();
    let mut body = streamed(events.clone());
    // The first two make the list of choices, and its copy.
    for event in &events[..2] {
        assert_eq!(next(&mut body).as_ref(), Some(event));
    }
    let counted = measure(|| {
        for event in &events[2..] {
            assert_eq!(next(&mut body).as_ref(), Some(event));
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn events_that_come_together_pass_together() {
    let all: Vec<u8> = (0..64).flat_map(|number| event(number).to_vec()).collect();
    let all = Bytes::from(all);
    let mut body = streamed(vec![all.clone()]);
    let passed = next(&mut body).unwrap();
    assert_eq!((passed.as_ptr(), passed.len()), (all.as_ptr(), all.len()));
}

/// A gateway with as many kinds of layers as need no file, whose settings differ by `number`.
fn gateway_config(number: usize) -> Config {
    let text = format!(
        "[rate_limit]\nlimits = [{{ requests = {requests}, per = \"1h\" }}]\n\
         [admission]\nmax_in_flight = {requests}\n\
         [shadow]\ntarget = \"a\"\npercent = {percent}\n\
         [[budgets]]\nname = \"team-{percent}\"\nby = \"global\"\nhard = \"{requests}\"\nper = \"day\"\n\
         [[budgets]]\nname = \"all\"\nby = \"api_key\"\nhard = \"{requests}\"\nper = \"month\"\n\
         [models.aliases]\n\"fast-{percent}\" = \"slow\"\n\
         [[routes]]\nname = \"moving\"\nsplit = {{ targets = [\"a\", \"b\"], weights = [{percent}, 10] }}\n\
         rollout = {{ stage_time = \"{requests}s\" }}\n\
         [[routes]]\nname = \"safe\"\nfallback = {{ targets = [\"moving\", \"c-{percent}\"], attempts = {percent} }}\n",
        requests = 100 + number,
        percent = 1 + number % 7,
    );
    let upstream = |name: &str| {
        format!(
            "[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodels = [\"slow\"]\n\
             retry = {{}}\ncircuit_breaker = {{ minimum_calls = {minimum} }}\ncommit_guard = {{}}\ntimeout = {{}}\n\
             cost = {{ on_disconnect = {{ drain = {{}} }} }}\nnormalize = {{}}\nrate_limit = {{}}\n",
            minimum = 1 + number,
        )
    };
    let changing = upstream(&format!("c-{}", 1 + number % 7));
    let text = format!("{text}{}{}{changing}", upstream("a"), upstream("b"));
    Config::from_toml(&text, "test").unwrap()
}

#[test]
fn memory_is_flat_over_a_thousand_reloads() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut gateway = gateway_config(0).build().unwrap();
    let workers = gateway.take_workers();
    let reload = async |from: usize, count: usize| {
        for number in from..from + count {
            gateway.reload(&gateway_config(number)).unwrap();
            // The workers of the stack before end.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        }
    };
    let _workers: Vec<_> = workers
        .into_iter()
        .map(|worker| runtime.spawn(worker))
        .collect();
    runtime.block_on(reload(1, 140));
    let tasks = runtime.metrics().num_alive_tasks();
    let counted = measure(|| runtime.block_on(reload(141, 1001)));
    assert!(counted.bytes_current.abs() < 64 << 10, "{counted:?}");
    assert_eq!(runtime.metrics().num_alive_tasks(), tasks);
    println!("{counted:?}");
}

/// What each layer may allocate for a request that succeeds, beyond what the request and its answer take themselves.
const LAYERS: &[(&str, u64)] = &[
    ("telemetry", 23),
    ("rate_limit", 24),
    ("admission", 8),
    ("fallback", 9),
    ("hedge", 26),
    ("retry", 9),
    ("circuit_breaker", 8),
    ("commit_guard", 12),
    ("timeout", 0),
    ("cost_meter", 23),
    ("model_rewrite", 3),
    ("normalize", 4),
    ("upstream", 4),
    ("stack", 86),
];

#[test]
fn a_request_that_succeeds_allocates_no_more_than_is_stated() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let (mut bare, mut left) = (0, LAYERS.iter());
    for (layer, mut call) in layers::layers() {
        // What is made once is made by the first.
        (0..100).for_each(|_| call());
        let fewest = (0..10).map(|_| measure(&mut call).count_total).min();
        let fewest = fewest.unwrap();
        if layer == "identity" {
            bare = fewest;
            continue;
        }
        let added = fewest - bare;
        println!("{layer}: {added}");
        let (name, most) = left.next().unwrap();
        assert_eq!(*name, layer);
        assert!(added <= *most, "{layer} allocates {added} times");
    }
    assert!(left.next().is_none());
}
