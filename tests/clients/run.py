#!/usr/bin/env python3
"""Runs the official OpenAI clients, and Vercel's AI SDK, against the gateway: `python3 tests/clients/run.py`.

Builds the gateway, installs the clients from their registries into a directory of their own (`target/clients`), starts demo
upstreams and gateways before them, and runs `check.py` and `check.mjs`, then `deviations.py` and `deviations.mjs` against one that
makes the answers of other providers OpenAI's.
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
CLIENTS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "clients"
PROFILE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "examples"

CONFIG = """
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

PACKAGES = ["openai", "ai", "@ai-sdk/openai-compatible"]


def install() -> tuple[pathlib.Path, pathlib.Path]:
    python = CLIENTS / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(CLIENTS / "venv", with_pip=True)
    packages = ["openai>=2,<4"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    node = CLIENTS / "node"
    node.mkdir(parents=True, exist_ok=True)
    (node / "package.json").write_text('{"private": true, "type": "module"}')
    subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", *PACKAGES], cwd=node, check=True)
    return python, node


@contextlib.contextmanager
def started(*command: str, env: dict | None = None):
    """The address that a server prints as it starts; the server is stopped at the end."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
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


def main() -> None:
    subprocess.run(
        ["cargo", "build", "--quiet", "--example", "gateway", "--example", "demo_upstream"], cwd=ROOT, check=True
    )
    python, node = install()
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(started(PROFILE / "demo_upstream", "--listen", "127.0.0.1:0"))
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))

        deviant = stack.enter_context(started(PROFILE / "demo_upstream", "--deviant", "--listen", "127.0.0.1:0"))

        def gateway(name: str, credential: str, key: str = "") -> str:
            return run(name, CONFIG.format(upstream=upstream, credential=credential), key)

        def run(name: str, config: str, key: str) -> str:
            file = directory / f"{name}.toml"
            file.write_text(config)
            command = [PROFILE / "gateway", "--config", file, "--listen", "127.0.0.1:0"]
            return stack.enter_context(started(*command, env={"DEMO_KEY": key}))

        addresses = {
            "RELAY": gateway("own", '{ env = "DEMO_KEY" }', "demo-key"),
            "RELAY_WRONG_KEY": gateway("wrong", '{ env = "DEMO_KEY" }', "stale-key"),
            "RELAY_PASS_THROUGH": gateway("caller", "{ caller = true }"),
            "RELAY_DEVIANT": run("deviant", DEVIANT.format(upstream=deviant), "demo-key"),
        }
        env = {**os.environ, **{name: f"http://{address}/v1" for name, address in addresses.items()}}
        for name in ["check", "deviations"]:
            subprocess.run([python, HERE / f"{name}.py"], check=True, env=env)
            # Node finds packages beside the script, so the script goes to where they are.
            script = node / f"{name}.mjs"
            script.write_text((HERE / script.name).read_text())
            subprocess.run(["node", script], check=True, env=env)


if __name__ == "__main__":
    main()
