"""Ready-made gates: what a project of a kind runs anyway, so that `preset = "ruff"` is a whole gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghostd.model.service import Limits
from ghostd.model.settings import MIB, GateSettings

_PYTHON = ("**/*.py", "**/*.pyi", "pyproject.toml", "setup.cfg")
_SCRIPT = ("**/*.ts", "**/*.tsx", "**/*.js", "**/*.jsx", "package.json", "tsconfig*.json")
# Node reserves far more address space than it uses.
_NODE = {
    "limits": Limits(memory=64 * 1024 * MIB, pids=1024, nofile=4096, core=0, cpu_time=3600.0),
    "paths": _SCRIPT,
    "borrow": ("node_modules",),
}

#: Fields of GateSettings by preset; each key that stands in the configuration itself wins over its preset.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "ruff": {
        "run": ("ruff", "check", "."),
        "version": ("ruff", "--version"),
        "timeout": 120.0,
        "paths": (*_PYTHON, "ruff.toml", ".ruff.toml"),
    },
    "ruff-format": {
        "run": ("ruff", "format", "--check", "."),
        "version": ("ruff", "--version"),
        "timeout": 120.0,
        "paths": (*_PYTHON, "ruff.toml", ".ruff.toml"),
    },
    "mypy": {
        "run": ("mypy", "."),
        "version": ("mypy", "--version"),
        "paths": (*_PYTHON, "mypy.ini"),
    },
    "pytest": {
        "run": ("python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        "version": ("python3", "-m", "pytest", "--version"),
        # A test may read any file, so every patch has to pass it.
        "paths": (),
    },
    "tsc": {"run": ("npx", "tsc", "--noEmit"), "version": ("npx", "tsc", "--version"), **_NODE},
    "eslint": {
        "run": ("npx", "eslint", ".", "--ext", ".ts,.tsx", "--max-warnings=0"),
        "version": ("npx", "eslint", "--version"),
        **_NODE,
        "paths": (*_SCRIPT, ".eslintrc*", "eslint.config.*"),
    },
}


def gate(name: str, given: Mapping[str, Any]) -> GateSettings:
    """A gate of these keys, on top of its preset where it names one. `run` has to be in one of them."""
    keys = dict(given)
    preset = PRESETS[keys.pop("preset")] if "preset" in keys else {}
    return GateSettings(**{"name": name, **preset, **keys})
