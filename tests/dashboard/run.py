#!/usr/bin/env python3
"""Opens the dashboard in a real Chromium: `python3 tests/dashboard/run.py`.

Builds the gateway, starts demo upstreams and a gateway with a rollout, budgets, limits and tenants before them, sends a known load, and runs
`check.mjs`, which drives the browser. Screenshots are left in `target/dashboard/`; with `SHOT=docs/dashboard.png` the README's is taken anew.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
EXAMPLES = TARGET / "debug" / "examples"
OUT = TARGET / "dashboard"
TOKEN = "0123456789abcdef0123456789abcdef"

CONFIG = """
[server]
shutdown_timeout = "1s"

[admin]
listen = "127.0.0.1:0"
name = "eu-1"
tokens = {{ ops = {{ env = "ADMIN_TOKEN" }} }}
baselines = ["gpt-4.1", "claude-sonnet-4.5"]

[alerts]
every = "1s"

[catalog.own.models."demo-small".prices]
input = "0.40"
output = "1.60"
[catalog.own.models."demo-large".prices]
input = "2.00"
output = "8.00"

[[tenants]]
name = "acme-web"
keys = [{{ id = "2026", sha256 = "{acme}" }}]
limits = [{{ requests = 60, per = "1m" }}, {{ tokens = 500000, per = "1m" }}]
[[tenants]]
name = "beta"
keys = [{{ id = "2026", sha256 = "{beta}" }}]
models = ["demo-small"]

[rate_limit]
limits = [{{ requests = 600, per = "1m" }}, {{ tokens = 500000, per = "1m" }}]

[[budgets]]
name = "monthly"
per = "month"
hard = "0.2"

[models]
aliases = {{ "fast" = "demo-small" }}

[cache]

[[routes]]
name = "moving"
models = ["demo-small"]
split = {{ targets = ["old", "new"] }}
rollout = {{ stages = [[70, 30], [30, 70], [0, 100]], stage_time = "30m", minimum_requests = 1000 }}

[[routes]]
name = "quick"
models = ["pooled"]
hedge = {{ targets = ["pool"], delay = "20s" }}

[[routes]]
name = "pool"
models = ["pooled"]
balance = {{ targets = ["old", "new"] }}

[[upstreams]]
name = "old"
base_url = "http://{upstream}/v1"
credential = {{ env = "DEMO_KEY" }}
aliases = {{ "pooled" = "demo-small" }}
models = ["demo-small", "demo-large"]
circuit_breaker = {{}}
commit_guard = {{}}

[[upstreams]]
name = "new"
base_url = "http://{upstream}/v1"
credential = {{ env = "DEMO_KEY" }}
aliases = {{ "pooled" = "demo-small" }}
models = ["demo-small"]
circuit_breaker = {{}}
commit_guard = {{}}

[[upstreams]]
name = "broken"
base_url = "http://127.0.0.1:9/v1"
models = ["gone"]
circuit_breaker = {{ consecutive_failures = 3 }}
"""


@contextlib.contextmanager
def started(pattern: str, *command, env: dict | None = None):
    """What `pattern` finds in what a server prints as it starts; the server is stopped at the end."""
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )
    try:
        seen = ""
        for line in process.stdout:
            seen += line
            found = re.search(pattern, seen, re.DOTALL)
            if found:
                yield found.groups()
                return
        sys.exit(f"{command[0]} ended before it was listening: exit code {process.wait()}")
    finally:
        process.terminate()
        process.wait(timeout=20)


def chromium() -> str:
    for name in ["chromium", "chromium-browser", "google-chrome"]:
        if found := shutil.which(name):
            return found
    sys.exit("there is no Chromium: apt-get install chromium")


def key_hash(key: str) -> str:
    command = [EXAMPLES / "gateway", "--hash-key"]
    return subprocess.run(command, input=key, capture_output=True, text=True, check=True).stdout.strip()


def ask(address: str, key: str, model: str, stream: bool, most: int) -> int:
    body = {"model": model, "stream": stream, "max_tokens": most, "messages": [{"role": "user", "content": "Hello there!"}]}
    request = urllib.request.Request(
        f"http://{address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            response.read()
            return response.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def load(address: str) -> None:
    """The known load: 40 answers, 10 of them streams, and refusals of four kinds."""
    for number in range(30):
        assert ask(address, "acme-key", "fast", False, 100) == 200
        if number % 3 == 0:
            assert ask(address, "beta-key", "demo-small", True, 100) == 200
    for _ in range(5):
        assert ask(address, "acme-key", "gone", False, 100) in (502, 503)
    for _ in range(3):
        assert ask(address, "stolen-key", "fast", False, 100) == 401
    assert ask(address, "beta-key", "demo-large", False, 100) == 404
    for _ in range(60):
        if ask(address, "acme-key", "demo-large", False, 100) == 429:
            break
    else:
        sys.exit("no limit refused anything")


def main() -> None:
    browser = chromium()
    command = ["cargo", "build", "--quiet", "--example", "gateway", "--example", "demo_upstream"]
    subprocess.run(command, cwd=ROOT, check=True)
    node = OUT / "node"
    node.mkdir(parents=True, exist_ok=True)
    (node / "package.json").write_text('{"private": true, "type": "module"}')
    subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", "playwright-core"], cwd=node, check=True)
    with contextlib.ExitStack() as stack:
        upstream = started(r"listening.*?(127\.0\.0\.1:\d+)", EXAMPLES / "demo_upstream", "--listen", "127.0.0.1:0")
        (upstream,) = stack.enter_context(upstream)
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = directory / "gateway.toml"
        file.write_text(CONFIG.format(upstream=upstream, acme=key_hash("acme-key"), beta=key_hash("beta-key")))
        gateway = started(
            r"listening on http://(127\.0\.0\.1:\d+).*?http://(127\.0\.0\.1:\d+)/dashboard",
            *[EXAMPLES / "gateway", "--config", file, "--listen", "127.0.0.1:0"],
            env={"DEMO_KEY": "demo-key", "ADMIN_TOKEN": TOKEN},
        )
        address, admin = stack.enter_context(gateway)
        load(address)
        # Node finds packages beside the script, so the script goes to where they are.
        script = node / "check.mjs"
        script.write_text((HERE / script.name).read_text())
        env = {**os.environ, "ADMIN": admin, "TOKEN": TOKEN, "CHROMIUM": browser, "OUT": str(OUT), "RELAY": address}
        env |= {"PROFILE": str(directory / "profile"), "CTL": str(EXAMPLES / "gateway")}
        subprocess.run(["node", script], check=True, env=env)


if __name__ == "__main__":
    main()
