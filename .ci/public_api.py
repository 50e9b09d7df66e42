"""Holds what is public of the crate to `.ci/public-api.txt`, by the toolchain and the tool that its first line names.

What rustdoc tells changes with both, so that others say nothing.

    python3 .ci/public_api.py            fails where something public came, went or changed
    python3 .ci/public_api.py --update   writes that file anew
"""

import difflib
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SNAPSHOT = ROOT / ".ci" / "public-api.txt"
LIST = ["cargo", "+nightly", "public-api", "--all-features", "-ss"]


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def here() -> str:
    """The tool and the toolchain; empty where one of them is not there."""
    try:
        return f"# {output('cargo', 'public-api', '--version').strip()}, {output('rustc', '+nightly', '--version').strip()}"
    except (OSError, subprocess.CalledProcessError):
        return ""


def main() -> None:
    tools = here()
    if not tools:
        print("skipped: it needs a nightly toolchain and cargo-public-api")
        return
    if "--update" in sys.argv:
        SNAPSHOT.write_text(f"{tools}\n{output(*LIST)}")
        return
    known, *expected = SNAPSHOT.read_text().splitlines()
    if known != tools:
        print(f"skipped: the list is of {known[2:]}; here are {tools[2:]}")
        return
    changes = [
        line
        for line in difflib.unified_diff(expected, output(*LIST).splitlines(), lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    if changes:
        print(*changes, sep="\n")
        sys.exit("what is public has changed: `python3 .ci/public_api.py --update`, and say so in the CHANGELOG")
    print(f"{len(expected)} lines, as they were")


if __name__ == "__main__":
    main()
