mod bodies;
mod harness;
mod properties;
mod streams;
