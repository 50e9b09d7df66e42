//! What is asked, and what must come back.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use tower_relay::normalize;

use crate::upstream::{self, Answer};

/// The callers' key.
pub(crate) const KEY: &str = "sk-bench-0123456789abcdef0123456789abcdef";

#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Requests in a round of a full run.
    pub(crate) requests: u32,
    /// Connections of a full run: they keep a proxy busy, and it keeps up with the paced stream.
    pub(crate) connections: u32,
    /// Only where it is asked for by name: it takes its time.
    pub(crate) on_request: bool,
    answer: Answer,
    /// The answer's body.
    expected: Bytes,
    body: Bytes,
}

pub(crate) fn all() -> Vec<Workload> {
    let question = "Explain in two sentences what a relay for language models does, and what it must never do.";
    let usual = Workload {
        name: "small",
        about: "0.3 kB request, 0.7 kB answer",
        requests: 10_000,
        connections: 16,
        on_request: false,
        answer: Answer::Whole,
        expected: Answer::Whole.body(),
        body: chat(question, false),
    };
    let stream = Workload {
        name: "stream",
        about: "0.3 kB request, stream of 64 events 1 ms apart",
        requests: 640,
        connections: 32,
        answer: Answer::Stream,
        expected: Answer::Stream.body(),
        body: chat(question, true),
        ..usual.clone()
    };
    vec![
        usual.clone(),
        Workload {
            name: "prompt",
            about: "100 kB prompt, 0.7 kB answer",
            requests: 2_000,
            body: chat(&document(100_000), false),
            ..usual.clone()
        },
        stream.clone(),
        Workload {
            name: "large",
            about: "400 kB prompt, 0.7 kB answer",
            requests: 500,
            on_request: true,
            body: chat(&document(400_000), false),
            ..usual.clone()
        },
        Workload {
            name: "deviating",
            about: "0.3 kB request, 0.5 kB answer that is not OpenAI's",
            on_request: true,
            answer: Answer::Deviating,
            expected: Answer::Deviating.body(),
            ..usual
        },
        Workload {
            name: "streams",
            about: "0.3 kB request, 512 streams at a time of 64 events 25 ms apart",
            requests: 4_096,
            connections: 512,
            on_request: true,
            answer: Answer::SlowStream,
            ..stream
        },
    ]
}

impl Workload {
    /// A request to the server at `host`, with the headers that a client library sends.
    pub(crate) fn request(&self, host: &HeaderValue) -> Request<Full<Bytes>> {
        let request = Request::post(upstream::PATH)
            .header(header::HOST, host)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "relay-bench/1.0")
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"));
        let request = match self.answer {
            Answer::Whole => request,
            other => request.header(upstream::X_BENCH, other.as_str()),
        };
        request
            .body(Full::new(self.body.clone()))
            .expect("a valid request")
    }
}

impl Workload {
    /// Whether its answer depends on a header that reaches the upstream through proxies alone that hand on all of them.
    pub(crate) fn needs_its_header(&self) -> bool {
        self.answer != Answer::Whole
    }

    /// Whether `answer` is what must come of it: what the upstream sent or, from a relay that repairs answers, what OpenAI would have.
    pub(crate) fn accepts(&self, answer: &[u8]) -> bool {
        answer == self.expected || self.answer == Answer::Deviating && normalize::conforms(answer)
    }
}

fn chat(prompt: &str, stream: bool) -> Bytes {
    let prompt = serde_json::to_string(prompt).expect("JSON");
    Bytes::from(format!(
        r#"{{"messages":[{{"role":"system","content":"You are a careful assistant. Answer in plain English."}},{{"role":"user","content":{prompt}}}],"model":"gpt-4o-mini","max_tokens":256,"temperature":0.2,"stream":{stream}}}"#
    ))
}

/// `len` bytes of text with the line ends and quotation marks that prompts have, since each is an escape in JSON.
fn document(len: usize) -> String {
    let mut text = String::with_capacity(len + 100);
    let mut line = 0_u32;
    while text.len() < len {
        line += 1;
        let _ = match line % 4 {
            0 => writeln!(
                text,
                "{line}. The caller said \"as it was sent\", and the upstream answered in kind."
            ),
            _ => writeln!(
                text,
                "{line}. Requests arrive in any order; each is passed on before the next is read."
            ),
        };
    }
    text.truncate(len);
    text
}
