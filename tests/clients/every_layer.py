"""What the official Python client must find at a gateway that has every layer on. Run by `run.py`, which says where that is."""

import itertools
import json
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
MODEL = "gpt-4.1-mini"
SEEDS = itertools.count()


def client(key: str = "sk-every-layer") -> openai.OpenAI:
    url = os.environ["RELAY_EVERY_LAYER"]
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0, _strict_response_validation=True)


relay = client()


def check_chat() -> None:
    answer = relay.chat.completions.create(model=MODEL, messages=HELLO)
    assert "Hello there!" in answer.choices[0].message.content, answer
    assert (answer.model, answer.choices[0].finish_reason) == (MODEL, "stop"), answer
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer


def check_stream() -> None:
    text, finish = "", None
    stream = relay.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    for chunk in stream:
        assert chunk.usage is None, "usage that was not asked for"
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert "Hello there!" in text and finish == "stop", (text, finish)


def check_tool_call() -> None:
    answer = relay.chat.completions.create(model=MODEL, messages=HELLO, tools=[WEATHER])
    [call] = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls" and call.function.name == "weather", answer
    assert "city" in json.loads(call.function.arguments), call
    history = [*HELLO, answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]
    answer = relay.chat.completions.create(model=MODEL, messages=history, tools=[WEATHER])
    assert "21 degrees" in answer.choices[0].message.content, answer


def check_error() -> None:
    own = {"x-demo-status": "400"}
    for error, status, code, call in [
        (openai.NotFoundError, 404, "model_not_found", lambda: ask(relay, model="gpt-9")),
        (openai.AuthenticationError, 401, "invalid_api_key", lambda: ask(client("sk-of-nobody"))),
        (openai.BadRequestError, 400, None, lambda: ask(relay, extra_headers=own)),
    ]:
        try:
            call()
        except error as seen:
            assert (seen.status_code, seen.code) == (status, code), (seen.status_code, seen.code, seen.message)
        else:
            raise AssertionError(f"{error.__name__} was expected")


def ask(relay: openai.OpenAI, **request):
    return relay.chat.completions.create(**{"model": MODEL, "messages": HELLO, **request})


def check_what_layers_say() -> None:
    """Layers that answers show nothing of by themselves: the cache, the bill, the budget, the limits."""
    create = relay.chat.completions.with_raw_response.create
    request = {"model": "auto", "messages": HELLO, "temperature": 0, "seed": next(SEEDS)}
    first, second = create(**request).headers, create(**request).headers
    assert (first["x-relay-cache"], second["x-relay-cache"]) == ("miss", "hit"), (first, second)
    assert float(first["x-relay-cost-usd"]) > 0, first
    for name in ["x-relay-upstream", "x-relay-request-id", "x-relay-budget-warning", "x-ratelimit-remaining-requests"]:
        assert name in first, (name, first)


checks = [check_chat, check_stream, check_tool_call, check_error, check_what_layers_say]
for check in checks:
    # The rollout sends one in two to either side: both have to be right.
    for _ in range(4):
        check()
names = ", ".join(check.__name__.removeprefix("check_") for check in checks)
print(f"openai-python {openai.__version__} through every layer: {names}")
