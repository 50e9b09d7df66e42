//! Keys are in no log, record, answer or page: every secret that a gateway holds, and every key that callers bring, has a word in it that is
//! looked for in all that it says.

use std::{
    fs,
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use tokio::net::TcpListener;
use tower_relay::{
    gateway::{Config, demo::Demo},
    server::tenants::KeyHash,
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::{
    harness::{Relay, caller, chat, embedded, get, nobody, post, send, soon},
    raw::{Recorder, response},
    redis_server::Server,
};

/// What every secret here has in it, and nothing else has.
const WORD: &str = "canary";

const UPSTREAM: &str = "sk-canary-upstream";
const WRONG: &str = "sk-canary-wrong";
const FILE: &str = "sk-canary-file";
const TENANT: &str = "sk-canary-tenant";
const FORGED: &str = "sk-canary-forged";
const ADMIN: &str = "canary-admin-token-0123456789";
const FORGED_ADMIN: &str = "canary-forged-admin-0123456789";
const WEBHOOK: &str = "canary-webhook";
const REDIS: &str = "canary-redis";
const PROXY: &str = "proxy-canary";

/// All that is said by `tracing`, of every crate, at every level.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Said {
    fn listen() -> Self {
        let said = Self::default();
        let writer = said.clone();
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_writer(move || writer.clone())
            .init();
        said
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// The places where a secret stands in `text`, as it is or as `authorization: Basic` has it.
fn secrets_in(text: &str) -> Vec<String> {
    // "user:proxy-canary".
    const BASIC: &str = "dXNlcjpwcm94eS1jYW5hcnk";
    let lower = text.to_ascii_lowercase();
    let words = lower.match_indices(WORD).map(|(at, _)| at);
    let places = words.chain(text.match_indices(BASIC).map(|(at, _)| at));
    places
        .take(10)
        .map(|at| {
            let around = &text.as_bytes()[at.saturating_sub(150)..text.len().min(at + 100)];
            String::from_utf8_lossy(around).into_owned()
        })
        .collect()
}

#[track_caller]
fn assert_no_secret(what: &str, text: &str) {
    let found = secrets_in(text);
    assert!(found.is_empty(), "{what}: {found:#?}");
}

fn env(name: &str) -> Option<String> {
    let secret = match name {
        "UPSTREAM" => UPSTREAM,
        "WRONG" => WRONG,
        "ADMIN" => ADMIN,
        "HOOK_KEY" => "Bearer canary-hook-key",
        _ => return None,
    };
    Some(secret.to_owned())
}

/// An upstream that says in its errors what it was sent.
async fn echo() -> Recorder {
    Recorder::answering(|seen| {
        let key = seen.all("authorization").join(" ");
        let body = json!({"error": {"message": format!("Incorrect API key provided: {key}."), "type": "invalid_request_error",
            "param": key, "code": key}});
        let challenge = format!("www-authenticate: Bearer realm=\"{key}\"\r\n");
        response("401 Unauthorized", &challenge, body.to_string().as_bytes())
    })
    .await
}

struct Watched {
    relay: Relay,
    admin: String,
}

async fn start(config: &str, hook: &str) -> Watched {
    let env = |name: &str| match name {
        "HOOK" => Some(hook.to_owned()),
        _ => env(name),
    };
    let config = Config::from_toml(config, "test").unwrap_or_else(|error| panic!("{error}"));
    assert_no_secret("the configuration", &format!("{config:?}"));
    let gateway = config.build_with_env(&env);
    let gateway = gateway.unwrap_or_else(|error| panic!("{error}"));
    assert_no_secret(
        "the gateway",
        &format!("{gateway:?}{:?}", gateway.handles()),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = format!("http://{}", listener.local_addr().unwrap());
    let relay = Relay::serve(gateway.with_admin_listener(listener)).await;
    Watched { relay, admin }
}

/// What a caller asks for to go wrong.
fn faults() -> Vec<(&'static str, String)> {
    let statuses = [400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 529];
    let mut faults: Vec<_> = statuses
        .iter()
        .map(|status| ("x-demo-status", status.to_string()))
        .collect();
    faults.extend([
        ("x-demo-cut", "0".to_owned()),
        ("x-demo-cut", "2".to_owned()),
        ("x-demo-error-event", "2".to_owned()),
        ("x-demo-delay-ms", "20".to_owned()),
        ("x-demo-delay-ms", "70000".to_owned()),
        ("x-none", "0".to_owned()),
    ]);
    faults
}

/// The head and the body of an answer, as far as it comes.
async fn whole(
    client: &Client<HttpConnector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> String {
    let (head, mut body) = match soon(client.request(request)).await {
        Ok(response) => response.into_parts(),
        Err(error) => return format!("{error:?}"),
    };
    let mut text = format!("{head:?}");
    while let Some(Ok(frame)) = soon(body.frame()).await {
        text += &String::from_utf8_lossy(&frame.into_data().unwrap_or_default());
    }
    text
}

/// Asks for each model with each fault, by each way to bring a key; all that was answered.
async fn ask_all(relay: &Relay) -> String {
    let http1 = caller();
    let http2 = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let mut told = String::new();
    let mut number = 0_usize;
    for model in [
        "demo-small",
        "deviant-groq",
        "wrong",
        "file",
        "proxied",
        "echo",
        "nowhere",
    ] {
        for (name, value) in faults() {
            // What fails by itself fails once each way.
            if !model.starts_with("de") && name != "x-none" {
                continue;
            }
            for stream in [false, true] {
                number += 1;
                let uri = relay.uri("/v1/chat/completions?key=canary-query&api_key=canary-query");
                let prompt = json!({"stream": stream, "seed": number});
                let mut request = post(uri, &chat(model, &prompt));
                let headers = request.headers_mut();
                headers.insert(name, value.parse().unwrap());
                headers.insert("cookie", "session=canary-cookie".parse().unwrap());
                headers.insert("proxy-authorization", "Basic canary-proxy".parse().unwrap());
                match number % 3 {
                    0 => {
                        headers.insert("authorization", format!("Bearer {TENANT}").parse().unwrap())
                    }
                    1 => headers.insert("x-api-key", TENANT.parse().unwrap()),
                    _ => headers.insert("api-key", TENANT.parse().unwrap()),
                };
                let client = if number.is_multiple_of(2) {
                    &http1
                } else {
                    &http2
                };
                told += &whole(client, request).await;
                told.push('\n');
            }
        }
    }
    for forged in [
        format!("Bearer {FORGED}"),
        FORGED.to_owned(),
        format!("Basic {FORGED}"),
    ] {
        for path in [
            "/v1/chat/completions",
            "/v1/models",
            "/v1/files",
            "/sk-canary-path/../x",
        ] {
            if path.contains(WORD) && !forged.starts_with("Bearer") {
                continue;
            }
            let mut request = post(relay.uri(path), &chat("demo-small", &json!({})));
            let headers = request.headers_mut();
            headers.insert("authorization", forged.parse().unwrap());
            told += &whole(&http1, request).await;
        }
    }
    told
}

/// What operators see, and what they are told who have no token.
async fn read_all(admin: &str) -> String {
    let mut told = String::new();
    for path in [
        "/status",
        "/metrics",
        "/dashboard",
        "/admin",
        "/admin/breakers",
        "/nothing",
    ] {
        let got = get(format!("{admin}{path}")).await;
        told = format!("{told}{path}: {:?} {}\n", got.headers, got.text);
    }
    for token in [ADMIN, FORGED_ADMIN] {
        let mut request = post(format!("{admin}/admin/breakers/demo/trip"), &json!({}));
        let token = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", token);
        let got = send(request).await;
        told = format!("{told}{:?} {}\n", got.headers, got.text);
    }
    let stream = Request::get(format!("{admin}/status/stream")).body(Full::<Bytes>::default());
    let response = soon(caller().request(stream.unwrap())).await.unwrap();
    let first = soon(response.into_body().frame()).await.unwrap().unwrap();
    told + &String::from_utf8_lossy(&first.into_data().unwrap_or_default())
}

#[tokio::test]
async fn no_secret_is_said_whatever_goes_wrong() {
    let said = Said::listen();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("key"), FILE).unwrap();
    let (exact, _) = embedded(Demo::exact().key(UPSTREAM)).await;
    let (deviant, _) = embedded(Demo::deviant().key(UPSTREAM)).await;
    let (echo, gone) = (echo().await, nobody().await);
    let mut redis = Server::start_with(&["--requirepass", REDIS]);
    let store = match &redis {
        Some(server) => server
            .url()
            .replace("redis://", &format!("redis://:{REDIS}@")),
        None => format!("redis://:{REDIS}@{gone}/"),
    };
    let hash = KeyHash::of(TENANT);
    let upstream = |name: &str, at: std::net::SocketAddr, key: &str, models: &str, more: &str| {
        format!(
            "[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{at}/v1\"\ncredential = {key}\nmodels = [{models}]\n{more}\n"
        )
    };
    let config = [
        format!(
            "tenant_state = {:?}\n[server]\naccess_log = true\n[telemetry]\ncontents = true\n\
             [store.redis]\nurl = \"{store}\"\ntimeout = \"20ms\"\n\
             [[tenants]]\nname = \"acme\"\nkeys = [{{ id = \"one\", sha256 = \"{hash}\" }}]\n\
             limits = [{{ requests = 10000, per = \"1m\" }}]\n\
             [[budgets]]\nname = \"all\"\nby = \"tenant\"\nhard = \"100\"\nper = \"month\"\n[cache]\n[models]\n[audit]\npath = {:?}\n\
             [admin]\ntokens = {{ ops = {{ env = \"ADMIN\" }} }}\n\
             [alerts]\nevery = \"100ms\"\nfor = \"0s\"\nminimum_requests = 1\n\
             [alerts.webhook]\nurl = {{ env = \"HOOK\" }}\nauthorization = {{ env = \"HOOK_KEY\" }}\n",
            path("tenants.json"),
            path("audit.jsonl")
        ),
        upstream(
            "demo",
            exact,
            "{ env = \"UPSTREAM\" }",
            "\"demo-small\", \"demo-embed\"",
            "circuit_breaker = { consecutive_failures = 1000 }\ncommit_guard = {}\nnormalize = {}\nrate_limit = {}",
        ),
        upstream("deviant", deviant, "{ env = \"UPSTREAM\" }", "\"deviant-*\"", "normalize = {}"),
        upstream("wrong", exact, "{ env = \"WRONG\" }", "\"wrong\"", ""),
        upstream("file", exact, &format!("{{ file = {:?} }}", path("key")), "\"file\"", ""),
        upstream("echo", echo.address, "{ env = \"UPSTREAM\" }", "\"echo\"", "normalize = {}"),
        upstream("gone", gone, "{ env = \"UPSTREAM\" }", "\"nowhere\"", ""),
        upstream(
            "proxied",
            exact,
            "{ env = \"UPSTREAM\" }",
            "\"proxied\"",
            &format!("[upstreams.client]\nproxy = \"http://user:{PROXY}@{gone}\""),
        ),
    ]
    .concat();
    let hook = format!("http://{gone}/{WEBHOOK}?token={WEBHOOK}");
    let Watched { mut relay, admin } = start(&config, &hook).await;

    let answers = ask_all(&relay).await;
    assert!(
        answers.contains("status: 200") && answers.contains("status: 502"),
        "{answers}"
    );
    assert_no_secret("an answer", &answers);

    // Until the alert of the rejected key has been posted, in vain.
    soon(async {
        while !said.text().contains("webhook") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // The store goes, and what it cannot do is said.
    if let Some(server) = &mut redis {
        server.stop();
    }
    let mut request = post(
        relay.uri("/v1/chat/completions"),
        &chat("demo-small", &json!({})),
    );
    request
        .headers_mut()
        .insert("x-api-key", TENANT.parse().unwrap());
    assert_no_secret(
        "an answer without a store",
        &whole(&caller(), request).await,
    );
    // A key file that becomes none.
    fs::write(path("key"), "sk-canary\nof two lines").unwrap();

    let seen = read_all(&admin).await;
    assert!(
        seen.contains("tower_relay") || seen.contains("gen_ai"),
        "{seen}"
    );
    assert_no_secret("a page", &seen);
    assert_no_secret("a handle", &format!("{:?}", relay.handles));
    // The end of what holds on to the store takes seconds; the audit is on the disk within one.
    relay.stop();
    tokio::time::sleep(Duration::from_millis(1_100)).await;

    let mut files = 0;
    for entry in fs::read_dir(directory.path()).unwrap() {
        let file = entry.unwrap().path();
        if file != path("key") {
            files += 1;
            let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            assert_no_secret(&file.display().to_string(), &text);
        }
    }
    assert!(files > 0);
    let text = said.text();
    // It has been listened to: the gateway's own words, and those of the crates under it.
    assert!(text.contains("TRACE") && text.contains("tower_relay") && text.contains("h2::"));
    assert_no_secret("what was logged", &text);
}

#[tokio::test]
async fn an_error_that_repeats_the_relays_key_is_handed_on_without_it() {
    // The last says whether the text is told where errors are read.
    for (status, media, text, is_told) in [
        (
            "400 Bad Request",
            "application/json",
            r#"{"error":{"message":"no KEY here","code":"KEY"}}"#,
            true,
        ),
        (
            "403 Forbidden",
            "application/json",
            r#"{"detail": "Bearer KEY may not"}"#,
            true,
        ),
        ("404 Not Found", "text/plain", "no such thing for KEY", true),
        (
            "429 Too Many Requests",
            "text/html",
            "<html>KEY has called too often</html>",
            false,
        ),
        (
            "500 Internal Server Error",
            "application/json",
            r#"{"error":{"message":"KEY"#,
            false,
        ),
        (
            "503 Service Unavailable",
            "application/json",
            r#"["KEY"]"#,
            true,
        ),
    ] {
        for long in [false, true] {
            let after = if long {
                " ".repeat(100_000)
            } else {
                String::new()
            };
            let text = text.replace("KEY", UPSTREAM) + &after;
            let echo = Recorder::answering(move |_| {
                let length = text.len();
                format!(
                    "HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {length}\r\nx-seen: Bearer {UPSTREAM}\r\n\r\n{text}"
                )
                .into_bytes()
            })
            .await;
            let config = format!(
                "[[upstreams]]\nname = \"echo\"\nbase_url = \"http://{}/v1\"\ncredential = {{ env = \"UPSTREAM\" }}\n",
                echo.address
            );
            let config = Config::from_toml(&config, "test").unwrap();
            let relay = Relay::serve(config.build_with_env(&env).unwrap()).await;
            let asked = post(relay.uri("/v1/chat/completions"), &chat("m", &json!({})));
            // Nothing is read of these but errors.
            let other = Request::get(relay.uri("/v1/files/f"))
                .body(Full::default())
                .unwrap();
            for request in [asked, other] {
                let path = request.uri().path().to_owned();
                let got = send(request).await;
                assert!(
                    status.starts_with(got.status.as_str()),
                    "{path}: {}",
                    got.text
                );
                assert_no_secret(&path, &format!("{:?} {}", got.headers, got.text));
                if !long && (is_told || path == "/v1/files/f") {
                    assert!(
                        got.text.contains("[redacted]"),
                        "{status} {path}: {}",
                        got.text
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_is_handed_on_as_it_is_whatever_is_in_it() {
    let text = json!({"object": "file", "id": UPSTREAM}).to_string();
    let body = text.clone();
    let echo = Recorder::answering(move |_| {
        response(
            "200 OK",
            "content-type: application/json\r\n",
            body.as_bytes(),
        )
    })
    .await;
    let config = format!(
        "[[upstreams]]\nname = \"echo\"\nbase_url = \"http://{}/v1\"\ncredential = {{ env = \"UPSTREAM\" }}\n",
        echo.address
    );
    let config = Config::from_toml(&config, "test").unwrap();
    let relay = Relay::serve(config.build_with_env(&env).unwrap()).await;
    assert_eq!(get(relay.uri("/v1/files/f")).await.text, text);
}

#[test]
fn what_is_looked_for_is_found() {
    assert_eq!(secrets_in("a\nb sk-CANARY c\n").len(), 1);
    assert_eq!(secrets_in("Basic dXNlcjpwcm94eS1jYW5hcnk=").len(), 1);
    assert!(secrets_in("a key").is_empty());
}

#[test]
fn no_secret_is_said_of_a_configuration_that_is_wrong() {
    let upstream = |more: &str| {
        format!("[[upstreams]]\nname = \"u\"\nbase_url = \"http://127.0.0.1:1/v1\"\n{more}\n")
    };
    for text in [
        upstream("credential = \"sk-canary\""),
        upstream("credential = { env = \"sk-canary\" }"),
        upstream("credential = { key = \"sk-canary\" }"),
        upstream("credential = [\"sk-canary\"]"),
        upstream("client = { proxy = \"socks5://user:canary@127.0.0.1\" }"),
        upstream("client = { proxy = \"http://user:canary@\" }"),
        upstream("client = { proxy = 1, ca_file = 2 } # canary"),
        upstream("") + "[store]\nredis = \"http://:canary@127.0.0.1\"\n",
        upstream("") + "[store]\nredis = \"redis://:canary@127.0.0.1:x\"\n",
        upstream("") + "[store.redis]\nurl = \"redis://:canary@\"\n",
        upstream("") + "[store.redis]\nurl = { redis = \"redis://:canary@h\" }\n",
        upstream("") + "[admin.tokens]\nops = \"canary-token-0123456789\"\n",
        upstream("") + "[alerts.webhook]\nurl = \"http://127.0.0.1/canary\"\n",
        upstream("")
            + "[[tenants]]\nname = \"a\"\nkeys = [{ id = \"one\", sha256 = \"sk-canary\" }]\n",
        upstream("") + "[[tenants]]\nname = \"a\"\nkeys = [\"sk-canary\"]\n",
        "[[upstreams]]\nname = \"u\"\nbase_url = \"http://user:canary@127.0.0.1/v1\"\n".to_owned(),
    ] {
        let env = |_: &str| None;
        let built = Config::from_toml(&text, "test").and_then(|config| config.build_with_env(&env));
        let error = built.err().unwrap_or_else(|| panic!("{text} was taken"));
        let shown = error.to_string();
        assert!(!shown.is_empty());
        // The TOML parser's own picture of the line is what must not be there.
        assert_no_secret(&text.replace(WORD, "…"), &format!("{shown} {error:?}"));
    }
}
