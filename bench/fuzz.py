"""Coverage-guided fuzzing of the readers, by hand and for as long as it is let; a crash is written to a file.

It needs atheris, which is no dependency of the project: `.venv/bin/pip install atheris`, then for ten minutes
`.venv/bin/python bench/fuzz.py patch -max_total_time=600 -rss_limit_mb=300 CORPUS_FOLDER`. The first word says what is
fed: patch, diff, parts, json, fences. What is behind it goes to libFuzzer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from ghostd.base.errors import Cannot
from ghostd.bridges import fences
from ghostd.model.patch import JsonPatch
from ghostd.patches import blocks, v4a
from ghostd.patches.diff import BadDiffError, parse
from ghostd.patches.json_edit import edit_json
from ghostd.patches.read import from_canonical, inspect, recognised

_STEPS = (
    {"op": "add", "path": "/a", "value": {"b": [1, 2.5, "é"]}},
    {"op": "copy", "from": "/a", "path": "/c"},
    {"op": "remove", "path": "/a/b/0"},
)


def patch(data: bytes) -> None:
    recognised(data)
    for report in inspect(data, allow_shell=True):
        if report.patch is not None and from_canonical(report.patch.canonical).digest != report.patch.digest:
            raise AssertionError("the canonical bytes read back as another patch")


def diff(data: bytes) -> None:
    try:
        parse(data)
    except BadDiffError:
        return


def parts(data: bytes) -> None:
    v4a.check(data)
    blocks.check(data)


def json_file(data: bytes) -> None:
    try:
        after = edit_json(data, JsonPatch(path=b"a.json", operations=_STEPS), None)
    except Cannot:
        return
    json.loads(after.decode().removeprefix("\ufeff"))


def transcript(data: bytes) -> None:
    fences.survey(data)


FED: dict[str, Callable[[bytes], None]] = {
    "patch": patch, "diff": diff, "parts": parts, "json": json_file, "fences": transcript,
}  # fmt: skip


def main() -> None:
    try:
        import atheris  # type: ignore[import-not-found]  # only for those who fuzz
    except ImportError:
        sys.exit(f"fuzz: atheris is missing\n\n{__doc__}")
    if len(sys.argv) < 2 or sys.argv[1] not in FED:  # noqa: PLR2004 - the program and one word
        sys.exit(f"fuzz: the first word has to be one of {', '.join(FED)}")
    fed = FED[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, fed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
