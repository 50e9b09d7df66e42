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

# Its streams end in an error on purpose, and Mistral refuses to be asked for usage.
BREAKS_OFF = "deviant-groq-tool-error"
TELLS_NO_USAGE = "deviant-mistral"
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
    assert len(usages) == (model != TELLS_NO_USAGE), usages
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


def check_breaking_off(model: str) -> None:
    try:
        streamed(model)
    except openai.APIError as error:
        assert error.code == "tool_use_failed", error
        return
    raise AssertionError("a stream that breaks off was read as if it were whole")


whole = [check_chat, check_tools, check_thoughts]
models = [model.id for model in relay.models.list()]
checks = 0
for model in models:
    streams = [check_breaking_off] if model == BREAKS_OFF else [check_stream, check_streamed_tools]
    for check in [*whole, *streams]:
        try:
            check(model)
        except Exception as error:
            raise AssertionError(f"{check.__name__} of {model}") from error
        checks += 1
print(f"openai-python {openai.__version__}: {len(models)} deviations read strictly, {checks} passed, 0 failed")
