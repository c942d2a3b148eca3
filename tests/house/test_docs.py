"""The pages for people name what is there: every command and option, every page, every script."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ghostd.bridges import fences
from ghostd.cli import ghost, ghostd

HOUSE = Path(__file__).resolve().parents[2]
DOCS = HOUSE / "docs"
PAGES = sorted({*HOUSE.glob("*.md"), *DOCS.rglob("*.md"), *(HOUSE / "bench").glob("*.md")})
PROGRAMS = {"ghost": ghost.VERBS, "ghostd": ghostd.VERBS}
#: What stands behind the fence of a block that may show commands.
SHOWING = ("", "sh", "console", "text")
_INLINE = re.compile(r"`((?:bin/)?ghostd? [^`\n]+)`")
_COMMAND = re.compile(r"(?:^|&& |\| |\$ )(?:bin/)?(ghostd?) (?! )([^#|&\n]*)", re.MULTILINE)


def commands(page: Path) -> Iterator[tuple[str, str]]:
    """Program and arguments of every command that a page shows, in a block or in a sentence."""
    text = page.read_text("utf-8")
    blocks = [block.text.decode() for block in fences.scan(text.encode()) if block.info in SHOWING]
    for shown in (*blocks, *_INLINE.findall(text)):
        for found in _COMMAND.finditer(shown):
            yield found[1], found[2].strip()


def complaint(program: str, arguments: str) -> str | None:
    """What the program itself would say of these arguments; None where it knows verb and options."""
    words = [word.strip("[]") for word in shlex.split(arguments)]
    if not words or words[0].startswith("-"):
        return None
    verb, *rest = words
    if verb not in PROGRAMS[program]:
        return "no such verb"
    command = importlib.import_module(PROGRAMS[program][verb].module).command
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return f"{verb} has no {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    try:
        command.make_parser(click.Context(command, help_option_names=["-h", "--help"])).parse_args(rest)
    except click.UsageError as error:
        return error.format_message()
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))
def test_every_command_on_a_page_is_one(page):
    told = {f"{program} {arguments}": complaint(program, arguments) for program, arguments in commands(page)}
    assert {shown: why for shown, why in told.items() if why} == {}


def test_a_wrong_command_would_be_found():
    assert complaint("ghost", "nothing x.yaml") == "no such verb"
    assert "No such option" in str(complaint("ghost", "apply x.yaml --dry"))
    assert complaint("ghost", "queue hide x") == "queue has no hide"
    assert complaint("ghost", "cache clear [GATE]") is None
    assert len(list(commands(HOUSE / "README.md"))) > len(PROGRAMS)


def links(page: Path) -> set[Path]:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
    return {(page.parent / target).resolve() for target in targets if ":" not in target}


def test_the_map_of_the_docs_has_every_page():
    assert set(DOCS.rglob("*.md")) - {DOCS / "README.md"} - links(DOCS / "README.md") == set()


def test_decisions_are_numbered_without_a_gap():
    numbers = sorted(int(page.name[:4]) for page in (DOCS / "adr").glob("*.md"))
    assert numbers == [*range(1, len(numbers) + 1)]
    for page in (DOCS / "adr").glob("*.md"):
        assert page.read_text("utf-8").startswith(f"# {int(page.name[:4])}. "), page.name


def test_the_table_of_benchmarks_has_every_script():
    table = set(re.findall(r"^\| `(\w+\.py)` \|", (HOUSE / "bench" / "README.md").read_text("utf-8"), re.MULTILINE))
    assert table == {script.name for script in (HOUSE / "bench").glob("*.py")}


def test_every_file_that_a_page_names_is_there():
    """By its name or the end of its path; `<name>.py` stands for any."""
    there = [
        f"/{path.relative_to(HOUSE)}"
        for folder in ("ghostd", "bench", "tests")
        for path in (HOUSE / folder).rglob("*.py")
    ]
    for page in (*HOUSE.glob("*.md"), *(DOCS / "adr").glob("*.md")):
        named = re.findall(r"`((?:[\w.-]+/)*[\w-]+\.py)`", page.read_text("utf-8"))
        assert [name for name in named if not any(path.endswith(f"/{name}") for path in there)] == [], page.name
