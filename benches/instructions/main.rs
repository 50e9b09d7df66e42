//! Requests through one layer, for `.ci/instructions.py` to count instructions by: `instructions LAYER REQUESTS`, or nothing for the names of
//! the layers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program to measure with"
)]

mod layers;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    // `cargo bench` adds an option of its own.
    let mut arguments = std::env::args().skip(1).filter(|text| text != "--bench");
    let (name, requests) = (arguments.next(), arguments.next());
    for (layer, mut call) in layers::layers() {
        match &name {
            None => println!("{layer}"),
            Some(name) if *name == layer => {
                let requests: u32 = requests.as_deref().unwrap_or("1").parse().unwrap();
                (0..requests).for_each(|_| call());
            }
            Some(_) => {}
        }
    }
}
