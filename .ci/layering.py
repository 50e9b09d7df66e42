"""Checks the rules of the house that no compiler checks: which room may use which."""

import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parent.parent / "src"

# The shared rooms, and what each may use of the others. `gateway` and `lib.rs` may use everything.
SHARED = {
    "wire": set(),
    "timer": set(),
    "random": set(),
    "sync": set(),
    "message": {"wire", "timer", "random"},
    "stats": {"wire", "message", "sync"},
    "key": {"wire", "message"},
    "worker": set(),
    "control": {"message"},
    "ledger": {"wire", "message", "key", "worker"},
    "reserve": {"wire", "message", "key", "stats", "sync", "worker"},
}
SHARED_ROOMS = set(SHARED)
EDGES = {"client", "server"}


def room(path: pathlib.Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".rs")


def code(text: str) -> str:
    """The code of a file, without comments and without its tests at the end."""
    text = re.split(r"^#\[cfg\(test\)\]\nmod tests \{", text, maxsplit=1, flags=re.MULTILINE)[0]
    return re.sub(r"//.*", "", text)


def uses(text: str) -> set[str]:
    found = set(re.findall(r"\bcrate::(\w+)", text))
    for group in re.findall(r"\bcrate::\{(.*?)\};", text, flags=re.DOTALL):
        depth, name = 0, ""
        for char in group + ",":
            if char == "{":
                depth += 1
            elif char == "}":
                depth -= 1
            elif char == "," and depth == 0:
                found.add(re.split(r"\W", name.strip())[0])
                name = ""
                continue
            if depth == 0:
                name += char
    return found - {""}


def main() -> None:
    wrong = []
    for path in sorted(SRC.rglob("*.rs")):
        here = room(path)
        if here in {"lib", "gateway", "bin"} or "tests" in path.parts or path.name == "tests.rs":
            continue
        allowed = SHARED.get(here, SHARED_ROOMS | (EDGES if here in EDGES else {"client"})) | {here}
        for used in sorted(uses(code(path.read_text())) - allowed):
            wrong.append(f"{path.relative_to(SRC.parent)}: {here} may not use {used}")
    if wrong:
        sys.exit("\n".join(wrong))
    print("layering: 1 passed, 0 failed")


if __name__ == "__main__":
    main()
