"""How a relay's cost grows: runs the bench `relay` over more and more of one thing, prints a table and draws a plot.

    python3 benches/growth.py            # some ten minutes; writes benches/growth.svg
    python3 benches/growth.py --rounds 1 # a look
"""

import argparse
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What grows, and the bench's arguments for each step.
SERIES = {
    "layers": [("3", ["small"]), ("6", ["small", "--six"]), ("all", ["small", "--all"])],
    "prompt": [("0.3 kB", ["small"]), ("100 kB", ["prompt"]), ("400 kB", ["large"])],
    "requests at a time": [
        ("1", ["small", "--connections", "1"]),
        ("16", ["small", "--connections", "16"]),
        ("64", ["small", "--connections", "64"]),
    ],
    "streams at a time": [("32", ["stream"]), ("512", ["streams"])],
}


def measure(arguments: list[str], rounds: int) -> dict:
    ran = subprocess.run(
        ["cargo", "bench", "--quiet", "--bench", "relay", "--", "--json", "--rounds", str(rounds), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout.strip().splitlines()[-1])


def rows(rounds: int) -> list[tuple[str, str, dict]]:
    known: dict[tuple[str, ...], dict] = {}
    found = []
    for name, steps in SERIES.items():
        for label, arguments in steps:
            key = tuple(arguments)
            if key not in known:
                known[key] = measure(arguments, rounds)
            found.append((name, label, known[key]))
    return found


def table(found: list[tuple[str, str, dict]]) -> str:
    lines = [
        "| what grows | | bare, CPU a request | relay, CPU a request | ratio | added p50 | added p99 | added to the first byte | memory a connection, bare and relay |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, label, of in found:
        bare, relay = of["bare"], of["gateway"]
        added = [f"{relay[field] - bare[field]:.0f} µs" for field in ("p50_us", "p99_us", "first_byte_p50_us")]
        memory = " and ".join(f"{side['connection_rss_kib'] or 0:.1f} KiB" for side in (bare, relay))
        cells = [name, label, f"{bare['cpu_us']:.1f} µs", f"{relay['cpu_us']:.1f} µs", f"{relay['ratio']['median']:.2f}", *added, memory]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found: list[tuple[str, str, dict]]) -> str:
    """Ratios as bars, a panel for each thing that grows."""
    top = max(of["gateway"]["ratio"]["median"] for _, _, of in found)
    width, height, bar, parts, x = 0, 160, 44, [], 20
    for name, steps in SERIES.items():
        parts.append(f'<text x="{x}" y="16" font-weight="bold">{name}</text>')
        for label, of in [(label, of) for found_name, label, of in found if found_name == name]:
            ratio = of["gateway"]["ratio"]["median"]
            tall = height * ratio / top
            y = 40 + height - tall
            parts.append(f'<rect x="{x}" y="{y:.1f}" width="{bar - 10}" height="{tall:.1f}" fill="#4477aa"/>')
            parts.append(f'<text x="{x}" y="{y - 4:.1f}">{ratio:.2f}</text>')
            parts.append(f'<text x="{x}" y="{56 + height}">{label}</text>')
            x += bar + 6
        x = max(x + 24, x + 8 * len(name) - len(steps) * (bar + 6) + 24)
        width = x
    line = 40 + height - height / top
    parts.append(f'<line x1="12" x2="{width - 12}" y1="{line:.1f}" y2="{line:.1f}" stroke="#aa3377" stroke-dasharray="4"/>')
    title = "CPU time of a relay, as a multiple of the bare proxy's (the dashed line)"
    parts.append(f'<text x="20" y="{80 + height}">{title}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + 92}" font-family="sans-serif" font-size="12">'
        f'<title>{title}</title><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=6)
    found = rows(parser.parse_args().rounds)
    print(table(found))
    (ROOT / "benches" / "growth.svg").write_text(plot(found))


if __name__ == "__main__":
    main()
