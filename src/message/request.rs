//! The request's body: held once, read at most once, edited by splicing.

use std::{
    borrow::Cow,
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderName, Request, header};
use http_body::{Body, Frame, SizeHint};

use super::{
    BodyError, BoxError, Endpoint, HeldBytes, Prompt,
    boxed::{BoxedBody, unwrap_same},
};
use crate::wire::{
    digits,
    json::{Edit, Index, JsonError, Members, Value},
};

/// The body of a request on its way to an upstream.
///
/// - JSON is one [`Bytes`]; its top-level members are indexed at most once, when a layer first asks for one, and
///   clones share the index.
/// - Other bytes ([`RequestBody::bytes`]) are never read.
/// - A stream ([`RequestBody::new`]) passes through as it comes and can be sent once.
///
/// It is an [`http_body::Body`], `Unpin`, `Send` and `Sync`, so that clients of hyper-util and reqwest take it as
/// it is.
pub struct RequestBody(Kind);

enum Kind {
    Empty,
    Json(Arc<Json>),
    Bytes(Bytes),
    Stream(BoxedBody),
}

struct Json {
    text: Bytes,
    index: OnceLock<Result<Index, JsonError>>,
    prompt: OnceLock<Prompt>,
    /// Shared with every clone and edit: the bytes count as held until the last of them is gone.
    held: Option<Arc<HeldBytes>>,
}

impl RequestBody {
    /// A body of no bytes.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// JSON text, which layers may read. Nothing is parsed until one does.
    pub fn json(text: impl Into<Bytes>) -> Self {
        Self::held_json(text.into(), None)
    }

    /// Bytes that no layer reads, whatever they hold: a compressed body, an upload already in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Bytes(bytes.into()))
    }

    /// Any other body, passed through as it comes. It can be sent once: [`try_clone`](Self::try_clone) is `None`.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        unwrap_same(body).unwrap_or_else(|body| Self(Kind::Stream(BoxedBody::new(body))))
    }

    /// JSON text whose bytes count against a cap until the last clone is gone.
    pub(crate) fn held_json(text: Bytes, held: Option<HeldBytes>) -> Self {
        Self(Kind::Json(Arc::new(Json {
            text,
            index: OnceLock::new(),
            prompt: OnceLock::new(),
            held: held.map(Arc::new),
        })))
    }

    /// A second body with the same bytes, in constant time; `None` for a stream, which makes one attempt only.
    pub fn try_clone(&self) -> Option<Self> {
        Some(Self(match &self.0 {
            Kind::Empty => Kind::Empty,
            Kind::Json(json) => Kind::Json(Arc::clone(json)),
            Kind::Bytes(bytes) => Kind::Bytes(bytes.clone()),
            Kind::Stream(_) => return None,
        }))
    }

    /// The bytes, where they are held.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        static EMPTY: Bytes = Bytes::new();
        match &self.0 {
            Kind::Empty => Some(&EMPTY),
            Kind::Json(json) => Some(&json.text),
            Kind::Bytes(bytes) => Some(bytes),
            Kind::Stream(_) => None,
        }
    }

    /// The top-level members of a JSON body; `None` for any other body.
    ///
    /// # Errors
    ///
    /// When the text is not one JSON object, or names a member twice (after unescaping).
    pub fn members(&self) -> Result<Option<Members<'_>>, &JsonError> {
        match &self.0 {
            Kind::Json(json) => json.members().map(Some),
            _ => Ok(None),
        }
    }

    /// Whether the index is there already, so that reading a member costs next to nothing.
    pub fn is_indexed(&self) -> bool {
        matches!(&self.0, Kind::Json(json) if json.index.get().is_some())
    }

    /// The `model` that is asked for.
    pub fn model(&self) -> Option<Cow<'_, str>> {
        self.members().ok()??.get("model")?.as_str()
    }

    /// Whether a stream is asked for: `"stream": true`.
    pub fn is_streaming(&self) -> bool {
        self.flag("stream")
    }

    /// The cap on the tokens of the answer, by any of its names: `max_completion_tokens`, `max_tokens`,
    /// `max_output_tokens` (Responses), `max_tokens_to_sample` (older Anthropic). The first that is a number wins.
    pub fn max_output_tokens(&self) -> Option<u64> {
        const NAMES: [&str; 4] = [
            "max_completion_tokens",
            "max_tokens",
            "max_output_tokens",
            "max_tokens_to_sample",
        ];
        let members = self.members().ok()??;
        NAMES
            .into_iter()
            .find_map(|name| members.get(name)?.as_u64())
    }

    /// Whether a stream is asked to end with its usage: `"stream_options": {"include_usage": true}`.
    pub fn wants_usage(&self) -> bool {
        #[derive(serde::Deserialize)]
        struct StreamOptions {
            #[serde(default)]
            include_usage: bool,
        }
        self.members()
            .ok()
            .flatten()
            .and_then(|members| {
                members
                    .get("stream_options")?
                    .deserialize::<StreamOptions>()
                    .ok()
            })
            .is_some_and(|options| options.include_usage)
    }

    /// The end user whom the caller names: `safety_identifier`, or `user`, its older name.
    pub fn user(&self) -> Option<Cow<'_, str>> {
        let members = self.members().ok()??;
        members
            .get("safety_identifier")
            .and_then(Value::as_str)
            .or_else(|| members.get("user")?.as_str())
    }

    /// What the conversation holds, counted in a second pass over it, once; `None` where there is none to read.
    pub fn prompt(&self) -> Option<&Prompt> {
        match &self.0 {
            Kind::Json(json) => {
                let members = json.members().ok()?;
                Some(json.prompt.get_or_init(|| Prompt::count(members)))
            }
            _ => None,
        }
    }

    fn flag(&self, name: &str) -> bool {
        let value = self
            .members()
            .ok()
            .flatten()
            .and_then(|members| members.get(name));
        value.and_then(Value::as_bool) == Some(true)
    }
}

/// Edits the top-level members of `request`'s JSON body by splicing: everything that `change` does not name stays
/// byte-identical, and the headers that describe the old bytes (`content-length`, digests) are put right.
///
/// Does nothing where there is no JSON body to read.
///
/// ```
/// use http::Request;
/// use tower_relay::message::{self, RequestBody};
///
/// let text = r#"{"model": "fast",  "temperature": 1.0}"#;
/// let mut request = Request::post("/v1/chat/completions").body(RequestBody::json(text)).unwrap();
/// message::edit(&mut request, |edit| {
///     edit.set("model", "llama-4-maverick");
/// })?;
/// assert_eq!(
///     request.body().as_bytes().unwrap(),
///     r#"{"model": "llama-4-maverick",  "temperature": 1.0}"#,
/// );
/// # Ok::<(), tower_relay::wire::json::JsonError>(())
/// ```
///
/// # Errors
///
/// When the body is not one JSON object, or names a member twice; the request is then as it was.
pub fn edit(
    request: &mut Request<RequestBody>,
    change: impl FnOnce(&mut Edit<'_>),
) -> Result<(), JsonError> {
    const STALE: [HeaderName; 3] = [
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("content-digest"),
    ];

    let Kind::Json(json) = &mut request.body_mut().0 else {
        return Ok(());
    };
    let mut edit = json.edit()?;
    change(&mut edit);
    if !edit.is_changed() {
        return Ok(());
    }
    let (text, reindex) = edit.write();
    let length = text.len();
    let text = Bytes::from(text);
    if let Some(only) = Arc::get_mut(json) {
        only.text = text;
        only.prompt = OnceLock::new();
        if let Some(Ok(index)) = only.index.get_mut() {
            reindex.apply(index);
        }
    } else {
        let index = reindex.of(json.index().map_err(JsonError::clone)?);
        *json = Arc::new(Json {
            text,
            index: OnceLock::from(Ok(index)),
            prompt: OnceLock::new(),
            held: json.held.clone(),
        });
    }

    let headers = request.headers_mut();
    // Few have one, and to look for each by its hash costs more than to look at all there are.
    if headers.keys().any(|name| STALE.contains(name)) {
        for name in STALE {
            headers.remove(name);
        }
    }
    if let header::Entry::Occupied(mut stated) = headers.entry(header::CONTENT_LENGTH) {
        stated.insert(digits::header(length as u64));
    }
    Ok(())
}

/// The top-level members of a request whose endpoint is one that layers read; `None` for all others.
///
/// # Errors
///
/// When such a request's body is not one JSON object, or names a member twice.
pub fn members(request: &Request<RequestBody>) -> Result<Option<Members<'_>>, &JsonError> {
    if Endpoint::of(request).reads_json() {
        request.body().members()
    } else {
        Ok(None)
    }
}

impl Json {
    fn index(&self) -> Result<&Index, &JsonError> {
        self.index.get_or_init(|| Index::parse(&self.text)).as_ref()
    }

    fn members(&self) -> Result<Members<'_>, &JsonError> {
        Ok(self.index()?.members(&self.text))
    }

    fn edit(&self) -> Result<Edit<'_>, JsonError> {
        Ok(self.members().map_err(JsonError::clone)?.edit())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let bytes = match &mut self.0 {
            Kind::Stream(stream) => {
                let frame = ready!(stream.poll_frame(cx));
                if frame.is_none() {
                    self.0 = Kind::Empty;
                }
                return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::new)));
            }
            Kind::Empty => return Poll::Ready(None),
            Kind::Bytes(bytes) => std::mem::take(bytes),
            // Nearly always nobody else holds it any more, and a first clone of bytes allocates.
            Kind::Json(json) => match Arc::get_mut(json) {
                Some(only) => std::mem::take(&mut only.text),
                None => json.text.clone(),
            },
        };
        self.0 = Kind::Empty;
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Json(json) => json.text.is_empty(),
            Kind::Bytes(bytes) => bytes.is_empty(),
            Kind::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Json(json) => SizeHint::with_exact(json.text.len() as u64),
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => stream.size_hint(),
        }
    }
}

impl fmt::Debug for RequestBody {
    /// Names the kind and the length, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Empty => f.write_str("RequestBody::Empty"),
            Kind::Json(json) => write!(f, "RequestBody::Json({} bytes)", json.text.len()),
            Kind::Bytes(bytes) => write!(f, "RequestBody::Bytes({} bytes)", bytes.len()),
            Kind::Stream(_) => f.write_str("RequestBody::Stream"),
        }
    }
}

impl Default for RequestBody {
    fn default() -> Self {
        Self::empty()
    }
}

/// Bytes and strings are taken as JSON, which is read only at endpoints that are JSON's.
macro_rules! json_from {
    ($($text:ty),*) => {$(
        impl From<$text> for RequestBody {
            fn from(text: $text) -> Self {
                Self::json(text)
            }
        }
    )*};
}
json_from!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);
