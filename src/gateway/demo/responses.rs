use serde_json::{Value, json};

use super::{
    answer::{Answer, Choice, Content, words},
    chat, edit,
    failure::Failure,
    fields::{Ask, text_of},
    reply::{Event, Json, Reply, Stream},
};

/// `POST /v1/responses`: text in, text out; nothing is stored.
pub(super) fn respond(ask: &Ask<'_>) -> Result<Reply, Failure> {
    let fields = ask.fields;
    let (asked, prompt_tokens) = match fields.get("input") {
        Some(Value::String(text)) => (text.clone(), words(text)),
        Some(Value::Array(items)) => {
            let last = items
                .iter()
                .rfind(|item| item.get("role").is_some_and(|role| role == "user"));
            let total = items
                .iter()
                .map(|item| words(&text_of(item.get("content"))))
                .sum();
            (text_of(last.and_then(|item| item.get("content"))), total)
        }
        _ => {
            return Err(Failure::invalid(
                "input",
                "Invalid 'input': expected a string or an array of items.",
            ));
        }
    };
    if prompt_tokens > ask.model.window {
        return Err(Failure {
            param: Some("input"),
            ..Failure::context_overflow(prompt_tokens, ask.model.window)
        });
    }
    let choice = Choice::text(&chat::said_by(ask.model.id, &asked), fields.output_cap()?);
    let answer = Answer::new(ask, "resp_", prompt_tokens, vec![choice]);
    let object = Object {
        answer: &answer,
        instructions: fields.text("instructions")?,
    };
    if fields.flag("stream")? {
        return Ok(Reply::Stream(Stream::new(object.events())));
    }
    Ok(Reply::Json(Json::ok(object.finished())))
}

struct Object<'a> {
    answer: &'a Answer,
    instructions: Option<&'a str>,
}

impl Object<'_> {
    fn pieces(&self) -> &[String] {
        match self.answer.choices.first().map(|choice| &choice.content) {
            Some(Content::Text(pieces)) => pieces,
            _ => &[],
        }
    }

    fn is_cut(&self) -> bool {
        self.answer
            .choices
            .iter()
            .any(|choice| choice.finish == "length")
    }

    fn item_id(&self) -> String {
        self.answer.id.replacen("resp_", "msg_", 1)
    }

    fn part(text: &str) -> Value {
        json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
    }

    fn item(&self, status: &str, content: &Value) -> Value {
        json!({"id": self.item_id(), "type": "message", "role": "assistant", "status": status, "content": content})
    }

    fn state(&self, status: &str) -> Value {
        json!({
            "id": self.answer.id,
            "object": "response",
            "created_at": self.answer.created,
            "status": status,
            "background": false,
            "error": null,
            "incomplete_details": null,
            "instructions": self.instructions,
            "max_output_tokens": null,
            "model": self.answer.model,
            "output": [],
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null},
            "service_tier": "default",
            "store": false,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": null,
            "metadata": {},
        })
    }

    fn finished(&self) -> Value {
        let status = if self.is_cut() {
            "incomplete"
        } else {
            "completed"
        };
        let mut response = self.state(status);
        if self.is_cut() {
            edit::set(
                &mut response,
                "incomplete_details",
                json!({"reason": "max_output_tokens"}),
            );
        }
        let output = self.item(status, &json!([Self::part(&self.pieces().concat())]));
        edit::set(&mut response, "output", json!([output]));
        let completion = self.answer.completion_tokens();
        let usage = json!({
            "input_tokens": self.answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.answer.prompt_tokens.saturating_add(completion),
        });
        edit::set(&mut response, "usage", usage);
        response
    }

    /// Every event names its type twice and counts itself; there is no `[DONE]`.
    fn events(&self) -> Vec<Event> {
        let place = json!({"item_id": self.item_id(), "output_index": 0, "content_index": 0});
        let at = |name: &str, member: Value| {
            let mut event = place.clone();
            edit::set(&mut event, name, member);
            event
        };
        let text = self.pieces().concat();
        let last = if self.is_cut() {
            "response.incomplete"
        } else {
            "response.completed"
        };
        let started = self.state("in_progress");
        let finished = self.finished();
        let done = finished.pointer("/output/0").cloned();

        let mut events = vec![
            ("response.created", json!({"response": started})),
            ("response.in_progress", json!({"response": started})),
            (
                "response.output_item.added",
                json!({"output_index": 0, "item": self.item("in_progress", &json!([]))}),
            ),
            ("response.content_part.added", at("part", Self::part(""))),
        ];
        events.extend(self.pieces().iter().map(|piece| {
            let mut delta = at("delta", json!(piece));
            edit::set(&mut delta, "logprobs", json!([]));
            ("response.output_text.delta", delta)
        }));
        let mut whole = at("text", json!(text));
        edit::set(&mut whole, "logprobs", json!([]));
        events.extend([
            ("response.output_text.done", whole),
            ("response.content_part.done", at("part", Self::part(&text))),
            (
                "response.output_item.done",
                json!({"output_index": 0, "item": done}),
            ),
            (last, json!({"response": finished})),
        ]);
        let numbered = events
            .into_iter()
            .enumerate()
            .map(|(number, (name, mut event))| {
                edit::set(&mut event, "type", name);
                edit::set(&mut event, "sequence_number", number);
                Event::Named(name, event)
            });
        numbered.collect()
    }
}
