"""What LangChain must find at a gateway that has every layer on. Run by `run.py`, which says where that is."""

import importlib.metadata
import os

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

HELLO = HumanMessage("Hello there!")
MODEL = "gpt-4.1-mini"


def model(name: str = MODEL, key: str = "sk-every-layer", **more) -> ChatOpenAI:
    url = os.environ["RELAY_EVERY_LAYER"]
    return ChatOpenAI(model=name, base_url=url, api_key=key, max_retries=0, **more)


@tool
def weather(city: str) -> str:
    """What the weather is like."""
    return f"21 degrees in {city}"


def check_chat() -> None:
    answer = model().invoke([HELLO])
    assert "Hello there!" in answer.content, answer
    assert answer.response_metadata["finish_reason"] == "stop", answer
    usage = answer.usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0, usage


def check_stream() -> None:
    chunks = list(model(stream_usage=True).stream([HELLO]))
    assert len(chunks) > 2, chunks
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert "Hello there!" in whole.content and whole.usage_metadata["output_tokens"] > 0, whole


def check_tool_call() -> None:
    bound = model().bind_tools([weather])
    answer = bound.invoke([HELLO])
    [call] = answer.tool_calls
    assert call["name"] == "weather" and isinstance(call["args"]["city"], str), answer
    result: ToolMessage = weather.invoke(call)
    answer = bound.invoke([HELLO, answer, result])
    assert "21 degrees" in answer.content, answer


def check_error() -> None:
    for error, code, call in [
        (openai.NotFoundError, "model_not_found", model("gpt-9").invoke),
        (openai.AuthenticationError, "invalid_api_key", model(key="sk-of-nobody").invoke),
        (openai.BadRequestError, None, model(default_headers={"x-demo-status": "400"}).invoke),
    ]:
        try:
            call([HELLO])
        except error as seen:
            assert seen.code == code, (seen.code, seen.message)
        else:
            raise AssertionError(f"{error.__name__} was expected")


checks = [check_chat, check_stream, check_tool_call, check_error]
for check in checks:
    # The rollout sends one in two to either side: both have to be right.
    for _ in range(4):
        check()
names = ", ".join(check.__name__.removeprefix("check_") for check in checks)
print(f"langchain-openai {importlib.metadata.version('langchain-openai')} through every layer: {names}")
