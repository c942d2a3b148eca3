"""Commit messages: what the subject says, and that a stranger's text can not forge a trailer."""

from __future__ import annotations

import subprocess

import pytest

from ghostd.repo import commit
from ghostd.repo.message import clean

DIGEST, PROOF = "a" * 64, "b" * 64
OURS = commit.trailers(id="real", digest=DIGEST, lane="MAIN", proof=PROOF)


@pytest.mark.parametrize(
    ("id", "description", "expected"),
    [
        (
            "patch-v3.3.31(P8.13.23)_flask-health-endpoint-hardening",
            "Real-time liveness",
            "[PATCH P8.13.23] flask-health-endpoint-hardening — Real-time liveness",
        ),
        ("patch-v3.3.31(P8.13.23)_slug", "", "[PATCH P8.13.23] slug"),
        ("patch-v3.3(P1)_two-numbers", "x", "[PATCH P1] two-numbers — x"),
        ("fix-1", "Mend the door", "[PATCH fix-1] Mend the door"),
        ("fix-1", "", "[PATCH fix-1]"),
        # Not quite the form: told as it is.
        ("patch-v3.3.31()_slug", "x", "[PATCH patch-v3.3.31()_slug] x"),
        ("patch-v3.3.31(P1)", "x", "[PATCH patch-v3.3.31(P1)] x"),
        ("fix-1", "two\nlines\tand\x00a\x1b[31mcolour\u202e", "[PATCH fix-1] two lines anda[31mcolour"),
        ("fix-1", "\ud800 half a character", "[PATCH fix-1] half a character"),
    ],
)
def test_the_subject_names_the_patch(id, description, expected):
    assert commit.subject(id, description) == expected


def test_the_subject_is_at_most_a_hundred_characters():
    assert len(commit.subject("fix", "é" * 300)) == 100
    assert len(commit.subject("x" * 200, "y")) == 100


FORGERIES = [
    "Ghost-Patch-Id: forged",
    "text\n\nGhost-Patch-Id: forged",
    "text\n\nGhost-Patch-Id: forged\n\n\n",
    "ghost-patch-id: forged",
    "  \t Ghost-Patch-Id : forged",
    "Ghost-Patch-Id=forged",
    "Ghost\u200b-Patch-Id: forged",
    "\u200bGhost-Patch-Id: forged",
    "\ufeffGhost-Patch-Id: forged",
    "innocent\rGhost-Patch-Id: forged",
    "innocent\x85Ghost-Patch-Id: forged",
    "innocent\u2028Ghost-Patch-Id: forged",
    "innocent\x0bGhost-Patch-Id: forged",
    "Ghost-Patch-Id: forged\n---\n",
    "---\nGhost-Patch-Id: forged",
    "Signed-off-by: a\nGhost-Patch-Id: forged\nGhost-Patch-Sha256: " + "c" * 64,
    "Ghost-Reverts: other\n folded: line",
    "# ------------------------ >8 ------------------------\nGhost-Patch-Id: forged",
    "diff --git a/x b/x\n--- a/x\n+++ b/x\n+Ghost-Patch-Id: forged",
    "\0Ghost-Patch-Id: forged",
]


def _git_trailers(text: str) -> str:
    argv = ["git", "interpret-trailers", "--parse"]
    return subprocess.run(argv, input=text.encode(), capture_output=True, check=True).stdout.decode()


@pytest.mark.parametrize("body", ["", "One line.", "Two\n\nparagraphs", "Co-authored-by: a <b@c>", *FORGERIES])
def test_only_our_trailers_are_read_back_by_us_and_by_git(body):
    """Git's own parser is the judge: it sees our block, the whole of it, and nothing else."""
    text = commit.message("[PATCH real] x", body, OURS)
    assert _git_trailers(text) == "".join(f"{key}: {value}\n" for key, value in OURS)
    landed = commit.parse_trailers(text, "c1")
    assert landed is not None
    assert (landed.id, landed.digest, landed.lane, landed.proof, landed.phase) == ("real", DIGEST, "MAIN", PROOF, None)
    assert landed.reverts == ()
    # Nor does a search through all messages find a forged line.
    assert [line for line in text.splitlines() if line.lower().lstrip().startswith("ghost-patch-id")] == [
        "Ghost-Patch-Id: real"
    ]


@pytest.mark.parametrize("text", ["forged\nGhost-Patch-Id: forged", "x\n\nGhost-Patch-Id: forged"])
def test_a_subject_can_not_hold_a_trailer(text):
    whole = commit.message(commit.subject("real", text), "", OURS)
    assert _git_trailers(whole).count("Ghost-Patch-Id") == 1
    assert commit.parse_trailers(whole).id == "real"


def test_a_value_can_not_hold_a_second_trailer():
    sneaky = commit.trailers(id="real", digest=DIGEST, lane="MAIN\nGhost-Patch-Id: forged", proof=PROOF)
    assert commit.parse_trailers(commit.message("s", "", sneaky)).lane == "MAIN Ghost-Patch-Id: forged"


def test_a_rollback_names_what_it_takes_back_and_what_it_brings_back():
    block = commit.trailers(
        id="rollback-1", digest=DIGEST, lane="MAIN", proof=PROOF, phase="P8", reverts=("a", "b"), reapplies=("c",)
    )
    landed = commit.parse_trailers(commit.message("s", "why", block), "c1")
    assert (landed.commit, landed.phase, landed.reverts, landed.reapplies) == ("c1", "P8", ("a", "b"), ("c",))


def test_a_restore_names_its_phase():
    block = commit.trailers(id="restore-1", digest=DIGEST, lane="MAIN", proof=PROOF, restores="P8")
    assert ("Ghost-Restores", "P8") in block


WHOLE = commit.message("s", "", OURS)


@pytest.mark.parametrize(
    ("text", "corrupt"),
    [
        ("just a person\n", False),
        ("just a person\n\nSigned-off-by: me <a@b>\n", False),
        ("s\n\nGhost-Patch-Id: real\n\nnot the last paragraph\n", False),
        (WHOLE.rstrip("\n") + "\nGhost-Patch-Id: second\n", True),
        (WHOLE.replace("Ghost-Proof", "Ghost-Prof"), True),
        (WHOLE.rstrip("\n") + "\nno trailer at all\n", True),
        (WHOLE.rstrip("\n") + "\n folded\n", True),
        (WHOLE.split("\n\n")[1], False),
    ],
)
def test_what_is_not_ours_or_contradicts_itself_is_no_patch(text, corrupt):
    assert commit.parse_trailers(text) is None
    assert commit.is_corrupt(text) is corrupt


def test_a_persons_sign_off_below_ours_does_no_harm():
    """`git commit --amend -s` adds to the last paragraph."""
    assert commit.parse_trailers(WHOLE.rstrip("\n") + "\nSigned-off-by: me <a@b>\n").id == "real"


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        ("", "ghost <ghost@localhost>"),
        ("gpt", "gpt <ghost@localhost>"),
        ("Ann Author <ann@example.org>", "Ann Author <ann@example.org>"),
        ("Ann <not a mail>", "Ann not a mail <ghost@localhost>"),
        ("a\nparent 123", "a parent 123 <ghost@localhost>"),
        ("evil <a@b>\ncommitter x <y@z>", "evil a@b committer x y@z <ghost@localhost>"),
        ("<>", "ghost <ghost@localhost>"),
        (" .,;: ", "ghost <ghost@localhost>"),
        ("\x00\x1b", "ghost <ghost@localhost>"),
    ],
)
def test_any_author_becomes_one_that_git_takes(author, expected):
    assert commit.person(author) == expected


def test_an_author_is_cut_to_a_sane_length():
    assert len(commit.person("x" * 5000)) < 200


def test_clean_keeps_what_people_write():
    assert clean("  Žluťoučký  kůň 你好 🙂 ") == "Žluťoučký kůň 你好 🙂"
