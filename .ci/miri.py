"""Interprets the tests of `wire/` and of the pure policies, which find undefined behaviour in what the dependencies do with memory.

An interpreted test takes a thousand times longer: properties, of many cases each, and what goes deep or long are left out.

    python3 .ci/miri.py
"""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

# Too long, as they are about what is long, deep, or true of many.
LONG = [
    "a_text_is_accepted_exactly_if_it_is_json",
    "deep_nesting_takes_no_stack",
    "an_edit_may_exceed_the_member_limit",
    "an_error_keeps_only_the_beginning_of_a_long_name",
    "a_duplicate_is_found_among_many_members_too",
    "balance::state",
    "what_is_remembered_is_bounded_and_the_latest",
    "the_memory_of_a_large_frame_is_given_back",
    "one_member_above_the_limit_is_an_error",
]
BLOCK = re.compile(r"^( *)proptest! \{$(.*?)^\1\}$", re.MULTILINE | re.DOTALL)


def properties() -> list[str]:
    files = [*SRC.glob("wire/**/*.rs"), *SRC.rglob("state.rs")]
    blocks = (block[1] for file in files for block in BLOCK.findall(file.read_text()))
    return [name for block in blocks for name in re.findall(r"^ *fn (\w+)\(", block, re.MULTILINE)]


def main() -> None:
    skipped = [word for name in LONG + properties() for word in ("--skip", name)]
    # Clocks and files are the host's.
    env = os.environ | {"MIRIFLAGS": "-Zmiri-disable-isolation", "RELAY_CORPUS": "/nowhere"}
    command = ["cargo", "+nightly", "miri", "test", "--lib", "--", "wire::", "state::tests", *skipped, *sys.argv[1:]]
    sys.exit(subprocess.run(command, cwd=ROOT, env=env).returncode)


if __name__ == "__main__":
    main()
