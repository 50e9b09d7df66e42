use serde_json::{Value, json};

use super::{
    answer::{Answer, Choice, Content, words},
    chat,
    failure::Failure,
    fields::Ask,
    reply::{Json, Reply, Stream},
    stream,
};

/// `POST /v1/completions`, the older API; only a single prompt is taken.
pub(super) fn respond(ask: &Ask<'_>) -> Result<Reply, Failure> {
    let fields = ask.fields;
    let include_usage = chat::include_usage(fields)?;
    let prompt = match fields.get("prompt") {
        Some(Value::Array(prompts)) if prompts.len() == 1 => {
            prompts.first().and_then(Value::as_str)
        }
        prompt => prompt.and_then(Value::as_str),
    };
    let Some(prompt) = prompt else {
        return Err(Failure::invalid(
            "prompt",
            "Invalid 'prompt': expected a string.",
        ));
    };
    let prompt_tokens = words(prompt);
    if prompt_tokens > ask.model.window {
        return Err(Failure::context_overflow(prompt_tokens, ask.model.window));
    }

    let cap = fields.output_cap()?;
    let said = chat::said_by(ask.model.id, prompt);
    let choices = (0..chat::choice_count(fields)?)
        .map(|_| Choice::text(&said, cap))
        .collect();
    let answer = Answer::new(ask, "cmpl-", prompt_tokens, choices);
    let mut base = json!({
        "id": answer.id,
        "object": "text_completion",
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": "fp_demo",
    });
    let choices = answer.choices.iter().enumerate();
    if fields.flag("stream")? {
        let turns = choices
            .map(|(index, choice)| turns(index, choice))
            .collect();
        let usage = include_usage.then(|| answer.usage());
        return Ok(Reply::Stream(Stream::new(stream::events(
            &base, turns, usage,
        ))));
    }
    let whole =
        choices.map(|(index, choice)| turn(index, &pieces(choice).concat(), Some(choice.finish)));
    super::edit::set(&mut base, "choices", whole.collect::<Vec<_>>());
    super::edit::set(&mut base, "usage", answer.usage());
    Ok(Reply::Json(Json::ok(base)))
}

fn turns(index: usize, choice: &Choice) -> Vec<Value> {
    let mut turns: Vec<_> = pieces(choice)
        .iter()
        .map(|piece| turn(index, piece, None))
        .collect();
    turns.push(turn(index, "", Some(choice.finish)));
    turns
}

fn turn(index: usize, text: &str, finish: Option<&str>) -> Value {
    json!({"index": index, "text": text, "logprobs": null, "finish_reason": finish})
}

fn pieces(choice: &Choice) -> &[String] {
    match &choice.content {
        Content::Text(pieces) => pieces,
        Content::Call(_) => &[],
    }
}
