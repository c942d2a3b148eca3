"""What it costs to read a patch: text → Patch, and to convert one: text → Patch → text of another format.

The text is about 4 KB: one patch of each format, as JSON and as YAML, made from the same few files.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from ghostd.model.patch import Format
from ghostd.patches import strict_yaml
from ghostd.patches.convert import convert, dump
from ghostd.patches.read import read_patch

COMMAND = "python3 tools/make.py --part {0} --out build/part{0}.txt --check --source src/parts/{0}.in"
LINE = "    value = transform(source[{0}], key='{0}')  # a line of a program, with \"quotes\"\n"


def program(lines: int) -> str:
    return "def run(source):\n" + "".join(LINE.format(n) for n in range(lines))


def samples(lines: int) -> dict[Format, dict[str, Any]]:
    """One patch of each format."""
    text = program(lines)
    files = [{"path": f"src/module_{n}.py", "contents": program(lines // 4)} for n in range(4)]
    replaced = {"op": "replace", "path": "a.py", "search": "source[1]", "replace": "source[2]"}
    name = "patch-v1.2.3(P1.2.3)_bench"
    notes = {"description": "Read me quickly", "author": "gpt", "phase": "P1.2.3"}
    return {
        Format.UNIFIED: {
            "id": name,
            "type": "unified",
            "metadata": notes,
            "content": {"mutations": [*files, replaced]},
        },
        Format.WEBHOOK: {"id": name, "role": "r", "target_file": "src/app.py", "patch": text, "description": "d"},
        Format.EXECUTOR: {"id": name, "version": "v1", "mutations": files, "validate": {"shell": ["pytest -q"]}},
        Format.G2O: {"patch": {"id": name, "kind": "feature", "execution": [COMMAND.format(n) for n in range(lines)]}},
    }


def timed(action: Callable[[], object], rounds: int) -> list[float]:
    """Milliseconds of each round."""
    action()
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        action()
        taken.append((time.perf_counter() - begun) * 1000)
    return sorted(taken)


def row(name: str, size: int, taken: list[float]) -> None:
    spread = f"{taken[0]:8.3f} {statistics.median(taken):8.3f} {taken[-1]:8.3f}"
    print(f"{name:<34} {size:>7} {spread}")


def both(text: bytes, to: Format) -> Callable[[], object]:
    return lambda: dump(convert(read_patch(text), to), style="json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--lines", type=int, default=44, help="of program text in a patch: 44 make 4 KB")
    asked = parser.parse_args()
    print(f"libyaml: {'yes' if strict_yaml.NATIVE else 'no, the pure-Python reader'}; milliseconds")
    print(f"{'':<34} {'bytes':>7} {'min':>8} {'median':>8} {'max':>8}")
    for form, mapping in samples(asked.lines).items():
        for style in ("json", "yaml"):
            text = dump(json.loads(json.dumps(mapping)), style=style)  # type: ignore[arg-type]
            row(f"read {form} {style}", len(text), timed(lambda text=text: read_patch(text), asked.rounds))
            to = Format.EXECUTOR if form is Format.UNIFIED else Format.UNIFIED
            row(f"read and convert {form} {style}", len(text), timed(both(text, to), asked.rounds))


if __name__ == "__main__":
    main()
