"""What the official Python client must find at the gateway. Run by `run.py`, which says where that is."""

import io
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


def client(variable: str, key: str = "anything") -> openai.OpenAI:
    return openai.OpenAI(base_url=os.environ[variable], api_key=key, max_retries=0, _strict_response_validation=True)


def fails(error: type[openai.APIStatusError], status: int, code: str, call) -> None:
    try:
        call()
    except error as seen:
        assert (seen.status_code, seen.code) == (status, code), (seen.status_code, seen.code, seen.message)
        return
    raise AssertionError(f"{error.__name__} was expected")


def check_chat(relay: openai.OpenAI) -> None:
    answer = relay.chat.completions.create(model="gpt-4.1-mini", messages=HELLO)
    assert "Hello there!" in answer.choices[0].message.content, answer
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def check_stream(relay: openai.OpenAI) -> None:
    options = {"include_usage": True}
    text, usage, finish = "", None, None
    for chunk in relay.chat.completions.create(model="gpt-4.1-mini", messages=HELLO, stream=True, stream_options=options):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert "Hello there!" in text and finish == "stop" and usage.completion_tokens > 0, (text, finish, usage)


def check_tools(relay: openai.OpenAI) -> None:
    answer = relay.chat.completions.create(model="gpt-4.1-mini", messages=HELLO, tools=[WEATHER])
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls" and call.function.name == "weather", answer
    history = [*HELLO, answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    answer = relay.chat.completions.create(model="gpt-4.1-mini", messages=history, tools=[WEATHER])
    assert "21 degrees" in answer.choices[0].message.content, answer


def check_embeddings(relay: openai.OpenAI) -> None:
    answer = relay.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    assert [item.index for item in answer.data] == [0, 1] and len(answer.data[0].embedding) > 8


def check_models(relay: openai.OpenAI) -> None:
    names = [model.id for model in relay.models.list()]
    assert "gpt-4.1-mini" in names, names
    assert relay.models.retrieve("gpt-4.1-mini").object == "model"


def check_upload(relay: openai.OpenAI) -> None:
    size = 3 << 20  # three times what the edge takes of JSON
    file = relay.files.create(file=("big.jsonl", io.BytesIO(b"x" * size)), purpose="batch")
    assert file.bytes == size, file


def check_disconnect(relay: openai.OpenAI) -> None:
    for _ in range(20):
        stream = relay.chat.completions.create(model="gpt-4.1-mini", messages=HELLO, stream=True)
        next(iter(stream))
        stream.close()
    check_chat(relay)


def check_refusals(relay: openai.OpenAI) -> None:
    create = relay.chat.completions.create
    fails(openai.NotFoundError, 404, "model_not_found", lambda: create(model="gpt-9", messages=HELLO))
    fails(openai.NotFoundError, 404, "model_not_found", lambda: relay.models.retrieve("gpt-9"))
    big = [{"role": "user", "content": "x" * (1 << 20)}]
    fails(openai.APIStatusError, 413, "request_too_large", lambda: create(model="gpt-4.1-mini", messages=big))

    wrong = client("RELAY_WRONG_KEY").chat.completions.create
    fails(openai.InternalServerError, 502, "upstream_auth", lambda: wrong(model="gpt-4.1-mini", messages=HELLO))


def check_pass_through() -> None:
    check_chat(client("RELAY_PASS_THROUGH", "demo-key"))
    create = client("RELAY_PASS_THROUGH", "not-mine").chat.completions.create
    fails(openai.AuthenticationError, 401, "invalid_api_key", lambda: create(model="gpt-4.1-mini", messages=HELLO))
    create = client("RELAY_PASS_THROUGH").chat.completions.create
    nobody = {"Authorization": openai.Omit()}
    fails(
        openai.AuthenticationError,
        401,
        "missing_api_key",
        lambda: create(model="gpt-4.1-mini", messages=HELLO, extra_headers=nobody),
    )


relay = client("RELAY")
checks = [check_chat, check_stream, check_tools, check_embeddings, check_models, check_upload, check_disconnect, check_refusals]
for check in checks:
    check(relay)
check_pass_through()
print(f"openai-python {openai.__version__}: {len(checks) + 1} passed, 0 failed")
