"""Counts the instructions that each layer adds to a request, and holds them to figures of the same toolchain and kind of processor.

Libraries choose their instructions by what a processor has, so that figures of another kind say nothing.

    python3 .ci/instructions.py            compares with .ci/instructions.json, with 5 % of slack
    python3 .ci/instructions.py --update   writes that file anew
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIGURES = ROOT / ".ci" / "instructions.json"
SLACK = 0.05
# Far past what is made once; the difference of the two is what so many requests take.
FEW, MANY = 500, 1500


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def program() -> str:
    built = output("cargo", "bench", "--bench", "instructions", "--no-run", "--message-format=json")
    # The crate's own program is built beside it, before or after.
    for message in map(json.loads, built.splitlines()):
        if message.get("target", {}).get("name") == "instructions" and message.get("executable"):
            return message["executable"]
    raise SystemExit("no program was built")


def instructions(path: str, layer: str, requests: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", path, layer, str(requests)]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def counted() -> dict[str, int]:
    path = program()
    counts = {}
    for layer in output(path).split():
        one = (instructions(path, layer, MANY) - instructions(path, layer, FEW)) // (MANY - FEW)
        # What the request and the answer take themselves is the first line; the others are what is added to it.
        counts[layer] = one - counts.get("identity", 0)
    return counts


def here() -> str:
    """The toolchain and the processor."""
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{output('rustc', '--version').strip()} on {found.group(1) if found else 'an unknown processor'}"


def main() -> None:
    if not shutil.which("valgrind"):
        print("skipped: no valgrind")
        return
    place = here()
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    if "--update" in sys.argv:
        FIGURES.write_text(json.dumps({"counted_by": place, "instructions": counted()}, indent=4) + "\n")
        print(FIGURES.read_text())
        return
    if known.get("counted_by") != place:
        print(f"skipped: the figures are of {known.get('counted_by', 'nowhere yet')}, and this is {place}")
        return
    slower = []
    for layer, count in counted().items():
        before = known["instructions"].get(layer, 0)
        print(f"{layer:<16} {count:>8} instructions a request, {before:>8} before")
        if count > before * (1 + SLACK):
            slower.append(layer)
    if slower:
        raise SystemExit(f"slower by more than {SLACK:.0%}: {', '.join(slower)}; where that is meant, run it with --update")


if __name__ == "__main__":
    main()
