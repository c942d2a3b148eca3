"""The house rules: what ARCHITECTURE.md draws is what the code is."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

HOUSE = Path(__file__).resolve().parents[2]
PACKAGE = HOUSE / "ghostd"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
ROOMS = sorted({path.parent for path in MODULES})
TREES = {path: ast.parse(path.read_text("utf-8")) for path in MODULES}
LONGEST_MODULE, LONGEST_FUNCTION = 500, 60


def name(path: Path) -> str:
    return str(path.relative_to(HOUSE))


def tracked() -> list[str]:
    """What is, or is about to be, in Git; on a machine without Git metadata there is nothing to look at."""
    if not (HOUSE / ".git").exists():
        pytest.skip("no Git checkout")
    list_them = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(list_them, cwd=HOUSE, capture_output=True, check=True)
    return [os.fsdecode(one) for one in listed.stdout.split(b"\0") if one and (HOUSE / os.fsdecode(one)).exists()]


# --- floors -------------------------------------------------------------------------------------------------------


def lint_imports(where: Path) -> subprocess.CompletedProcess[str]:
    call = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    # Not isolated: the package of the folder that we look at has to win over the one of this checkout.
    return subprocess.run([sys.executable, "-c", call], cwd=where, capture_output=True, text=True, check=False)


def test_the_import_contracts_hold():
    done = lint_imports(HOUSE)
    assert done.returncode == 0, done.stdout + done.stderr


def copied(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGE, tmp_path / "ghostd", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(HOUSE / "pyproject.toml", tmp_path)
    return tmp_path


def test_a_new_room_without_a_floor_fails_the_build(tmp_path):
    where = copied(tmp_path)
    (where / "ghostd" / "attic").mkdir()
    (where / "ghostd" / "attic" / "__init__.py").write_text('"""Nobody gave it a floor."""\n')
    done = lint_imports(where)
    assert done.returncode == 1
    assert "ghostd.attic" in done.stdout


FORBIDDEN = {
    "a lower room imports a higher one": ("model/job.py", "ghostd.store.ports", "floors"),
    "a neighbour": ("patches/__init__.py", "ghostd.repo", "floors"),
    "config in the middle": ("pipeline/__init__.py", "ghostd.config.load", "config-at-the-top"),
    "the engine waits for processes": ("services/engine.py", "ghostd.base.process", "engine-is-small"),
    "the engine measures": ("services/engine.py", "psutil", "engine-is-small"),
    "the engine by a detour": ("supervise/engine.py", "sqlite3", "engine-is-small"),
    "a second door to the database": ("store/__init__.py", "sqlite3", "one-door-to-sqlite"),
    "a second door to processes": ("repo/__init__.py", "subprocess", "one-door-to-processes"),
    "a second door to Git": ("services/__init__.py", "pygit2", "one-door-to-git"),
    "a second door to supervisor": ("cli/output.py", "supervisor.options", "one-door-to-supervisor"),
    "the vocabulary performs": ("model/tree.py", "socket", "pure"),
}


@pytest.mark.parametrize(("module", "imported", "contract"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_forbidden_import_fails_the_build(tmp_path, module, imported, contract):
    """A contract that nothing can break is no contract."""
    names = {
        one["id"]: one["name"]
        for one in tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    }
    where = copied(tmp_path)
    with (where / "ghostd" / module).open("a") as file:
        file.write(f"\nimport {imported}\n")
    done = lint_imports(where)
    assert done.returncode == 1
    assert f"{names[contract]} BROKEN" in " ".join(done.stdout.split())


# --- furniture ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ROOMS, ids=name)
def test_a_room_has_a_door_plate_and_nothing_else_at_its_door(room):
    plate = TREES.get(room / "__init__.py")
    assert plate is not None, f"{name(room)} has no __init__.py"
    text = ast.get_docstring(plate) or ""
    assert text.split("\n")[0].endswith((".", ":", "?")), "the first line is a sentence"
    rest = [node for node in plate.body[1:] if not isinstance(node, ast.Assign)]
    assert rest == [], "a door-plate is no door: import from the module that has it"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_starts_with_a_sentence(path):
    text = ast.get_docstring(TREES[path]) or ""
    first = text.split("\n\n")[0]
    assert first.rstrip("`").endswith((".", "?", ":", "!")), f"{name(path)} does not say what it is"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_can_be_read_in_one_go(path):
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST_MODULE
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(TREES[path])
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert long == []


def test_no_module_is_called_after_nothing():
    """P1 of the style: a name says what is inside."""
    empty_names = {"util", "utils", "helper", "helpers", "manager", "common", "misc", "core"}
    assert [name(path) for path in MODULES if path.stem in empty_names] == []


# --- one door each ------------------------------------------------------------------------------------------------

DOORS = {
    "sqlite3": ("ghostd/store/db.py",),
    "subprocess": ("ghostd/base/process.py",),
    "supervisor": ("ghostd/supervise/",),
    "pygit2": ("ghostd/repo/",),
    "git": ("ghostd/repo/",),
    "gitdb": ("ghostd/repo/",),
    "pty": (),
    "pickle": (),
    "marshal": (),
    "shelve": (),
}


def imports(tree: ast.AST) -> Iterator[str]:
    """The top-level names of all imports, late ones too."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.split(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.split(".")[0]


@pytest.mark.parametrize("module", DOORS)
def test_there_is_one_door(module):
    users = [name(path) for path in MODULES if module in imports(TREES[path])]
    assert [user for user in users if not user.startswith(DOORS[module] or ("-",))] == []


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_no_shell_is_started_by_the_back_door():
    """The one shell is that of a gate's own script, as argv, through base.process."""
    banned = {"os.system", "os.popen", "os.spawnl", "os.spawnv", "eval", "exec", "os.execlp", "os.execvp"}
    found = []
    for path, tree in TREES.items():
        for function, call in calls(tree):
            # patches.apply runs nothing: there the word says that the caller runs the patch's commands, in the sandbox.
            shell = function != "apply" and any(ast.unparse(keyword) == "shell=True" for keyword in call.keywords)
            if function in banned or shell:
                found.append(f"{name(path)}:{call.lineno} {function}")
    assert found == []


def test_nobody_waits_for_any_child():
    """It steals exit statuses: a failing gate would be read as passed."""
    found = [
        f"{name(path)}:{call.lineno}"
        for path, tree in TREES.items()
        for function, call in calls(tree)
        if function in ("os.wait", "os.wait3") or (function.endswith("waitpid") and ast.unparse(call).find("(-1") > 0)
    ]
    assert found == []


def test_only_the_repo_room_runs_git():
    found = [
        f"{name(path)}:{node.lineno}"
        for path, tree in TREES.items()
        if not name(path).startswith("ghostd/repo/")
        for node in ast.walk(tree)
        if isinstance(node, (ast.List, ast.Tuple))
        and len(node.elts) > 1
        and isinstance(node.elts[0], ast.Constant)
        and node.elts[0].value == "git"
        and isinstance(getattr(node, "ctx", None), ast.Load)
        and not isinstance(node.elts[1], ast.Dict)
    ]
    assert found == []


def test_rules_perform_nothing():
    """What decides gets data and the time, and returns a value."""
    performing = {"time", "socket", "subprocess", "asyncio", "threading", "sqlite3", "shutil", "logging", "tempfile"}
    for path in MODULES:
        if path.name == "rules.py":
            assert performing & set(imports(TREES[path])) == set(), name(path)
            used = {ast.unparse(node) for node in ast.walk(TREES[path]) if isinstance(node, ast.Attribute)}
            assert {one for one in used if one.startswith("os.")} <= {"os.fsencode", "os.fsdecode"}, name(path)


# --- the checkout -------------------------------------------------------------------------------------------------

TOP = {
    ".ci",
    ".gitignore",
    "AGENTS.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "HACKING.md",
    "LICENSE",
    "Makefile",
    "justfile",
    "README.md",
    "SECURITY.md",
    "STYLE.md",
    "bench",
    "bin",
    "conf",
    "docs",
    "ghostd",
    "pyproject.toml",
    "requirements-dev.lock",
    "requirements.lock",
    "state",
    "tests",
}


def test_the_top_level_has_no_other_entries():
    assert {path.split("/")[0] for path in tracked()} - TOP == set()


def test_state_is_kept_empty():
    assert [path for path in tracked() if path.startswith("state/")] in ([], ["state/.gitignore"])


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "HACKING.md", "CHANGELOG.md"])
def test_the_pages_for_people_are_there(page):
    assert (HOUSE / page).is_file()


def test_no_file_knows_the_machine_that_it_was_written_on():
    # Put together here, so that this file does not find itself.
    paths = re.compile("|".join("/" + word + "/" for word in ("work", "root", "home/[a-z]+")).encode())
    found = []
    for path in (HOUSE / one for one in tracked()):
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found.extend(f"{path}: {match[0].decode()}" for match in paths.finditer(data) if b"\0" not in data)
    assert found == []


@pytest.mark.parametrize("launcher", ["bin/ghost", "bin/ghostd", "bin/test", ".ci/run"])
def test_a_launcher_may_be_run(launcher):
    assert os.access(HOUSE / launcher, os.X_OK)


def test_links_between_pages_lead_somewhere():
    broken = []
    for page in (HOUSE / path for path in tracked() if path.endswith(".md")):
        targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        own = [target for target in targets if not re.match(r"[a-z]+:", target)]
        broken += [f"{name(page)}: {target}" for target in own if not (page.parent / target).exists()]
    assert broken == []


# --- dependencies -------------------------------------------------------------------------------------------------


def pins(lock: str) -> dict[str, str]:
    """Name and version of everything in a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", (HOUSE / lock).read_text("utf-8"), re.MULTILINE))


def test_the_lock_file_has_every_dependency_and_the_developers_has_the_same():
    wanted = tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    names = {re.split(r"[<>=~!\[; ]", one)[0].lower().replace("_", "-") for one in wanted}
    users, developers = pins("requirements.lock"), pins("requirements-dev.lock")
    assert names <= users.keys()
    assert {one: version for one, version in users.items() if developers.get(one) != version} == {}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_everything_locked_has_a_hash(lock):
    text = (HOUSE / lock).read_text("utf-8")
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_every_linter_exception_has_its_reason():
    """`"RULE", # because …` in pyproject.toml, `# noqa: RULE - because …` in the code."""
    text = (HOUSE / "pyproject.toml").read_text("utf-8")
    block = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.flake8-annotations]")]
    assert re.findall(r'^ {2}"[A-Z]+\d*",\s*$', block, re.MULTILINE) == []
    bare = re.compile(r"# noqa(?!: [A-Z]+\d+(?:, [A-Z]+\d+)* - \S)")
    assert [name(path) for path in MODULES if bare.search(path.read_text("utf-8"))] == []


# --- commands -----------------------------------------------------------------------------------------------------


def verbs() -> list[tuple[str, str, str]]:
    from ghostd.cli import ghost, ghostd

    programs = (("ghost", ghost.VERBS), ("ghostd", ghostd.VERBS))
    return [(program, verb, where.module) for program, table in programs for verb, where in table.items()]


def commands(command: click.Command, above: str) -> Iterator[tuple[str, click.Command]]:
    yield above, command
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from commands(inner, f"{above} {inner.name}")


@pytest.mark.parametrize(("program", "verb", "module"), verbs())
def test_a_verb_shows_an_example_and_takes_json(program, verb, module):
    top = importlib.import_module(module).command
    for words, command in commands(top, f"{program} {verb}"):
        assert "Example" in (command.help or ""), f"{words} --help has no example"
        options = {option for parameter in command.params for option in parameter.opts}
        assert isinstance(command, click.Group) or {"--json", "--workspace", "-q", "-v"} <= options, words
