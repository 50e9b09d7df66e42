"""What the official Python client must read, strictly, of every provider that the demo imitates. Run by `run.py`.

Thoughts come as `reasoning_content`, however the provider calls them.
"""

import os

import openai

HELLO = [{"role": "user", "content": "Hello there!"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

# Its streams end in an error on purpose.
BREAKS_OFF = "deviant-groq-tool-error"
THINKS = {"deviant-mistral", "deviant-xai"}

relay = openai.OpenAI(
    base_url=os.environ["RELAY_DEVIANT"], api_key="anything", max_retries=0, _strict_response_validation=True
)


def check_chat(model: str) -> None:
    answer = relay.chat.completions.create(model=model, messages=HELLO)
    [choice] = answer.choices
    assert "Hello there!" in choice.message.content and choice.finish_reason == "stop", answer
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer


def check_tools(model: str) -> None:
    answer = relay.chat.completions.create(model=model, messages=HELLO, tools=[WEATHER])
    [call] = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls" and call.function.name == "weather", answer
    history = [*HELLO, answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    answer = relay.chat.completions.create(model=model, messages=history, tools=[WEATHER])
    assert "21 degrees" in answer.choices[0].message.content, answer


def streamed(model: str, **request) -> tuple[str, list, list, list]:
    text, calls, reasons, usages = "", [], [], []
    options = {"include_usage": True}
    for chunk in relay.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options=options, **request
    ):
        usages += [chunk.usage] if chunk.usage else []
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
            for call in choice.delta.tool_calls or []:
                if call.index == len(calls):
                    calls.append({"id": call.id, "name": call.function.name, "arguments": ""})
                calls[call.index]["arguments"] += call.function.arguments or ""
    assert len(usages) == 1, usages
    return text, calls, reasons, usages


def check_stream(model: str) -> None:
    text, calls, reasons, _ = streamed(model)
    assert "Hello there!" in text and not calls and set(reasons) == {"stop"}, (text, calls, reasons)


def check_streamed_tools(model: str) -> None:
    _, calls, reasons, _ = streamed(model, tools=[WEATHER])
    [call] = calls
    assert call["id"] and call["name"] == "weather" and set(reasons) == {"tool_calls"}, (calls, reasons)
    assert "city" in call["arguments"], call


def check_thoughts(model: str) -> None:
    if model in THINKS:
        answer = relay.chat.completions.create(model=model, messages=HELLO)
        assert answer.choices[0].message.reasoning_content, answer


def fails(error: type[openai.APIError], call) -> openai.APIError:
    try:
        call()
    except error as seen:
        return seen
    raise AssertionError(f"{error.__name__} was expected")


def check_errors(model: str) -> None:
    create = relay.chat.completions.create
    for status, error, code in [
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (500, openai.InternalServerError, None),
    ]:
        headers = {"x-demo-status": str(status)}
        seen = fails(error, lambda: create(model=model, messages=HELLO, extra_headers=headers))
        assert code in (None, seen.code) and seen.type, (seen.code, seen.type)
        assert {"message", "type", "param", "code"} <= seen.body.keys(), seen.body
    long = [{"role": "user", "content": "word " * 9000}]
    seen = fails(openai.BadRequestError, lambda: create(model=model, messages=long))
    assert seen.type and seen.body.keys() >= {"message", "type", "param", "code"}, seen.body


def check_error_event(model: str) -> None:
    headers = {"x-demo-error-event": "2"}
    seen = fails(openai.APIError, lambda: streamed(model, extra_headers=headers))
    assert seen.type and seen.body.keys() >= {"message", "type", "param", "code"}, seen.body


def check_breaking_off(model: str) -> None:
    assert fails(openai.APIError, lambda: streamed(model)).code == "tool_use_failed"


whole = [check_chat, check_tools, check_thoughts, check_errors]
models = [model.id for model in relay.models.list()]
checks = 0
for model in models:
    streams = [check_breaking_off] if model == BREAKS_OFF else [check_stream, check_streamed_tools, check_error_event]
    for check in [*whole, *streams]:
        try:
            check(model)
        except Exception as error:
            raise AssertionError(f"{check.__name__} of {model}") from error
        checks += 1
print(f"openai-python {openai.__version__}: {len(models)} deviations read strictly, {checks} passed, 0 failed")
