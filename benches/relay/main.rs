//! CPU time per request of a relay, beside a bare hyper proxy that does the same work with no layers.
//!
//! ```text
//! cargo bench --bench relay                        # small, prompt and stream, 20 rounds each: two minutes
//! cargo bench --bench relay -- small --rounds 50   # one workload, more rounds
//! cargo bench --bench relay -- large --rounds 4    # a prompt of 400 kB; also `deviating` and `streams`, 512 at a time
//! cargo bench --bench relay -- --connections 1     # one request at a time: what a relay adds to each
//! cargo bench --bench relay -- --quick             # a tenth of the requests, 4 rounds
//! cargo bench --bench relay -- --program           # the gateway as it is configured and run, in place of its layers
//! cargo bench --bench relay -- --six               # the same with limits, breaker, fallback, costs and normalized answers
//! cargo bench --bench relay -- --all               # the same with every layer
//! cargo bench --bench relay -- --others            # nginx, LiteLLM and Portkey too, as far as they are installed
//! cargo bench --bench relay -- --json              # one JSON line per workload on stdout
//! ```
//!
//! The bench runs itself again in three roles, each a process of its own: a mock upstream, the bare proxy, and the
//! gateway. The parent drives the two proxies in short turns, in alternating order, over keep-alive connections in a
//! closed loop, and checks every answer byte for byte; every round starts all processes anew. What a proxy costs is
//! what the kernel charged its process during its turns. Both run the same server and client with the same options,
//! so only the service between them differs; with `--program`, `--six` and `--all` the gateway brings its own server, choice of upstreams and
//! client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on has nothing better to do than stop and say where"
)]

mod bare;
mod child;
mod compare;
mod gateway;
mod load;
mod options;
mod others;
mod procfs;
mod report;
mod server;
mod upstream;
mod workload;

use std::env;
use std::path::Path;

use options::Options;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["--role", "upstream"] => {
            child::run(async |listener| server::serve(listener, upstream::Upstream::new()).await);
        }
        ["--role", "bare", upstream] => {
            child::run(async |listener| server::serve(listener, bare::Bare::new(upstream)).await);
        }
        ["--role", "gateway", upstream] => {
            child::run(async |listener| server::serve(listener, gateway::stack(upstream)).await);
        }
        ["--role", role, upstream] => {
            let configuration = gateway::configuration(role).expect("a role");
            child::run(async |listener| gateway::program(listener, configuration, upstream).await);
        }
        _ => drive(&args),
    }
}

fn drive(args: &[&str]) {
    if !Path::new("/proc/self/stat").exists() {
        println!(
            "relay: CPU time is read from /proc, which this system does not have; nothing was measured"
        );
        return;
    }
    // Test runners ask for a list of tests first; a bench has none.
    if args.contains(&"--list") {
        return;
    }
    // `cargo bench` passes `--bench`; without it this is `cargo test --benches`, whose arguments are not ours.
    let options = if args.contains(&"--bench") {
        Options::parse(args).unwrap_or_else(|error| {
            eprintln!("relay: {error}\n{}", options::USAGE);
            std::process::exit(2);
        })
    } else {
        Options::smoke()
    };

    let pins = child::pin_driver();
    match &pins {
        Some(pins) => eprintln!(
            "relay: proxies pinned to cpu {}, upstream and driver to cpu {}",
            pins.proxy, pins.rest
        ),
        None => eprintln!(
            "relay: nothing is pinned (that takes `taskset` and two cpus): expect more noise"
        ),
    }
    for workload in workload::all()
        .iter()
        .filter(|workload| options.selects(workload))
    {
        let comparison = child::runtime().block_on(compare::run(workload, &options, pins.as_ref()));
        if options.json {
            println!("{}", report::json(&comparison));
        } else {
            println!("{}", report::table(&comparison));
        }
    }
}
