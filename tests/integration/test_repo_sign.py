"""Signatures: git's own eyes take ours, and whatever was changed, or signed for something else, is refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from repo_play import git, seal_in, sound

from ghostd.base.errors import Cannot
from ghostd.repo import history, marks, sign
from ghostd.repo.git import open_repository

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


def made(folder: Path, name: str = "key", *, kind: str = "ed25519", passphrase: str = "") -> Path:
    key = folder / name
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "a comment", "-f", str(key)]
    subprocess.run(argv, check=True)
    return key


@pytest.fixture
def opened(repo):
    with open_repository(repo) as opened:
        yield opened


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_signature_holds_for_its_data_its_purpose_and_its_key_alone(tmp_path, kind):
    key, other = made(tmp_path, kind=kind), made(tmp_path, "other")
    signature = sign.sign(b"some\0bytes\n", "ghost-proof", key)
    assert sign.verify(b"some\0bytes\n", signature, "ghost-proof", key)
    assert sign.verify(b"some\0bytes\n", signature, "ghost-proof", tmp_path / "key.pub")
    assert not sign.verify(b"some\0bytes", signature, "ghost-proof", key)
    assert not sign.verify(b"some\0bytes\n", signature, "ghost-checkpoint", key)
    assert not sign.verify(b"some\0bytes\n", signature, "ghost-proof", other)
    assert not sign.verify(b"some\0bytes\n", signature.replace("A", "B"), "ghost-proof", key)
    assert not sign.verify(b"some\0bytes\n", "no signature at all", "ghost-proof", key)


def test_the_same_data_gets_the_same_signature(tmp_path):
    """A proof that is sealed anew after a crash is the same proof."""
    key = made(tmp_path)
    assert sign.sign(b"x", "git", key) == sign.sign(b"x", "git", key)


def test_the_public_half_is_read_from_either_file(tmp_path):
    key = made(tmp_path)
    kind, data, _ = (tmp_path / "key.pub").read_text().split(" ", 2)
    assert sign.public_key(key) == sign.public_key(tmp_path / "key.pub") == f"{kind} {data}"
    (tmp_path / "key.pub").unlink()
    assert sign.public_key(key) == f"{kind} {data}"
    told = subprocess.run(["ssh-keygen", "-l", "-f", str(key)], capture_output=True, text=True, check=True).stdout
    assert sign.fingerprint(sign.public_key(key)) in told.split()


def test_a_locked_key_can_still_verify_by_its_public_half(tmp_path):
    key = made(tmp_path, passphrase="secret")
    with pytest.raises(Cannot):
        sign.sign(b"x", "git", key)
    assert sign.public_key(key).startswith("ssh-ed25519 AAAA")


def _locked(folder):
    return made(folder, passphrase="secret")


def _public(folder):
    made(folder).unlink()
    return folder / "key.pub"


def _open_to_all(folder):
    key = made(folder)
    key.chmod(0o644)
    return key


def _junk(folder):
    (folder / "junk").write_text("ssh-ed25519 not a key\n")
    (folder / "junk").chmod(0o600)
    return folder / "junk"


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (_locked, "without one"),
        (_public, "private key"),
        (_open_to_all, "chmod 600"),
        (_junk, "signing_key"),
        (lambda folder: folder / "none", "ssh-keygen -t"),
    ],
    ids=["passphrase", "public half", "open to all", "no key", "missing"],
)
def test_a_key_that_can_not_sign_is_told_with_what_to_do(tmp_path, make, hint):
    with pytest.raises(Cannot) as caught:
        sign.sign(b"x", "git", make(tmp_path))
    assert caught.value.kind == "signing-failed"
    assert hint in caught.value.hint


def test_without_ssh_keygen_there_is_a_hint(tmp_path, monkeypatch):
    key = made(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Cannot, match="not installed") as caught:
        sign.sign(b"x", "git", key)
    assert caught.value.kind == "signing-failed"


def test_a_namespace_can_not_carry_an_option(tmp_path):
    with pytest.raises(ValueError, match="namespace"):
        sign.verify(b"x", "", 'git" cert-authority', made(tmp_path))


# --- tags ---------------------------------------------------------------------------------------------------------


def _as_git_sees_it(repo: Path, tag: str, key: Path) -> bool:
    (repo.parent / "allowed").write_text(f"ghost@localhost {sign.public_key(key)}\n")
    config = ("gpg.format=ssh", f"gpg.ssh.allowedSignersFile={repo.parent / 'allowed'}")
    words = [word for each in config for word in ("-c", each)]
    return (
        subprocess.run(["git", *words, "verify-tag", tag], cwd=repo, capture_output=True, check=False).returncode == 0
    )


def test_git_verifies_a_signed_tag(repo, opened, tmp_path):
    key, other = made(tmp_path), made(tmp_path, "other")
    head = seal_in(opened, "one", {b"app.py": b"1\n"})
    oid, new = history.tag(opened, "phase/P1", head, 'phase: "P1"\n\npatches: []', 1_753_770_600, key=key)
    assert new
    assert _as_git_sees_it(repo, "phase/P1", key)
    assert not _as_git_sees_it(repo, "phase/P1", other)
    assert git(repo, "rev-parse", "phase/P1^{commit}") == head
    found = history.read_tag(opened, "phase/P1")
    assert found is not None
    assert (found.oid, found.message) == (oid, 'phase: "P1"\n\npatches: []\n')
    assert marks.verify_tag(opened, "phase/P1", key)
    assert not marks.verify_tag(opened, "phase/P1", other)
    assert sound(repo)


def test_a_tag_that_somebody_made_or_changed_is_not_verified(repo, opened, tmp_path):
    key = made(tmp_path)
    head = seal_in(opened, "one", {b"app.py": b"1\n"})
    history.tag(opened, "unsigned", head, "m", 1)
    history.tag(opened, "signed", head, "said\n", 1, key=key)
    text = subprocess.run(["git", "cat-file", "tag", "signed"], cwd=repo, capture_output=True, check=True).stdout
    forged = git(repo, "mktag", stdin=text.replace(b"said", b"lied"))
    git(repo, "update-ref", "refs/tags/forged", forged)
    assert not marks.verify_tag(opened, "unsigned", key)
    assert not marks.verify_tag(opened, "forged", key)
    assert not marks.verify_tag(opened, "nowhere", key)


def test_no_message_can_pass_for_a_signature(repo, opened, tmp_path):
    key = made(tmp_path)
    head = seal_in(opened, "one", {b"app.py": b"1\n"})
    evil = "words\n" + sign.sign(b"something else", "git", key)
    history.tag(opened, "plain", head, evil, 1)
    history.tag(opened, "signed", head, evil, 1, key=key)
    assert history.read_tag(opened, "plain").signature is None
    assert not marks.verify_tag(opened, "plain", key)
    assert marks.verify_tag(opened, "signed", key)
    assert _as_git_sees_it(repo, "signed", key)


def test_a_key_that_can_not_sign_leaves_no_tag(opened, tmp_path):
    head = seal_in(opened, "one", {b"app.py": b"1\n"})
    with pytest.raises(Cannot):
        history.tag(opened, "phase/P1", head, "m", 1, key=tmp_path / "none")
    assert history.read_tag(opened, "phase/P1") is None


@pytest.mark.parametrize(
    ("id", "made_now"),
    [("patch-v3.3.31(P8.13.23)_flask", True), ("bug..fix", False), ("ends.lock", False), ("taken", False)],
)
def test_a_patch_is_tagged_by_its_id_where_git_takes_it_as_a_name(repo, opened, id, made_now):
    head = seal_in(opened, "one", {b"app.py": b"1\n"})
    git(repo, "tag", "taken", "main")
    assert marks.tag_patch(opened, id, head, "A description", 1) is made_now
    assert not marks.tag_patch(opened, id, head, "A description", 1), "a second time there is nothing to do"
    assert git(repo, "rev-parse", "taken") == git(repo, "rev-parse", "main"), "what people tagged stays"
    if made_now:
        assert git(repo, "rev-parse", f"refs/tags/{id}^{{commit}}") == head
