//! JSON objects by their top-level members: found without building a tree, edited by splicing bytes.
//!
//! A relay reads a handful of members of a request (`model`, `stream`, `max_tokens`) and changes one or two of
//! them. Decoding the whole body and encoding it again would cost several times as much and would not give back
//! what the caller sent: key order, spacing and number spellings such as `1.0` or `1e-5` would be the encoder's.
//! So the text is validated once, the [`Index`] remembers where each member lies, and an [`Edit`] copies the text
//! around its changes.
//!
//! ```
//! use tower_relay::wire::json::Index;
//!
//! let text = br#"{"model": "fast", "temperature": 1.0, "messages": []}"#;
//! let index = Index::parse(text)?;
//! let members = index.members(text);
//! assert_eq!(members.get("model").and_then(|model| model.as_str()).as_deref(), Some("fast"));
//!
//! let mut edit = members.edit();
//! edit.set("model", "gpt-4o-mini").set("stream", true);
//! let (text, index) = edit.finish();
//! assert_eq!(text, r#"{"model": "gpt-4o-mini", "temperature": 1.0, "messages": [],"stream":true}"#);
//! assert_eq!(index, Index::parse(&text)?);
//! # Ok::<(), tower_relay::wire::json::JsonError>(())
//! ```
//!
//! A nested object is edited the same way: parse the [`raw`](Value::raw) bytes of its value, edit, and
//! [`set`](Edit::set) the result.
//!
//! # What is accepted
//!
//! The whole text must be UTF-8 and one JSON object by RFC 8259, with nothing but whitespace around it and no
//! byte order mark. Beyond the RFC, a top-level name may stand only once, however it is spelled
//! (`"mod\u0065l"` is `"model"`): two readers that disagree on which of two `model` members counts are a way past
//! an access rule. Escaped lone surrogates are an error in a top-level name and pass untouched in values. Nesting
//! is unlimited and takes no stack.

mod cursor;
mod edit;
mod error;
mod index;
mod new_value;
mod plain;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use cursor::Cursor;
pub use edit::{Edit, MemberExists};
pub use error::{JsonError, JsonErrorKind};
pub use index::{Index, MAX_MEMBERS, Members};
pub use new_value::NewValue;
pub use value::{Kind, Value};
