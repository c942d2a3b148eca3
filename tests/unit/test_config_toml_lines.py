"""Every key of a TOML file is found on the line where it stands."""

from __future__ import annotations

import tomllib

import pytest

from ghostd.config.toml_lines import locate

DOCUMENT = '''\
# a comment with [brackets] and = signs
top = 1

[lane.MAIN]          # header
repo = "a # not a comment"
"quoted key" = 'x'
a.b . c = 3
a.d = 4

[[run]]
x = 1
[[run]]
x = 2
[run.inside]
y = 3
[[run.deep]]
z = 4

[service."web.one"]
command = [
  "python3",  # a comment ] in between
  """multi
line with key = "value" and ]
""",
  "last",
]
ready = {notify = true, "timeout" = "3s", deep = {x = [1, {y = 2}]}}
text = \'\'\'
[not.a.table]
x = 1
\'\'\'
quotes = """a ""quoted"" end"""""
escaped = "say \\"hi\\" ] # }"
when = 2025-07-29 06:30:00Z
after = 1_000.5e3
'''

WHERE = {
    ("top",): 2,
    ("lane", "MAIN"): 4,
    ("lane", "MAIN", "repo"): 5,
    ("lane", "MAIN", "quoted key"): 6,
    ("lane", "MAIN", "a"): 7,
    ("lane", "MAIN", "a", "b"): 7,
    ("lane", "MAIN", "a", "b", "c"): 7,
    ("lane", "MAIN", "a", "d"): 8,
    ("run",): 10,
    ("run", 0): 10,
    ("run", 0, "x"): 11,
    ("run", 1): 12,
    ("run", 1, "x"): 13,
    ("run", 1, "inside"): 14,
    ("run", 1, "inside", "y"): 15,
    ("run", 1, "deep", 0, "z"): 17,
    ("service", "web.one"): 19,
    ("service", "web.one", "command"): 20,
    ("service", "web.one", "command", 0): 21,
    ("service", "web.one", "command", 1): 22,
    ("service", "web.one", "command", 2): 25,
    ("service", "web.one", "ready"): 27,
    ("service", "web.one", "ready", "timeout"): 27,
    ("service", "web.one", "ready", "deep", "x", 1, "y"): 27,
    ("service", "web.one", "text"): 28,
    ("service", "web.one", "quotes"): 32,
    ("service", "web.one", "escaped"): 33,
    ("service", "web.one", "when"): 34,
    ("service", "web.one", "after"): 35,
}


def test_the_document_of_this_test_is_toml():
    """Else the rest would prove nothing."""
    assert tomllib.loads(DOCUMENT)["service"]["web.one"]["quotes"] == 'a ""quoted"" end""'


@pytest.mark.parametrize(("path", "line"), WHERE.items(), ids=str)
def test_a_key_is_on_its_line(path, line):
    assert locate(DOCUMENT).of(path) == line


def test_a_key_that_is_not_written_is_where_its_table_is():
    lines = locate(DOCUMENT)
    assert lines.of(("lane", "MAIN", "branch")) == WHERE["lane", "MAIN"]
    assert lines.of(("nothing", "here")) == 1


def _paths(value, above=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*above, key)
            yield from _paths(inner, (*above, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield (*above, index)
            yield from _paths(inner, (*above, index))


@pytest.mark.parametrize(
    "text",
    [
        DOCUMENT,
        "",
        "\n\n# only a comment",
        "a = {}\nb = []\nc = ''\nd = \"\"\ne = ''''''\nf = \"\"\"\"\"\"\n",
        "a = [[1, 2], [3], [], [[4]],]\nb = [ # x\n]\n",
        "[a]\n[a.b.c]\nx=1\n[a.b]\ny=2\n",
        "a = 1 # no newline at the end",
        "'' = 1\n\"\\u00e9\" = 2\n",
        "[[a]]\n[[a.b]]\nx = 1\n[[a.b]]\nx = 2\n[[a]]\n[[a.b]]\nx = 3\n",
    ],
)
def test_every_path_that_tomllib_sees_is_found_and_no_other(text):
    """The two readers agree about what a key is."""
    assert set(locate(text).by_path) == set(_paths(tomllib.loads(text)))
