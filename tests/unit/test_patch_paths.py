"""The one validator of paths: hostile spellings are refused, honest ones pass."""

from __future__ import annotations

import pytest

from ghostd.patches.paths import checked, target_flaw
from ghostd.patches.refusal import Refusal

HOSTILE = {
    "Git's own folder": [
        ".git/config",
        ".git",
        "sub/.git",
        "sub/.git/x",
        ".GIT/config",
        ".Git",
        ".git./x",
        ".git /x",
        ".git. . /x",
    ],
    "Git's short name on NTFS": ["git~1", "GIT~1/config", "a/git~2/x"],
    "alternate streams": [".git::$INDEX_ALLOCATION/x", ".git:x", "a:b", "C:/x"],
    "HFS ignorables": [".g\u200cit/config", ".gi\u200dt", "\ufeff.git", ".git\u2060", ".g\u206fit"],
    "compatible letters": ["．git/config", ".ｇｉｔ/x", ".gıt\u200b"],
    "submodules": [".gitmodules", "sub/.GITMODULES", "gitmod~1", "GI7EBA~1"],
    "leads out": ["..", "../x", "a/../b", "a/..", "./c", ".", "a/./b", ".../x"],
    "absolute": ["/etc/passwd", "//x", "/"],
    "empty parts": ["", "dir//x", "dir/", "a//"],
    "backslashes": ["x\\..\\y", "..\\x", "a\\b"],
    "controls": ["a\0b", "a\nb", "a\tb", "a\x1bb", "a\x7fb", "a\x9bb", "a\u2028b"],
    "unseen": ["a\u202eb", "a\u200fb", "soft\u00adhyphen", "zero\u200bwidth", "tag\U000e0041"],
    "not NFC": ["cafe\u0301", "A\u030a"],
    "ends in dot or blank": ["a.", "a /b", "dir./x", "a\u00a0", "a\u3000/b"],
    "devices": ["CON", "con", "aux.c", "d/NUL.txt", "com1", "LPT9.log", "COM¹", "con .x", "CONIN$", "prn/x"],
    "too long": ["a" * 256, "é" * 128, "/".join(["a" * 100] * 41)],
}
HONEST = [
    "a", "a.py", ".gitignore", ".gitattributes", ".github/workflows/x.yml", "git/x", ".gitx", "x.git", "a~1", "-rf",
    "--x", "a b/c d", "café/ü.txt", "日本語", "✅.md", "a'b\"c", "x;y|z", "...x", "a..b", "cont", "console.py", "nulls",
    "com10", "auxiliary.c", "a" * 255, "/".join(["a" * 100] * 40), "$(rm)", "%TEMP%", "*", "?",
]  # fmt: skip
BYTES = [b"\xff\xfe", b"caf\xe9.txt", b"d\xff/x"]


@pytest.mark.parametrize("path", [path for paths in HOSTILE.values() for path in paths])
def test_a_hostile_path_is_refused(path):
    """Kind forbidden-path, with the path in a form that is safe to show."""
    with pytest.raises(Refusal) as caught:
        checked(path.encode())
    assert caught.value.kind == "forbidden-path"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", [*(path.encode() for path in HONEST), *BYTES])
def test_an_honest_path_passes_as_it_is(path):
    """Names that are not UTF-8 are names as well."""
    assert checked(path) is path


@pytest.mark.parametrize("path", [b"\xff/../x", b"\xff\0", b"\xff\\x", b".git/\xff", b"/\xff", b"\xff\n"])
def test_bytes_that_are_no_text_hide_nothing(path):
    """The same rules hold around them."""
    with pytest.raises(Refusal):
        checked(path)


INSIDE = [
    ("l", "a"),
    ("l", "a/b"),
    ("d/l", "../a"),
    ("d/e/l", "../../a/b"),
    ("l", "."),
    ("d/l", ".."),
    ("l", "not there"),
    ("l", "a b"),
]
OUTSIDE = [
    ("l", "/etc"), ("l", ".."), ("l", "../x"), ("d/l", "../.."), ("d/l", "../../x"), ("d/l", "a/../../../x"),
    ("a/b/c", "d/../x"), ("l", "a/.."), ("l", ""), ("l", "a\0b"), ("l", "C:\\x"), ("l", ".git/config"),
    ("d/l", "../.GIT/hooks"), ("l", "x" * 5000),
]  # fmt: skip


@pytest.mark.parametrize(("path", "target"), INSIDE)
def test_a_symlink_may_point_inside(path, target):
    assert target_flaw(path.encode(), target.encode()) is None


@pytest.mark.parametrize(("path", "target"), OUTSIDE)
def test_a_symlink_may_not_point_outside(path, target):
    """`..` behind a name is refused too: the name may be a link that leads up."""
    assert target_flaw(path.encode(), target.encode())
