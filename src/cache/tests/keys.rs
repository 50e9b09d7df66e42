use http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;

use super::shared;
use crate::{
    cache::{CacheBuilder, CacheHandle, CacheLayer, Cacheable},
    key::{Key, KeyBy},
    message::{AllowedUpstreams, Chosen, RequestBody},
};

/// What a request is made of.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    path: &'static str,
    query: &'static str,
    tenant: &'static str,
    model: &'static str,
    temperature: &'static str,
    seed: Option<u8>,
    stream: Option<bool>,
    content: String,
    extra: Option<(String, String)>,
    beta: Option<&'static str>,
    version: Option<&'static str>,
    chosen: Option<&'static str>,
    allowed: Option<Vec<&'static str>>,
}

impl Asked {
    fn request(&self) -> Request<RequestBody> {
        let mut body = serde_json::json!({
            "model": self.model,
            "messages": [{"role": "user", "content": self.content}],
        });
        if let Some(seed) = self.seed {
            body["seed"] = seed.into();
        }
        if let Some(stream) = self.stream {
            body["stream"] = stream.into();
        }
        if let Some((name, value)) = &self.extra {
            body[format!("x_{name}")] = value.as_str().into();
        }
        let text = body.to_string();
        let rest = text.strip_prefix('{').unwrap();
        let text = format!("{{\"temperature\":{},{rest}", self.temperature);
        let mut request = Request::post(format!("{}{}", self.path, self.query))
            .header("authorization", format!("Bearer {}", self.tenant))
            .body(RequestBody::json(text))
            .unwrap();
        for (name, value) in [
            ("openai-beta", self.beta),
            ("anthropic-version", self.version),
        ] {
            if let Some(value) = value {
                request
                    .headers_mut()
                    .insert(name, HeaderValue::from_static(value));
            }
        }
        if let Some(chosen) = self.chosen {
            request.extensions_mut().insert(Chosen(chosen.into()));
        }
        if let Some(allowed) = &self.allowed {
            request
                .extensions_mut()
                .insert(AllowedUpstreams::new(allowed.iter().copied()));
        }
        request
    }
}

fn one_of<T: Clone + std::fmt::Debug + 'static>(
    values: impl Into<std::borrow::Cow<'static, [T]>>,
) -> impl Strategy<Value = T> {
    prop::sample::select(values)
}

fn asked() -> impl Strategy<Value = Asked> {
    let target = (
        one_of(vec![
            "/v1/chat/completions",
            "/v2/chat/completions",
            "/v1/completions",
        ]),
        one_of(vec!["", "?a=b", "?a=c"]),
        one_of(vec!["one", "two", "onetwo"]),
        one_of(vec![None, Some("a"), Some("b")]),
        one_of(vec![
            None,
            Some(vec!["a"]),
            Some(vec!["b"]),
            Some(vec!["a", "b"]),
        ]),
    );
    let body = (
        one_of(vec!["m", "n"]),
        one_of(vec!["0", "0.0", "1"]),
        prop::option::of(0..2_u8),
        prop::option::of(any::<bool>()),
        "[ab]{0,2}",
        prop::option::of(("[ab]", "[ab]?")),
    );
    let headers = (
        one_of(vec![None, Some("x"), Some("y")]),
        one_of(vec![None, Some("x")]),
    );
    (target, body, headers).prop_map(|(target, body, (beta, version))| {
        let (path, query, tenant, chosen, allowed) = target;
        let (model, temperature, seed, stream, content, extra) = body;
        Asked {
            path,
            query,
            tenant,
            model,
            temperature,
            seed,
            stream,
            content,
            extra,
            beta,
            version,
            chosen,
            allowed,
        }
    })
}

/// Every setting that has a say in who shares what, but the one that says so by name.
fn tenants() -> impl Strategy<Value = CacheBuilder> {
    let by = one_of(vec![
        KeyBy::api_key(),
        KeyBy::header(HeaderName::from_static("authorization")),
        KeyBy::custom(|request| {
            let key = request.headers().get("authorization")?;
            Some(Key::secret("own", key.as_bytes()))
        }),
    ]);
    let requests = one_of(vec![Cacheable::Deterministic, Cacheable::All]);
    let ignore = prop::collection::vec(one_of(vec!["user", "seed", "x_a", "temperature"]), 0..3);
    (
        prop::option::of(by),
        requests,
        ignore,
        any::<bool>(),
        "[ab]{0,2}",
    )
        .prop_map(|(by, requests, ignore, tool_calls, namespace)| {
            let mut builder = CacheLayer::builder()
                .requests(requests)
                .ignore(ignore)
                .tool_calls(tool_calls)
                .namespace(namespace);
            if let Some(by) = by {
                builder = builder.by(by);
            }
            builder
        })
}

fn digest(handle: &CacheHandle, asked: &Asked) -> [u8; 32] {
    *handle.key_of(&asked.request()).unwrap().digest()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn two_requests_have_the_same_key_exactly_if_nothing_that_decides_differs(one in asked(), other in asked()) {
        let handle = CacheLayer::builder().build().unwrap().handle();
        prop_assert_eq!(digest(&handle, &one) == digest(&handle, &other), one == other);
        // One field at a time, or two that differ would always differ in many.
        for near in [
            Asked { path: other.path, ..one.clone() },
            Asked { query: other.query, ..one.clone() },
            Asked { tenant: other.tenant, ..one.clone() },
            Asked { model: other.model, ..one.clone() },
            Asked { temperature: other.temperature, ..one.clone() },
            Asked { seed: other.seed, ..one.clone() },
            Asked { stream: other.stream, ..one.clone() },
            Asked { content: other.content.clone(), ..one.clone() },
            Asked { extra: other.extra.clone(), ..one.clone() },
            Asked { beta: other.beta, ..one.clone() },
            Asked { version: other.version, ..one.clone() },
            Asked { chosen: other.chosen, ..one.clone() },
            Asked { allowed: other.allowed.clone(), ..one.clone() },
        ] {
            prop_assert_eq!(digest(&handle, &one) == digest(&handle, &near), one == near);
        }
    }

    #[test]
    fn two_tenants_never_have_the_same_key_unless_all_share(builder in tenants(), one in asked(), tenant in one_of(vec!["one", "two", "onetwo"])) {
        let handle = builder.build().unwrap().handle();
        let other = Asked { tenant, ..one.clone() };
        prop_assert_eq!(digest(&handle, &one) == digest(&handle, &other), one.tenant == tenant);
        let all = shared().build().unwrap().handle();
        prop_assert_eq!(digest(&all, &one), digest(&all, &other));
    }
}

#[test]
fn what_callers_say_of_themselves_does_not_decide_and_what_is_named_does() {
    let key =
        |builder: CacheBuilder, headers: &[(&'static str, &'static str)], body: &'static str| {
            let mut request = super::request(body);
            for (name, value) in headers {
                request
                    .headers_mut()
                    .insert(*name, HeaderValue::from_static(value));
            }
            builder.build().unwrap().handle().key_of(&request).unwrap()
        };
    let (mine, other) = (
        r#"{"model":"m","user":"me"}"#,
        r#"{"model":"m","user":"you"}"#,
    );
    let plain = key(shared(), &[], mine);
    let said = [
        ("user-agent", "x"),
        ("x-request-id", "1"),
        ("traceparent", "2"),
        ("x-stainless-lang", "rust"),
        ("x-goog-api-client", "z"),
    ];
    assert_eq!(key(shared(), &said, mine), plain);
    assert_ne!(key(shared(), &[("accept", "text/plain")], mine), plain);
    assert_ne!(key(shared(), &[], other), plain);
    assert_eq!(
        key(shared().ignore(["user"]), &[], other),
        key(shared().ignore(["user"]), &[], mine)
    );
    let vary = || shared().vary([HeaderName::from_static("x-mine")]);
    assert_ne!(
        key(vary(), &[("x-mine", "1")], mine),
        key(vary(), &[("x-mine", "2")], mine)
    );
    assert_ne!(key(shared().namespace("b"), &[], mine), plain);
}
