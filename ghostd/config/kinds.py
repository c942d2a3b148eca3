"""What a value may be: one row for each kind, with its name for people and its reader."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ghostd.config import durations
from ghostd.config.problems import WITHOUT_EFFECT, Place, Wrong, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`read` returns the setting, or raises Wrong; a reader of something nested tells its place instead."""

    #: Completes "expected …".
    says: str
    read: Callable[[Any, Place], Any]
    #: The keys inside, where it is a table with known ones.
    keys: tuple[Key, ...] = ()
    make: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a table. `field` is its name in the settings, where that differs."""

    name: str
    kind: Kind
    means: str
    field: str = ""
    required: bool = False
    #: False: the contract names it and a later version acts on it; its type is checked all the same.
    effect: bool = True
    #: The settings hold a default; False where the loader finds a better one.
    fixed_default: bool = True


# Stands for "was there, but wrong": the field is left at its default, the problem is told.
UNREAD = object()
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(\d{1,5})", re.ASCII)
_BAD_IN_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|^[-./]|[/.]$|\.lock(?:/|$)|^(?:@|HEAD)$")


def read(kind: Kind, value: Any, place: Place) -> Any:
    """The setting, or UNREAD after telling why not."""
    try:
        return kind.read(value, place)
    except Wrong as wrong:
        place.error(str(wrong))
        return UNREAD


def read_table(keys: tuple[Key, ...], value: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The known and valid keys of a table by field name; everything else is told."""
    by_name = {key.name: key for key in keys}
    found: dict[str, Any] = {}
    for name, given in value.items():
        key = by_name.get(name)
        if key is None:
            place.at(name).error(unknown(name, by_name))
            continue
        setting = read(key.kind, given, place.at(name))
        if not key.effect:
            place.at(name).warn(WITHOUT_EFFECT)
        if setting is not UNREAD and (key.effect or key.field):
            found[key.field or key.name] = setting
    for key in keys:
        if key.required and key.name not in value:
            place.error(f"has no {key.name}, which is needed ({key.means})")
    return found


def unknown(name: str, known: Mapping[str, Any]) -> str:
    """What to say of a key that nobody knows; one that smells of a secret is told where secrets live."""
    if re.search(r"secret|token|passw|api_?key|private_?key", name, re.IGNORECASE):
        return "unknown key; secrets never stand here: put them into state/secrets/ or the environment"
    return f"unknown key{nearest(name, known)}"


def _type(expected: type | tuple[type, ...], says: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        # bool is an int to Python, never to a person.
        wanted = expected if isinstance(expected, tuple) else (expected,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise Wrong(f"expected {says}, got {show(value)}")

    return check


def show(value: Any) -> str:
    """A value as one would find it in the file, short."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, str):
        text = '"' + value + '"'
    elif isinstance(value, Mapping):
        text = "a table"
    elif isinstance(value, list):
        text = "a list"
    else:
        text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 - as much as one reads


def _parsed(says: str, parse: Callable[[str], Any]) -> Kind:
    """Text in a notation of its own; `parse` returns None where it is not that."""
    check = _type(str, says)

    def reader(value: Any, _: Place) -> Any:
        check(value)
        setting = parse(value)
        if setting is None:
            raise Wrong(f"expected {says}, got {show(value)}")
        return setting

    return Kind(says=says, read=reader)


def _of(expected: type | tuple[type, ...], says: str) -> Kind:
    check = _type(expected, says)

    def reader(value: Any, _: Place) -> Any:
        check(value)
        return value

    return Kind(says=says, read=reader)


def whole(least: int = 0, most: int | None = None) -> Kind:
    """An integer within bounds."""
    says = f"a whole number from {least}" + (f" to {most}" if most is not None else "")
    check = _type(int, says)

    def reader(value: Any, _: Place) -> int:
        check(value)
        if value < least or (most is not None and value > most):
            raise Wrong(f"expected {says}, got {value}")
        return int(value)

    return Kind(says=says, read=reader)


def number(least: float, most: float | None = None) -> Kind:
    """A number within bounds."""
    says = f"a number from {least:g}" + (f" to {most:g}" if most is not None else "")
    check = _type((int, float), says)

    def reader(value: Any, _: Place) -> float:
        check(value)
        if not (least <= value and (most is None or value <= most)):
            raise Wrong(f"expected {says}, got {value}")
        return float(value)

    return Kind(says=says, read=reader)


def one_of(*choices: str, as_type: Callable[[str], Any] = str) -> Kind:
    """One of a few words."""
    says = "one of " + ", ".join(f'"{choice}"' for choice in choices)
    check = _type(str, says)

    def reader(value: Any, _: Place) -> Any:
        check(value)
        if value not in choices:
            raise Wrong(f"expected {says}, got {show(value)}{nearest(value, choices)}")
        return as_type(value)

    return Kind(says=says, read=reader)


def list_of(item: Kind, *, least: int = 0) -> Kind:
    """A list; each item that is wrong is told with its index."""
    says = f"a list, each item {item.says}"
    check = _type(list, says)

    def reader(value: Any, place: Place) -> Any:
        check(value)
        if len(value) < least:
            raise Wrong(f"expected {says}, with at least {least}")
        read_items = [read(item, one, place.at(index)) for index, one in enumerate(value)]
        return tuple(one for one in read_items if one is not UNREAD)

    return Kind(says=says, read=reader)


def table(make: Callable[..., Any], *keys: Key) -> Kind:
    """A table with known keys, as one value of the settings."""
    check = _type(dict, "a table")

    def reader(value: Any, place: Place) -> Any:
        check(value)
        return make(**read_table(keys, value, place))

    return Kind(says="a table", read=reader, keys=keys, make=make)


def _argv(value: Any, from_text: Callable[[str], list[str]]) -> tuple[str, ...]:
    _type((str, list), COMMAND_SAYS)(value)
    if isinstance(value, str):
        value = from_text(value)
    if not value or not all(isinstance(word, str) and "\0" not in word for word in value) or not value[0].strip():
        raise Wrong(f"expected {COMMAND_SAYS}, and not an empty one")
    return tuple(value)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Wrong(f"can not be split into words: {error}") from None


def _in_shell(text: str) -> list[str]:
    return ["/bin/sh", "-c", text] if text.strip() else []


def _name(text: str) -> str | None:
    return text if _NAME.fullmatch(text) else None


def _host_port(text: str) -> str | None:
    match = _HOST_PORT.fullmatch(text)
    return text if match and int(match[2]) <= 65535 else None  # noqa: PLR2004 - the last port there is


def _branch(text: str) -> str | None:
    # Git writes it as a path of files, whose names end at 255 bytes with `.lock` behind.
    good = 0 < len(text.encode()) <= 200 and not _BAD_IN_BRANCH.search(text)  # noqa: PLR2004 - said above
    return text if good else None


def _octal(text: str) -> int | None:
    return int(text, 8) if re.fullmatch(r"0?[0-7]{1,3}", text, re.ASCII) else None


def _signal(text: str) -> str | None:
    short = text.upper().removeprefix("SIG")
    return short if f"SIG{short}" in signal.Signals.__members__ else None


def _web_address(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"[\x00-\x20]", text)
        return text if good and parts.port != 0 else None
    except ValueError:
        return None


def _web_origin(text: str) -> str | None:
    return text if _web_address(text) and urlsplit(text)._replace(scheme="", netloc="").geturl() == "" else None


def _absolute(text: str) -> str | None:
    return text if text.startswith("/") and "\0" not in text else None


def _inside(text: str) -> str | None:
    parts = text.split("/")
    return text if all(part not in ("", ".", "..", ".git") for part in parts) and "\0" not in text else None


def _pattern(text: str) -> str | None:
    try:
        re.compile(text)
    except re.error:
        return None
    return text


def _size(value: Any, _: Place) -> int:
    says = 'a size such as "512M" or "64KiB"'
    _type((str, int), says)(value)
    count = durations.size(str(value))
    if count is None:
        raise Wrong(f"expected {says}, got {show(value)}")
    return count


def _path(value: Any, place: Place) -> Path:
    _type(str, "a path")(value)
    if not value or "\0" in value:
        raise Wrong(f"expected a path, got {show(value)}")
    # Not resolved: a link that is moved later shall be followed then.
    return Path(normal(place.base / Path(value).expanduser()))


def normal(path: Path) -> str:
    """An absolute path without `.` and, where no link stands before it, without `..`."""
    plain = os.path.normpath(path)
    return plain if os.path.realpath(plain) == os.path.realpath(path) else str(path)


def _environment(value: Any, place: Place) -> dict[str, str]:
    _type(dict, "a table of texts")(value)
    for name, text in value.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII):
            place.at(name).error("is no name for an environment variable")
        if not isinstance(text, str) or "\0" in text:
            place.at(name).error(f"expected a text, got {show(text)}")
    return {name: text for name, text in value.items() if isinstance(text, str)}


def _env_file(value: Any, place: Place) -> dict[str, str]:
    """The variables of a file of `KEY=VALUE` lines; `#` starts a comment line, quotes around a value are taken off."""
    file = _path(value, place)
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Wrong(f"can not read {file}: {reason}") from None
    found = {}
    for number_, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", line, re.ASCII)
        if match is None or "\0" in line:
            raise Wrong(f"{file}:{number_} is not KEY=VALUE")
        found[match[1]] = _unquoted(match[2].strip())
    return found


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


def _user(value: Any, _: Place) -> str:
    _type(str, "a user's name")(value)
    try:
        return pwd.getpwnam(value).pw_name
    except KeyError:
        raise Wrong(f"no user {show(value)} on this machine") from None


COMMAND_SAYS = "a command, as a list of texts or as one text"

FLAG = _of(bool, "true or false")
TEXT = _of(str, "a text")
ANYTHING = Kind(says="anything", read=lambda value, _: value)
DURATION = _parsed('a time such as "30s", "100ms" or "1h"', durations.duration)
# For what would be a busy loop, or could never succeed, with nothing.
PERIOD = _parsed('a time such as "30s", more than nothing', lambda text: durations.duration(text) or None)
SHARE = _parsed('a share such as "50%"', durations.share)
RATE = _parsed('a rate such as "60/minute"', durations.rate)
SIZE = Kind(says='a size such as "512M" or "64KiB"', read=_size)
NAME = _parsed("a name of letters, digits, dots, dashes and underscores", _name)
HOST_PORT = _parsed('"host:port"', _host_port)
LISTENER = _parsed('"host:port", or "" for off', lambda text: text if text == "" else _host_port(text))
BRANCH = _parsed("a name that Git takes for a branch", _branch)
OCTAL = _parsed('an octal mask such as "022"', _octal)
SIGNAL = _parsed('a signal such as "TERM"', _signal)
URL = _parsed("an http or https address", _web_address)
ORIGIN = _parsed('an origin such as "https://example.org"', _web_origin)
ABSOLUTE = _parsed("an absolute path", _absolute)
INSIDE = _parsed("a path inside the repository", _inside)
PATTERN = _parsed("a regular expression", _pattern)
PATH = Kind(says="a path", read=_path)
TEXTS = list_of(TEXT)
NAMES = list_of(NAME)
COMMAND = Kind(says=COMMAND_SAYS + " that is split as a shell would", read=lambda value, _: _argv(value, _split))
SCRIPT = Kind(says=COMMAND_SAYS + " for /bin/sh", read=lambda value, _: _argv(value, _in_shell))
ENVIRONMENT = Kind(says="a table of texts", read=_environment)
ENV_FILE = Kind(says="a path", read=_env_file)
USER = Kind(says="a user's name", read=_user)


def paths_or_path(value: Any, place: Place) -> tuple[Path, ...]:
    """One path, or several."""
    _type((str, list), "a path or a list of paths")(value)
    if isinstance(value, str):
        return (_path(value, place),)
    return tuple(one for one in list_of(PATH).read(value, place) if one is not UNREAD)


PATHS = Kind(says="a path or a list of paths", read=paths_or_path)
