use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::Value;

use super::{body::DemoBody, edit, fault::Faults};

/// An answer before it becomes bytes: what deviations and faults work on.
#[derive(Debug)]
pub(super) enum Reply {
    Json(Json),
    Stream(Stream),
}

#[derive(Debug)]
pub(super) struct Json {
    pub(super) status: StatusCode,
    /// In seconds.
    pub(super) retry_after: Option<u32>,
    /// Whitespace that a provider sends to keep a connection alive while it computes.
    pub(super) keep_alive: &'static str,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) content_type: &'static str,
    pub(super) line_end: &'static str,
    pub(super) events: Vec<Event>,
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    Comment(&'static str),
    Data(Value),
    Named(&'static str, Value),
    Done,
}

impl Json {
    pub(super) fn ok(value: Value) -> Self {
        Self {
            status: StatusCode::OK,
            retry_after: None,
            keep_alive: "",
            value,
        }
    }
}

impl Stream {
    pub(super) fn new(events: Vec<Event>) -> Self {
        Self {
            content_type: "text/event-stream; charset=utf-8",
            line_end: "\n",
            events,
        }
    }

    pub(super) fn chunks(&mut self) -> impl Iterator<Item = &mut Value> {
        self.events.iter_mut().filter_map(|event| match event {
            Event::Data(chunk) => Some(chunk),
            Event::Comment(_) | Event::Named(..) | Event::Done => None,
        })
    }

    /// The last chunk that has a choice: the one with the finish reason.
    pub(super) fn finish(&mut self) -> Option<&mut Value> {
        self.chunks()
            .filter(|chunk| edit::has_choices(chunk))
            .last()
    }

    /// Takes away everything that `include_usage` added.
    pub(super) fn forget_usage(&mut self) {
        self.events
            .retain(|event| !matches!(event, Event::Data(chunk) if !edit::has_choices(chunk)));
        self.chunks()
            .for_each(|chunk| drop(edit::unset(chunk, "usage")));
    }

    /// Ends without `data: [DONE]`.
    pub(super) fn forget_done(&mut self) {
        self.events.retain(|event| *event != Event::Done);
    }
}

impl Event {
    fn bytes(&self, line_end: &str) -> Bytes {
        let text = match self {
            Self::Comment(comment) => format!(": {comment}{line_end}{line_end}"),
            Self::Data(value) => format!("data: {value}{line_end}{line_end}"),
            Self::Named(name, value) => {
                format!("event: {name}{line_end}data: {value}{line_end}{line_end}")
            }
            Self::Done => format!("data: [DONE]{line_end}{line_end}"),
        };
        text.into()
    }
}

impl Reply {
    pub(super) fn into_response(self, pace: Duration, faults: &Faults) -> Response<DemoBody> {
        let (status, content_type, retry_after, mut body) = match self {
            Self::Json(json) => {
                let bytes = Bytes::from(format!("{}{}", json.keep_alive, json.value));
                (
                    json.status,
                    "application/json",
                    json.retry_after,
                    DemoBody::json(bytes),
                )
            }
            Self::Stream(stream) => {
                let frames: VecDeque<_> = stream
                    .events
                    .iter()
                    .map(|event| event.bytes(stream.line_end))
                    .collect();
                let body = DemoBody::stream(frames, faults.event_delay.unwrap_or(pace));
                (StatusCode::OK, stream.content_type, None, body)
            }
        };
        if let Some(events) = faults.cut {
            body.cut_after(events);
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(seconds) = retry_after {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
