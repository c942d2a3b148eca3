"""Texts made to be dear to read, 256 KB each; run as a program, it reads each and tells what that cost as JSON lines.

It is a program of its own so that a limit on memory, or a loop without end, ends it and not the tests.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from memory_tree import MemoryTree

from ghostd.base.errors import Cannot
from ghostd.patches.apply import apply
from ghostd.patches.read import inspect, recognised

SIZE = 256 << 10
#: Memory that reading one of them may take beyond what the program has at its start.
ROOM = 200 << 20
HALF = SIZE // 2


def much(text: str, size: int = SIZE) -> str:
    return (text * (size // len(text) + 1))[:size]


def whole(*mutations: dict[str, Any]) -> str:
    return json.dumps({"id": "p", "type": "unified", "content": {"mutations": list(mutations)}})


def several(make: Callable[[int], dict[str, Any]], each: int) -> str:
    return whole(*(make(n) for n in range(SIZE // each)))


def listed(item: str) -> str:
    return '{"id":"p","type":"unified","content":{"mutations":[' + ",".join([item] * (SIZE // (len(item) + 1))) + "]}}"


def diff(text: str, path: str | None = None) -> str:
    return whole({"op": "diff", "diff": text, **({"path": path} if path else {})})


def searched(text: str) -> str:
    return whole({"op": "replace", "path": "big", "search": text, "replace": ""})


def parts(text: str) -> str:
    return whole({"op": "apply_patch", "patch": f"*** Begin Patch\n{text}*** End Patch\n"})


def pattern(text: str) -> str:
    return whole({"op": "regex", "path": "a", "pattern": text, "replacement": ""})


def steps(make: Callable[[int], dict[str, Any]], path: str = "j", count: int = SIZE // 45) -> str:
    return whole({"op": "json", "path": path, "patch": [make(n) for n in range(count)]})


FILE = "--- a/x\n+++ b/x\n"
BINARY = "diff --git a/x b/x\nindex " + "1" * 40 + ".." + "2" * 40 + "\nGIT binary patch\nliteral 64000000\n"
BLOCK = "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n"
UNKNOWN = {"id": "p", "mutations": []}
ALL = list(range(40_000))

BOMBS: dict[str, Callable[[], str]] = {
    "json lists in lists": lambda: "[" * SIZE,
    "json mappings in mappings": lambda: much('{"a":'),
    "json many keys": lambda: json.dumps({f"k{n}": 1 for n in range(SIZE // 10)}),
    "json a long number": lambda: '{"id":' + "9" * SIZE + "}",
    "json a long fraction": lambda: '{"id":1.' + "9" * SIZE + "}",
    "json cut short": lambda: listed('{"path":"a","contents":"x"}')[:-3],
    "json a key twice": lambda: '{"id":"p",' + much('"a":1,') + '"a":1}',
    "json unknown keys": lambda: json.dumps(UNKNOWN | {f"gates{n}": 1 for n in range(SIZE // 14)}),
    "json mutations that are none": lambda: listed("1"),
    "json mutations without anything": lambda: listed("{}"),
    "json unknown ops": lambda: listed('{"op":"x"}'),
    "json halves of pairs": lambda: '{"id":"p","mutations":[' + much('"\\ud800",') + "]}",
    "yaml lists in lists": lambda: much("["),
    "yaml mappings in mappings": lambda: much("{a: "),
    "yaml documents": lambda: much("--- a\n"),
    "yaml elements": lambda: much("- a\n"),
    "yaml indents": lambda: "\n".join(" " * n + "a:" for n in range(700)),
    "yaml anchors and aliases": lambda: "a: &x [1]\n" + much("b: *x\n"),
    "yaml merges": lambda: much("<<: {a: 1}\n"),
    "yaml a long plain text": lambda: "a: " + much("x "),
    "yaml questions": lambda: much("? "),
    "yaml dashes": lambda: much("- "),
    "yaml colons": lambda: much(": "),
    "yaml a long hex number": lambda: "a: 0x" + much("f"),
    "yaml a block of blank lines": lambda: "a: |\n" + much("\n  x\n"),
    "diff hunks": lambda: diff(FILE + much("@@ -1 +1 @@\n-a\n+b\n", HALF)),
    "diff heads": lambda: diff(much("diff --git a/x b/x\n", HALF)),
    "diff names": lambda: diff(much("--- a\n+++ b\n", HALF)),
    "diff bare heads": lambda: diff(much("@@\n", HALF)),
    "diff quotes": lambda: diff('diff --git "' + much('\\"', SIZE // 4)),
    "diff quotes at the end": lambda: diff("diff --git x" + much(' "\\', SIZE // 4) + '"'),
    "diff blanks": lambda: diff("diff --git " + much("a ", HALF)),
    "diff binary": lambda: diff(BINARY + much("zcmZQz7zLvtFd71*Aut*OqaiRF0;3@?\n", HALF) + "\n"),
    "diff wrong counts": lambda: diff(FILE + much("@@ -1,99999 +1,9 @@\n-a\n", HALF)),
    "diff of one repeated line": lambda: diff("@@\n" + much(" x\n", HALF) + "-q\n+b\n", "big"),
    "search of one repeated line": lambda: searched(much("x\n", HALF) + "z"),
    "search with other blanks": lambda: searched(much("x \n", HALF)),
    "v4a chunks": lambda: parts("*** Update File: big\n" + "@@\n-x\n+y\n" * (HALF // 9)),
    "v4a files": lambda: parts("".join(f"*** Add File: a{n}\n+y\n" for n in range(HALF // 24))),
    "blocks open": lambda: whole({"op": "blocks", "text": much("<<<<<<< SEARCH\n", HALF)}),
    "blocks of one repeated line": lambda: whole({"op": "blocks", "text": "big\n" + BLOCK * (HALF // len(BLOCK))}),
    "regex of brackets": lambda: pattern("(" * 9000),
    "regex that goes back": lambda: pattern("(?:x|x)+$"),
    "regexes": lambda: several(lambda n: json.loads(pattern(f"(?:x|x)+y{n}$"))["content"]["mutations"][0], 70),
    "inserts": lambda: several(lambda n: {"op": "insert", "path": "big", "line": n + 1, "contents": "q\n"}, 60),
    "deep paths": lambda: several(lambda n: {"path": "a/" * 100 + str(n), "contents": ""}, 240),
    "renames": lambda: several(lambda n: {"op": "rename", "path": f"a{n}", "to": f"a{n + 1}"}, 45),
    "json op many keys": lambda: steps(lambda n: {"op": "add", "path": f"/{n}", "value": n}),
    "json op copies of copies": lambda: steps(lambda n: {"op": "copy", "from": "", "path": f"/{n}"}),
    "json op test of all": lambda: steps(lambda _: {"op": "test", "path": "", "value": ALL}, "big.json", 1),
    "g2o commands": lambda: '{"patch":{"id":"p","kind":"test","execution":[' + ",".join(['"a"'] * (SIZE // 4)) + "]}}",
    "markers": lambda: much('"mutations": '),
    "blanks": lambda: "mutations:" + " " * SIZE,
    "nothing but NUL": lambda: "\0" * SIZE,
}


def tree() -> MemoryTree:
    files = {
        "a": b"x" * 40 + b"!",
        "j": b"{}",
        "big": b"x\n" * HALF,
        "x": b"a\n",
        "a0": b"",
        "big.json": json.dumps(ALL).encode(),
    }
    return MemoryTree({name.encode(): data for name, data in files.items()})


def told(name: str) -> dict[str, Any]:
    """What reading and applying one bomb cost: CPU seconds for 256 KB, and how it ended."""
    data = BOMBS[name]().encode()
    begun = time.process_time()
    recognised(data)
    (report, *_) = inspect(data)
    end = "unreadable" if report.patch is None else _applied(report.patch)
    seconds = (time.process_time() - begun) * SIZE / max(len(data), SIZE)
    return {"name": name, "seconds": seconds, "end": end, "bytes": len(data)}


def _applied(patch: Any) -> str:
    try:
        apply(tree(), patch)
    except Cannot as refused:
        json.dumps(refused.as_json())
        return refused.kind
    return "applied"


def _limits() -> Iterator[tuple[int, int]]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    yield resource.RLIMIT_AS, pages * resource.getpagesize() + ROOM
    yield resource.RLIMIT_CPU, 120


def main() -> None:
    for kind, most in _limits():
        resource.setrlimit(kind, (most, most))
    for name in sys.argv[1:] or BOMBS:
        print(json.dumps(told(name)), flush=True)


if __name__ == "__main__":
    main()
