//! Two relays, one Redis, one limit: `cargo run --example two_replicas`.
//!
//! It starts a server of its own on a free port, where `redis-server` or `valkey-server` is installed; without one it says so and ends.
#![allow(clippy::print_stdout, reason = "an example shows what came of it")]

use std::{
    error::Error,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use tokio::net::TcpListener;
use tower_relay::gateway::{Config, demo::Demo};

/// How many requests a minute one caller may send, to both relays together.
const LIMIT: usize = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Some((_server, url)) = Server::start()? else {
        println!("Neither redis-server nor valkey-server is installed: nothing to show.");
        return Ok(());
    };
    let upstream = TcpListener::bind("127.0.0.1:0").await?;
    let config = format!(
        r#"
        [store.redis]
        url = "{url}"
        replicas = 2
        # This machine may be busy with building.
        timeout = "5s"

        [rate_limit]
        limits = [{{ requests = {LIMIT}, per = "1h" }}, {{ tokens = 100000, per = "1h" }}]

        [[upstreams]]
        name = "demo"
        base_url = "http://{}/v1"
        credential = {{ env = "DEMO_KEY" }}
        "#,
        upstream.local_addr()?
    );
    tokio::spawn(Demo::exact().serve(upstream, std::future::pending::<()>()));

    // Each has its own connection, its own worker, and no memory of the other.
    let mut relays = Vec::new();
    for _ in 0..2 {
        let config = Config::from_toml(&config, "two_replicas.toml")?;
        let gateway =
            config.build_with_env(&|name| (name == "DEMO_KEY").then(|| "demo-key".to_owned()))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        relays.push(format!(
            "http://{}/v1/chat/completions",
            listener.local_addr()?
        ));
        tokio::spawn(gateway.serve(listener, std::future::pending::<()>()));
    }

    let client = reqwest::Client::new();
    let (mut first, mut second) = (0, 0);
    // Some at once, so that both have answered some before the limit is reached.
    for _ in 0..6 {
        let mut asking = tokio::task::JoinSet::new();
        for (call, relay) in relays.iter().cycle().take(LIMIT / 2).enumerate() {
            let request = client
                .post(relay)
                .bearer_auth("sk-one-caller")
                .header("content-type", "application/json")
                .body(r#"{"model": "demo-small", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}]}"#);
            asking.spawn(async move {
                let answer = request.send().await;
                (call % 2, answer.map(|answer| answer.status()))
            });
        }
        while let Some(asked) = asking.join_next().await {
            let (relay, status) = asked?;
            let count = if relay == 0 { &mut first } else { &mut second };
            *count += usize::from(status? == 200);
        }
    }
    println!(
        "{} requests at two relays: {first} answered by the first and {second} by the second, {} in all of a limit of {LIMIT}",
        3 * LIMIT,
        first + second
    );
    assert_eq!(first + second, LIMIT);
    Ok(())
}

/// A server that ends with this.
struct Server(Child);

impl Server {
    fn start() -> Result<Option<(Self, String)>, Box<dyn Error>> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        for program in ["redis-server", "valkey-server"] {
            let started = Command::new(program)
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no"])
                .stdout(Stdio::piped())
                .spawn();
            let Ok(mut child) = started else {
                continue;
            };
            let log = child.stdout.take().ok_or("it has no output")?;
            let server = Self(child);
            for line in BufReader::new(log).lines() {
                if line?.contains("eady to accept connections") {
                    return Ok(Some((server, format!("redis://127.0.0.1:{port}/"))));
                }
            }
            return Err(format!("{program} does not start").into());
        }
        Ok(None)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
