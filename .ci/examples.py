"""Runs every example that ends by itself; those that serve are started by other steps."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVING = {"gateway", "demo_upstream"}
ARGUMENTS = {
    "replay": ["examples/golden-sample.jsonl"],
    "audit_report": ["examples/audit-sample.jsonl"],
    "shadow_report": ["examples/shadow-sample.jsonl"],
}


def main() -> None:
    found = [path.stem for path in (ROOT / "examples").glob("*.rs")]
    found += [path.parent.name for path in (ROOT / "examples").glob("*/main.rs")]
    names = sorted(found)
    ending = [name for name in names if name not in SERVING]
    for name in ending:
        ran = subprocess.run(
            ["cargo", "run", "--quiet", "--example", name, "--", *ARGUMENTS.get(name, [])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if ran.returncode != 0:
            sys.exit(f"example {name} failed with {ran.returncode}:\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}")
        print(f"{name}: ok")
    print(f"examples: {len(ending)} passed, 0 failed")


if __name__ == "__main__":
    main()
