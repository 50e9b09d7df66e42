use serde_json::{Value, json};

use super::{
    answer::{Answer, Choice, Content, echo, words},
    failure::Failure,
    fields::{Ask, Fields, text_of},
    reply::{Json, Reply, Stream},
    stream, tools,
};

const MAX_CHOICES: u64 = 4;

/// `POST /v1/chat/completions`.
pub(super) fn respond(ask: &Ask<'_>) -> Result<Reply, Failure> {
    if ask.model.embeds {
        return Err(Failure {
            param: Some("model"),
            ..Failure::new(
                http::StatusCode::NOT_FOUND,
                "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
            )
        });
    }
    if let Some(failure) = (ask.model.deviation.refuse)(ask.fields) {
        return Err(failure);
    }
    let include_usage = include_usage(ask.fields)?;
    let answer = answer(ask)?;
    if ask.fields.flag("stream")? {
        let mut reply = Stream::new(stream::chat(&answer, include_usage));
        (ask.model.deviation.stream)(&answer, &mut reply);
        Ok(Reply::Stream(reply))
    } else {
        let mut reply = Json::ok(completion(&answer));
        (ask.model.deviation.completion)(&answer, &mut reply);
        Ok(Reply::Json(reply))
    }
}

/// Whether a stream ends with a usage chunk.
pub(super) fn include_usage(fields: Fields<'_>) -> Result<bool, Failure> {
    let Some(options) = fields.object("stream_options")? else {
        return Ok(false);
    };
    if !fields.flag("stream")? {
        return Err(Failure::invalid(
            "stream_options",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        ));
    }
    options.flag("include_usage")
}

/// How many choices are asked for.
pub(super) fn choice_count(fields: Fields<'_>) -> Result<u64, Failure> {
    Ok(fields.integer("n", 1..=MAX_CHOICES)?.unwrap_or(1))
}

fn answer(ask: &Ask<'_>) -> Result<Answer, Failure> {
    let fields = ask.fields;
    let messages = fields.list("messages")?.unwrap_or_default();
    let Some(last) = messages.last() else {
        return Err(Failure::invalid(
            "messages",
            "Invalid 'messages': expected at least one message.",
        ));
    };
    let prompt = messages
        .iter()
        .map(|message| words(&text_of(message.get("content"))))
        .sum();
    if prompt > ask.model.window {
        return Err(Failure::context_overflow(prompt, ask.model.window));
    }

    let cap = fields.output_cap()?;
    let tool = tools::chosen(fields, last)?;
    let choice = |index: u64| match tool {
        Some(tool) => {
            let id: String = ask.hash.chars().take(16).collect();
            Choice::call(
                format!("call_{id}{index}"),
                tool.name,
                &tool.arguments(),
                cap,
            )
        }
        None => Choice::text(&text(ask, messages, last, index), cap),
    };
    let choices = (0..choice_count(fields)?).map(choice).collect();
    Ok(Answer::new(ask, "chatcmpl-", prompt, choices))
}

fn text(ask: &Ask<'_>, messages: &[Value], last: &Value, index: u64) -> String {
    let said = if last.get("role").is_some_and(|role| role == "tool") {
        format!("The tool answered: {}", echo(&text_of(last.get("content"))))
    } else {
        let asked = messages
            .iter()
            .rfind(|message| message.get("role").is_some_and(|role| role == "user"));
        let asked = text_of(asked.and_then(|message| message.get("content")));
        said_by(ask.model.id, &asked)
    };
    let said = if index == 0 {
        said
    } else {
        format!("Choice {}: {said}", index.saturating_add(1))
    };
    match tools::response_format(ask.fields) {
        Some(format) => format.json(&said).to_string(),
        None => said,
    }
}

/// The sentence that answers `asked`.
pub(super) fn said_by(model: &str, asked: &str) -> String {
    format!("This is {model}, a demo. You said: {}", echo(asked))
}

fn completion(answer: &Answer) -> Value {
    let choices = answer.choices.iter().enumerate().map(|(index, choice)| {
        let message = match &choice.content {
            Content::Text(pieces) => json!({
                "role": "assistant", "content": pieces.concat(), "refusal": null, "annotations": [],
            }),
            Content::Call(call) => json!({
                "role": "assistant", "content": null, "refusal": null, "annotations": [],
                "tool_calls": [{
                    "id": call.id, "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments.concat()},
                }],
            }),
        };
        json!({"index": index, "message": message, "logprobs": null, "finish_reason": choice.finish})
    });
    json!({
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": choices.collect::<Vec<_>>(),
        "usage": answer.usage(),
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    })
}
