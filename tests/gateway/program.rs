//! The program: its options, its errors, its exit codes.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use crate::harness::{post, send};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tower-relay"));
    command
        .args(arguments)
        .env("HTTPS_PROXY", "http://user:secret@proxy.test:3128")
        .output()
        .unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("relay-program-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_checked_configuration_is_printed_as_the_stack_that_it_describes() {
    let file = File::new(
        "good.toml",
        "listen = \"127.0.0.1:4000\"\n[models]\naliases = { \"fast\" = \"m\", \"gpt-*\" = \"*\" }\n\
         [rate_limit]\nwait = \"2s\"\n\
         [[budgets]]\nname = \"team\"\nby = { header = \"x-team\" }\nper = \"month\"\nhard = \"100\"\n\
         on_exceeded = { model = \"m\" }\n\
         [[upstreams]]\nname = \"far\"\nbase_url = \"https://far.test/v1\"\nmodels = [\"m\"]\n\
         credential = { env = \"PATH\" }\nrequired_prefix = \"/\"\naliases = { \"m\" = \"m-1\" }\n\
         circuit_breaker = {}\ncommit_guard = {}\ntimeout = {}\n\
         [[upstreams]]\nname = \"near\"\nlabel = \"next door\"\nbase_url = \"http://127.0.0.1:1\"\n\
         endpoints = [\"embeddings\"]\nclamp_output = true\nrules = [{ models = [\"*\"], drop = [\"user\"] }]\n\
         retry = {}\nrate_limit = { limits = [{ input_tokens = 9, per = \"1h\" }] }\n\
         normalize = { reasoning = \"split\" }\n\
         [[routes]]\nname = \"steady\"\nmodels = [\"m\"]\n\
         fallback = { targets = [\"far\", \"near\"], sticky = \"1m\", wait = \"30s\" }\n",
    );
    let (code, out, err) = said(&run(&["--config", file.path(), "--check"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let expected = "\
127.0.0.1:4000  HTTP/1.1 and HTTP/2, at most 10000 connections
├─ GET /health
├─ GET /v1/models
└─ Edge
   └─ Telemetry  spans, traceparent to the upstreams, headers on answers
      └─ RateLimit  300 requests per minute, 500000 tokens per minute, waits up to 2s
         └─ Budget  team 100 USD per month, then m
            └─ ModelRewrite  fast → m, gpt-* → *
               └─ ModelRoute
                  ├─ steady  serves m
                  │  └─ Fallback  far → near, sticky for 60s, waits up to 30s
                  ├─ far  serves m
                  │  └─ CircuitBreaker  opens at 5 failures in a row or over 50 % of 20 calls in 30s, open for 10s to 300s
                  │     └─ CommitGuard  silence up to 30s
                  │        └─ Timeout  head within 600s
                  │           └─ CostMeter
                  │              └─ ModelRewrite  m → m-1
                  │                 └─ Upstream  https://far.test/v1, key from the environment's PATH
                  │                    └─ client  HTTP auto, through the proxy http://proxy.test:3128/
                  └─ near (next door)  at embeddings
                     └─ Retry  up to 3 attempts, 500ms to 30s apart, retry-after up to 60s, 1s under a fallback, for 20 % of the requests
                        └─ RateLimit  9 input tokens per hour
                           └─ CostMeter
                              └─ ModelRewrite  1 rule, output clamped
                                 └─ ResponseNormalize  reasoning split from content
                                    └─ Upstream  http://127.0.0.1:1, no key
                                       └─ client  HTTP auto
";
    assert_eq!(out, expected);
}

#[test]
fn a_split_and_its_rollout_are_printed_too() {
    let file = File::new(
        "moving.toml",
        "[[upstreams]]\nname = \"old\"\nbase_url = \"http://127.0.0.1:1\"\nretry = {}\n\
         [[upstreams]]\nname = \"new\"\nbase_url = \"http://127.0.0.1:2\"\n\
         [[routes]]\nname = \"moving\"\n\
         split = { targets = [\"old\", \"new\"], weights = [9, 1], allow_override = true }\n\
         rollout = { stages = [[9, 1], [0, 1]], stage_time = \"1h\" }\n",
    );
    let (code, out, err) = said(&run(&["--config", file.path(), "--check"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let expected = "
      └─ ModelRoute
         ├─ moving  for what old serves
         │  └─ Rollout  2 stages of 3600s
         │     └─ TrafficSplit  old, new, callers may choose
         ├─ old
         │  └─ Retry  up to 3 attempts, 500ms to 30s apart, retry-after up to 60s, 1s under a fallback, for 20 % of the requests
         │     └─ RolloutObserver
         │        └─ Upstream  http://127.0.0.1:1, no key
";
    assert!(out.contains(expected), "{out}");
}

#[test]
fn tenants_and_what_they_share_stand_where_requests_pass_them() {
    let file = File::new(
        "tenants.toml",
        "[[tenants]]\nname = \"a\"\norganisation = \"o\"\nupstreams = [\"near\"]\n\
         limits = [{ requests = 9, per = \"1m\" }]\nadmission = { max_in_flight = 3 }\n\
         [organisations.o]\nadmission = { max_in_flight = 5 }\n[rate_limit]\n[admission]\nmax_wait = \"5s\"\n\
         [[upstreams]]\nname = \"near\"\nbase_url = \"http://127.0.0.1:1\"\n",
    );
    let (code, out, _) = said(&run(&["--config", file.path(), "--check"]));
    assert_eq!(code, Some(0));
    let expected = "\
└─ Edge
   └─ Telemetry  spans, traceparent to the upstreams, headers on answers
      └─ Auth  a (only at near)
         └─ RateLimit  300 requests per minute, 500000 tokens per minute
            └─ by tenant: 1 with limits, 1 with admission
               └─ by organisation: 0 with limits, 1 with admission
                  └─ Admission  50 in flight, 1000 waiting up to 5s
                     └─ ModelRoute
";
    assert!(out.contains(expected), "{out}");
}

#[test]
fn a_list_of_models_that_would_be_empty_is_not_promised() {
    let file = File::new(
        "nameless.toml",
        "[[upstreams]]\nname = \"near\"\nbase_url = \"http://127.0.0.1:1\"\n",
    );
    let (code, out, _) = said(&run(&["--config", file.path(), "--check"]));
    assert_eq!(code, Some(0));
    assert!(!out.contains("/v1/models"), "{out}");
}

#[test]
fn a_store_on_the_command_line_stands_in_the_stack_without_its_password() {
    let file = File::new(
        "shared.toml",
        "[store.redis]\nurl = \"redis://elsewhere\"\nreplicas = 3\n\
         [[upstreams]]\nname = \"near\"\nbase_url = \"http://127.0.0.1:1\"\n",
    );
    let store = "rediss://user:secret@host:1/";
    let (code, _, err) = said(&run(&[
        "--config",
        file.path(),
        "--redis",
        store,
        "--check",
    ]));
    assert_eq!(code, Some(2));
    assert!(
        err.contains("--redis: is not the URL of a server") && !err.contains("shared.toml"),
        "{err}"
    );
    assert!(!err.contains("secret"), "{err}");
    let store = "redis://user:secret@host:1/";
    let (code, out, _) = said(&run(&[
        "--config",
        file.path(),
        "--redis",
        store,
        "--check",
    ]));
    assert_eq!(code, Some(0));
    let line = "├─ Redis  at host:1, after 50ms without an answer a share of 1 in 3 by itself\n";
    assert!(out.contains(line), "{out}");
}

#[test]
fn what_it_cannot_run_it_says_in_one_line_and_exits_with_2() {
    let broken = File::new(
        "broken.toml",
        "[[upstreams]]\nname = \"a\"\nbase_url = \"a.test\"\n",
    );
    let place = format!("{}:3: ", broken.path());
    for (arguments, message) in [
        (vec!["--config", broken.path()], format!("{place}upstreams.0.base_url: begins neither with https:// nor http://: write \"https://a.test\"")),
        (vec!["--config", broken.path(), "--check"], format!("{place}upstreams.0.base_url: begins neither with https:// nor http://: write \"https://a.test\"")),
        (vec!["--config", "/nowhere.toml"], "/nowhere.toml: cannot be read: No such file or directory (os error 2)".to_owned()),
        (vec!["--nonsense"], "invalid option '--nonsense'; --help lists the options".to_owned()),
        (vec!["--listen", "here"], "cannot parse argument \"here\": invalid socket address syntax; --help lists the options".to_owned()),
    ] {
        let (code, out, err) = said(&run(&arguments));
        assert_eq!((code, out, err), (Some(2), String::new(), format!("tower-relay: {message}\n")), "{arguments:?}");
    }
}

#[test]
fn an_address_in_use_is_said_and_exits_with_2() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let (code, _, err) = said(&run(&["--listen", &taken]));
    let message = format!(
        "tower-relay: {taken} is in use by another program: choose an address with --listen ADDR\n"
    );
    assert_eq!((code, err), (Some(2), message));
}

#[test]
fn help_and_version_are_printed() {
    let (code, out, _) = said(&run(&["--help"]));
    assert_eq!(code, Some(0));
    for option in ["--config FILE", "--listen ADDR", "--redis URL", "--check"] {
        assert!(out.contains(option), "{out}");
    }
    assert_eq!(
        said(&run(&["--version"])).1,
        concat!("tower-relay ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[cfg(unix)]
#[tokio::test]
async fn without_a_configuration_the_request_that_it_prints_works_and_sigterm_ends_it() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tower-relay"))
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The last line of the request ends with its body.
    let mut printed = String::new();
    let mut out = BufReader::new(program.stdout.take().unwrap());
    while !printed.ends_with("}'\n") {
        assert_ne!(out.read_line(&mut printed).unwrap(), 0, "{printed}");
    }
    let after = |mark: &str| printed.rsplit_once(mark).unwrap().1;
    let uri = after("curl -sN ")
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    let body = serde_json::from_str(after("-d '").trim_end().trim_end_matches('\'')).unwrap();
    assert!(
        printed.contains("is listening on http://127.0.0.1:"),
        "{printed}"
    );

    let got = send(post(uri, &body)).await;
    assert!(got.text.ends_with("data: [DONE]\n\n"), "{}", got.text);

    let pid = program.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    let (code, _, lines) = said(&program.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{lines}");
    assert!(
        lines.contains("INFO") && !lines.contains('\u{1b}'),
        "{lines}"
    );
}

#[test]
fn a_layer_that_chooses_models_says_what_it_chooses_from() {
    let file = File::new(
        "select.toml",
        "[model_select]\nsticky = \"1m\"\ntiers = { low = [\"a\", \"b\"] }\nescalation = {}\n\
         [cache]\nttl = \"5m\"\n\
         [shadow]\ntarget = \"near\"\nmodel = \"m\"\n\
         [[upstreams]]\nname = \"near\"\nbase_url = \"http://127.0.0.1:1\"\n",
    );
    let (code, out, _) = said(&run(&["--config", file.path(), "--check"]));
    let line =
        "ModelSelect  low → a or b, medium → gemini-2.5-flash, high → gpt-4.1, escalates, sticky\n";
    assert_eq!(code, Some(0));
    assert!(out.contains(line), "{out}");
    assert!(out.contains("Shadow  10 % to near as m\n"), "{out}");
    let cache = "Cache  deterministic requests by tenant, for 300s, in 128 MiB of memory\n";
    assert!(out.contains(cache), "{out}");
}

#[test]
fn a_check_makes_no_files_and_says_which_cannot_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let config = |at: &str| {
        let file = |name: &str| format!("{at}/{name}");
        format!(
            "tenant_state = {:?}\n[audit]\npath = {:?}\n[shadow]\ntarget = \"b\"\nfile = {:?}\n[feedback]\nfile = {:?}\n\
             [[tenants]]\nname = \"t\"\n\
             [[routes]]\nname = \"r\"\nsplit = {{ targets = [\"a\", \"b\"] }}\nrollout = {{ file = {:?} }}\n\
             [[upstreams]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:1\"\n\
             [[upstreams]]\nname = \"b\"\nbase_url = \"http://127.0.0.1:2\"\n",
            file("tenants.json"),
            file("audit.jsonl"),
            file("shadow.jsonl"),
            file("feedback.jsonl"),
            file("rollout.json"),
        )
    };
    let here = folder.path().to_str().unwrap();
    let good = File::new("files.toml", &config(here));
    let (code, out, err) = said(&run(&["--config", good.path(), "--check"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("Audit") && out.contains("Shadow"), "{out}");
    let made: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(made.is_empty(), "{made:?}");

    let nowhere = File::new("nowhere.toml", &config(&format!("{here}/nowhere")));
    let (code, _, err) = said(&run(&["--config", nowhere.path(), "--check"]));
    assert_eq!(code, Some(2));
    assert!(
        err.contains("audit.path: ") && err.contains("nowhere.toml:3"),
        "{err}"
    );
}
