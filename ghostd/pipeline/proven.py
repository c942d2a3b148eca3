"""Read a whole proof log as a stranger's, and find out whether it can be what it says it is.

Every entry is read, its statement hashed into the tree again, its body compared with the digest in it, its signature
checked. Then every word about the tree that was ever given is held against it: the log's own head, each earlier state
of the log, each checkpoint, and the head that each statement names. A log from which something was taken, or in which
something was changed or moved, breaks at least one of them.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.pipeline import chain, checkpoint, dsse, merkle, proof
from ghostd.pipeline.chain import Head
from ghostd.pipeline.proof import Anchor
from ghostd.pipeline.told import Told
from ghostd.pipeline.told import read as read_statement
from ghostd.repo import proofs, sign
from ghostd.repo.git import Repository
from ghostd.repo.proofs import Log

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One readable entry."""

    number: int
    #: SHA-256 of the statement, as the commit's trailer has it.
    proof: str
    statement: bytes
    id: str
    outcome: str
    anchor: Anchor | None
    signed: bool


@dataclass(slots=True, kw_only=True)
class Proven:
    """What a log holds, and everything that is wrong with it."""

    log: Log
    head: Head = field(default_factory=Head)
    entries: list[Logged] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    checkpoints: int = 0
    #: Signatures that were checked and hold.
    signed: int = 0
    leaves: list[bytes] = field(default_factory=list)

    def body(self, entry: Logged) -> bytes:
        """What the entry's job was about."""
        return self.log.read(chain.place("entries", entry.number, "body.json")) or b""

    def roots(self, sizes: set[int]) -> dict[int, str]:
        """The root in hex that the log had at each of these sizes, as far as it ever had so many entries."""
        edge, found = merkle.Edge(), {}
        for leaf in (None, *self.leaves):
            edge = edge if leaf is None else edge.appended(leaf)
            if edge.size in sizes:
                found[edge.size] = edge.root.hex()
        return found


def read(repo: Repository, branch: str, key: Path | None, progress: Progress) -> Proven:
    """Read and check the log of a branch; with a public `key`, its signatures too."""
    found = Proven(log=proofs.open_log(repo, branch))
    try:
        found.head = chain.head_of(found.log)
        size = found.head.edge.size
        for number, data in chain.entries(found.log):
            progress(number + 1, size)
            if number != len(found.leaves) and number < size:
                found.problems.append(f"entry {len(found.leaves)} is missing")
            if number < size:
                _entry(found, number, data, branch, key)
        if len(found.leaves) < size:
            found.problems.append(f"{size - len(found.leaves)} of its {size} entries are missing")
        _told_roots(repo, found, branch, key)
        _strangers(found)
    except Cannot as error:
        found.problems.append(error.message)
    except RecursionError:
        found.problems.append("its folders are nested too deep")
    return found


@contextmanager
def public(key: Path | None) -> Iterator[Path | None]:
    """The public half of a key in a file of its own, so that it is looked for once. Raises Cannot(signing-failed)."""
    if key is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="ghost-key-") as folder:
        half = Path(folder, "key.pub")
        half.write_text(sign.public_key(key) + "\n", encoding="utf-8")
        yield half


# Entries --------------------------------------------------------------------------------------------------------


def _entry(found: Proven, number: int, data: bytes, branch: str, key: Path | None) -> None:
    """Read one entry; whatever is wrong with it, its place in the tree is kept."""
    envelope = dsse.Envelope(statement=b"")
    try:
        envelope = dsse.unwrap(data)
        told = read_statement(envelope.statement)
    except Cannot as error:
        found.problems.append(f"entry {number}: {error.message}")
    else:
        entry = _logged(number, envelope, told)
        wrong = [*_contents(found, entry, told, branch), *_signatures(found, entry, envelope, key)]
        found.problems += [f"entry {number} ({entry.id}): {problem}" for problem in wrong]
        found.entries.append(entry)
    found.leaves.append(merkle.leaf(envelope.statement))


def _logged(number: int, envelope: dsse.Envelope, told: Told) -> Logged:
    return Logged(
        number=number,
        proof=proof.digest(envelope.statement),
        statement=envelope.statement,
        id=told.id,
        outcome=told.outcome,
        anchor=told.anchor,
        signed=bool(envelope.signatures),
    )


def _contents(found: Proven, entry: Logged, told: Told, branch: str) -> Iterator[str]:
    if told.branch != branch:
        yield f"it is of branch {told.branch}"
    if hashlib.sha256(found.body(entry)).hexdigest() != told.digest:
        yield "its canonical patch is not the one whose digest it tells"
    if told.anchor is None and "log" in told.predicate:
        yield "it was sealed while the log could not be read"


def _signatures(found: Proven, entry: Logged, envelope: dsse.Envelope, key: Path | None) -> Iterator[str]:
    """Once there was a signature, every later entry has one: one that lacks it was put there by somebody else."""
    if not entry.signed:
        if any(before.signed for before in found.entries[-1:]):
            yield "it is not signed, and the one before it is"
        return
    if key is None:
        return
    if all(_holds(dsse.pae(envelope.statement), each, dsse.NAMESPACE, key) for each in envelope.signatures):
        found.signed += 1
    else:
        yield "its signature does not hold"


def _holds(data: bytes, signature: str, namespace: str, key: Path) -> bool:
    return sign.verify(data, signature, namespace, key)


# What was told of the tree --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """Somebody's word that the log had this head; `problem` is what to say where it had not."""

    anchor: Anchor
    problem: str


def _told_roots(repo: Repository, found: Proven, branch: str, key: Path | None) -> None:
    words = [_Word(anchor=found.head.anchor, problem="its entries do not give the root that its head tells")]
    words += [*_earlier(repo, found), *_checkpoints(found, branch, key), *_anchors(found)]
    found.problems += contradicted(found, words)


def contradicted(found: Proven, words: Sequence[_Word]) -> list[str]:
    """The words about a log that are not true of it."""
    roots = found.roots({word.anchor.size for word in words})
    return [word.problem for word in words if roots.get(word.anchor.size) != word.anchor.root]


def remembered(head: Head) -> _Word:
    """The word of a ledger, which wrote down where it left the log."""
    problem = f"the ledger left it with {head.edge.size} entries and another root: something was taken or changed"
    return _Word(anchor=head.anchor, problem=problem)


def _earlier(repo: Repository, found: Proven) -> Iterator[_Word]:
    """Every state that the log's own history has: each has to be the beginning of what it is now."""
    for log in proofs.earlier(repo, found.log):
        commit = str(log.commit)[:10]
        yield _Word(
            anchor=chain.head_of(log).anchor,
            problem=f"its state in commit {commit} is no beginning of what it is now: it was rewritten",
        )


def _anchors(found: Proven) -> Iterator[_Word]:
    for entry in found.entries:
        if entry.anchor is None:
            continue
        word = f"entry {entry.number} ({entry.id}): it was sealed on a log of {entry.anchor.size} entries"
        if entry.anchor.size > entry.number:
            found.problems.append(f"{word} and stands before its end: entries were taken out or moved")
        else:
            yield _Word(anchor=entry.anchor, problem=f"{word} that were others: some were changed, taken out or moved")


def _checkpoints(found: Proven, branch: str, key: Path | None) -> Iterator[_Word]:
    signed = False
    for path in [path for path in found.log.files() if path.startswith("checkpoints/")]:
        note, signature = checkpoint.load(found.log.read(path) or b"")
        found.checkpoints += 1
        if signature is None and signed:
            found.problems.append(f"{path}: it is not signed, and the one before it is")
        if signature is not None and key is not None:
            good = _holds(note.text, signature, checkpoint.NAMESPACE, key)
            found.signed += good
            found.problems += [] if good else [f"{path}: its signature does not hold"]
        if note.branch != branch or chain.place("checkpoints", note.anchor.size, "txt") != path:
            found.problems.append(f"{path}: it is of another branch or size")
        signed = signed or signature is not None
        yield _Word(anchor=note.anchor, problem=f"{path}: the log had another root when it had so many entries")


def _strangers(found: Proven) -> None:
    """A log holds what it says and nothing beside it."""
    kinds = ("dsse.json", "body.json")
    own = {chain.place("entries", number, kind) for number in range(len(found.leaves)) for kind in kinds} | {
        "head.json"
    }
    odd = [path for path in found.log.files() if path not in own and not path.startswith("checkpoints/")]
    found.problems += [f"{path}: it is not part of the log" for path in odd]
