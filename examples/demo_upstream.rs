//! A demo upstream by itself, to point a relay or a client at: `cargo run --example demo_upstream -- --listen 127.0.0.1:9001`.
//!
//! With `--deviant` it answers as providers do that are almost like OpenAI. Its key is `demo-key`.
#![allow(clippy::print_stdout, reason = "it says where it listens")]

use tower_relay::gateway::demo::Demo;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut listen = String::from("127.0.0.1:0");
    let mut demo = Demo::exact();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--deviant" => demo = Demo::deviant(),
            "--listen" => listen = arguments.next().ok_or("--listen needs an address")?,
            other => return Err(format!("unknown option {other}: there are --listen ADDRESS and --deviant").into()),
        }
    }
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    let models: Vec<_> = demo.models().iter().map(|model| model.id).collect();
    println!("listening on {} with the models {}", listener.local_addr()?, models.join(", "));
    demo.serve(listener, std::future::pending::<()>()).await;
    Ok(())
}
