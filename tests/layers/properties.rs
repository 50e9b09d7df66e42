//! Bodies under random treatment.

mod edits;
mod ends;
mod source;
mod transforms;
