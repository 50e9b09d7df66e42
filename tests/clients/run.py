#!/usr/bin/env python3
"""Runs the clients that people use against the gateway, and says what each found: `python3 tests/clients/run.py`.

Builds the gateway, installs the clients from their registries into directories of their own (`target/clients`), starts demo
upstreams and gateways before them, and runs

- `check.py` and `check.mjs`: the official clients, before an upstream that is exactly like OpenAI;
- `deviations.py` and `deviations.mjs`: the official Python client and Vercel's AI SDK, before one that makes the answers of
  other providers OpenAI's;
- `every_layer.py`, `every_layer.mjs`, `every_layer_langchain.py` and the tests `async_openai` of `tests/gateway`: these and LangChain
  and async-openai, through every layer at once (`examples/every_layer.toml`).
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
CLIENTS = TARGET / "clients"
PROFILE = TARGET / "debug" / "examples"

EXACT = """
[edge]
max_body = "1MiB"

[models]
unknown = "reject"

[models.aliases]
"gpt-4.1-mini" = "demo-small"
"text-embedding-3-small" = "demo-embed"

[[upstreams]]
name = "demo"
base_url = "http://{upstream}/v1"
credential = {credential}
"""

DEVIANT = """
[[upstreams]]
name = "deviant"
base_url = "http://{upstream}/v1"
credential = {{ env = "DEMO_KEY" }}
rules = [{{ models = ["deviant-mistral"], drop = ["stream_options"] }}]
normalize = {{ reasoning = "unify" }}
"""

# An environment of Python each, so that neither decides which version of the other's packages is there.
PYTHON = {"openai": "openai>=2,<4", "langchain": "langchain-openai>=1,<2"}
NODE = ["openai@7", "ai@7", "@ai-sdk/openai-compatible@3"]


def install_python(name: str) -> pathlib.Path:
    python = CLIENTS / name / "bin" / "python"
    if not python.exists():
        venv.create(CLIENTS / name, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", PYTHON[name]], check=True)
    return python


def install_node() -> pathlib.Path:
    node = CLIENTS / "node"
    node.mkdir(parents=True, exist_ok=True)
    (node / "package.json").write_text('{"private": true, "type": "module"}')
    subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", *NODE], cwd=node, check=True)
    return node


@contextlib.contextmanager
def started(*command: str, env: dict | None = None, cwd: pathlib.Path | None = None):
    """The address that a server prints as it starts; the server is stopped at the end."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
    try:
        for line in process.stdout:
            found = re.search(r"(127\.0\.0\.1:\d+)", line)
            if found and "listening" in line:
                yield found.group(1)
                return
        sys.exit(f"{command[0]} ended before it was listening: exit code {process.wait()}")
    finally:
        process.terminate()
        process.wait(timeout=20)


def every_layer(exact: str, deviant: str) -> str:
    """The example that has every layer, before these upstreams."""
    config = (ROOT / "examples" / "every_layer.toml").read_text()
    for there, here in {"127.0.0.1:9001": exact, "127.0.0.1:9002": deviant, "127.0.0.1:9090": "127.0.0.1:0"}.items():
        assert there in config, there
        config = config.replace(there, here)
    return config


def main() -> None:
    subprocess.run(
        ["cargo", "build", "--quiet", "--example", "gateway", "--example", "demo_upstream"], cwd=ROOT, check=True
    )
    python, langchain, node = install_python("openai"), install_python("langchain"), install_node()
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (directory / "target").mkdir()  # where the example keeps its files

        def demo(*options: str) -> str:
            return stack.enter_context(started(PROFILE / "demo_upstream", *options, "--listen", "127.0.0.1:0"))

        def gateway(name: str, config: str, key: str = "demo-key") -> str:
            file = directory / f"{name}.toml"
            file.write_text(config)
            command = [PROFILE / "gateway", "--config", file, "--listen", "127.0.0.1:0"]
            env = {"DEMO_KEY": key, "RELAY_ADMIN_TOKEN": "sixteen-letters-or-more", "RUST_LOG": "warn"}
            return stack.enter_context(started(*command, env=env, cwd=directory))

        exact, deviant = demo(), demo("--deviant")
        own = EXACT.format(upstream=exact, credential='{ env = "DEMO_KEY" }')
        addresses = {
            "RELAY": gateway("own", own),
            "RELAY_WRONG_KEY": gateway("wrong", own, "stale-key"),
            "RELAY_PASS_THROUGH": gateway("caller", EXACT.format(upstream=exact, credential="{ caller = true }")),
            "RELAY_DEVIANT": gateway("deviant", DEVIANT.format(upstream=deviant)),
            "RELAY_EVERY_LAYER": gateway("every_layer", every_layer(exact, deviant)),
        }
        env = {**os.environ, **{name: f"http://{address}/v1" for name, address in addresses.items()}}

        def run(*command: str | pathlib.Path, cwd: pathlib.Path = ROOT) -> None:
            subprocess.run(command, check=True, env=env, cwd=cwd)

        for name in ["check", "deviations", "every_layer"]:
            run(python, HERE / f"{name}.py")
            # Node finds packages beside the script, so the script goes to where they are.
            script = node / f"{name}.mjs"
            script.write_text((HERE / script.name).read_text())
            run("node", script)
        run(langchain, HERE / "every_layer_langchain.py")
        run("cargo", "test", "--quiet", "--test", "gateway", "async_openai", "--", "--nocapture")


if __name__ == "__main__":
    main()
