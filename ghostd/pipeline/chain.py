"""The proof log of a branch: the statement of every job that came to its end, appended after the fact.

    head.json                    size, root and right edge of the Merkle tree; the ledger's row that came last
    entries/00/01/7f.dsse.json   the envelope of entry 0x17f; the leaf is the statement in it
    entries/00/01/7f.body.json   what the job was about: the canonical patch, or the request of a rollback or freeze
    checkpoints/00/01/80.txt     a note that the log had 0x180 entries, and their root; signed where there is a key

The log is the truth about itself: where it stands is read from it, never from the ledger. One call is one commit of
the log and one compare-and-swap; a kill before it leaves loose objects, a kill after it nothing to be done. A ledger
that was put back to an older state is noticed by the row that came last, and then every statement is looked up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ghostd.base.clock import rfc3339
from ghostd.base.errors import Cannot
from ghostd.model.job import Kind
from ghostd.pipeline import checkpoint, dsse, merkle, proof
from ghostd.pipeline.told import read
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import proofs, sign
from ghostd.repo.git import Repository
from ghostd.repo.proofs import Log
from ghostd.store.ports import Sealing

#: One call appends no more than this, so that who calls it between two patches is soon back at work.
MOST = 256
#: Nor much more than so many bytes, because a commit's objects are made in memory.
_WEIGHT = 8 << 20
#: A checkpoint is made when so many entries have come since the last one.
_EVERY = 256
_PAGE = 1000
_ENTRY = re.compile(r"entries/([0-9a-f]{2,})/([0-9a-f]{2})/([0-9a-f]{2})\.dsse\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a log stands. `last` is the ledger's row of the newest entry, and that entry's proof."""

    edge: merkle.Edge = merkle.NOTHING
    last: tuple[int, str] = (0, "")

    @property
    def anchor(self) -> proof.Anchor:
        return proof.Anchor(size=self.edge.size, root=self.edge.root.hex())

    def dump(self) -> bytes:
        edge = {"size": self.edge.size, "root": self.edge.root.hex(), "edge": [node.hex() for node in self.edge.nodes]}
        return json.dumps({**edge, "last": list(self.last)}, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One end of a job on its way into the log."""

    seq: int
    statement: bytes
    body: bytes


def catch_up(shop: Workshop, repo: Repository, branch: str, *, most: int = MOST) -> int:
    """Append what the ledger has sealed and the branch's log does not hold yet; how many entries were added.

    At most `most` of them, as one commit of the log and one compare-and-swap. Cheap where there is nothing to do.
    Raises Cannot(signing-failed) where there is a key that does not sign, and Cannot(proof-damaged) for a broken log.
    """
    log = proofs.open_log(repo, branch)
    head = head_of(log)
    fresh = list(_bodies(shop, _fresh(shop, repo, branch, log, head, most)))
    if not fresh:
        return 0
    after = Head(
        edge=head.edge.extended(merkle.leaf(each.statement) for each in fresh),
        last=(fresh[-1].seq, proof.digest(fresh[-1].statement)),
    )
    files = {"head.json": after.dump(), **_files(shop, head.edge.size, fresh)}
    if _due(head, after, fresh):
        files[place("checkpoints", after.edge.size, "txt")] = _note(shop, branch, after)
    told = f"proofs of {branch}: {len(fresh)} more, {after.edge.size} in all\n"
    if not proofs.extend(repo, branch, log, files, message=told, when=int(shop.clock.wall())):
        # Another process was quicker; the next call looks at what is left.
        return 0
    # Only so that `ghost verify` can tell a log that lost its end; a kill before this line leaves an older, true note.
    shop.ledger.kv_set(f"proofs:{repo.identity}:{branch}", after.dump().decode())
    return len(fresh)


def remembered(shop: Workshop, repo: Repository, branch: str) -> Head:
    """The head of the log as this workspace last left it."""
    noted = shop.ledger.kv_get(f"proofs:{repo.identity}:{branch}")
    return Head() if noted is None else load(noted.encode())


def head(repo: Repository, branch: str) -> Head:
    """Where the branch's log stands now. One reading of a ref, where nothing has changed since the last call."""
    commit, key = proofs.position(repo, branch), (repo.identity, branch)
    if key not in _HEADS or _HEADS[key][0] != commit:
        _HEADS[key] = (commit, head_of(proofs.at(repo, commit)))
    return _HEADS[key][1]


#: The newest head of each log that this process has read, under the commit that holds it.
_HEADS: dict[tuple[str, str], tuple[str | None, Head]] = {}


def head_of(log: Log) -> Head:
    """The head that one state of a log tells; of an empty log where there is none. Raises Cannot(proof-damaged)."""
    data = log.read("head.json")
    return Head() if data is None else load(data)


def load(data: bytes) -> Head:
    """A head read back, whoever wrote it. Raises Cannot(proof-damaged)."""
    try:
        told = json.loads(data)
        nodes = tuple(bytes.fromhex(node) for node in told["edge"])
        seq, last = told["last"]
        found = Head(edge=merkle.Edge(size=int(told["size"]), nodes=nodes), last=(int(seq), str(last)))
        if not found.edge.whole or found.edge.root.hex() != told["root"]:
            raise _damaged("its head contradicts itself")
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise _damaged(f"its head can not be read: {type(error).__name__}") from error
    return found


def place(folder: str, number: int, kind: str) -> str:
    """The path of an entry or checkpoint; no folder of the log grows beyond a few hundred names."""
    return f"{folder}/{number >> 16:02x}/{number >> 8 & 0xFF:02x}/{number & 0xFF:02x}.{kind}"


def entries(log: Log) -> Iterator[tuple[int, bytes]]:
    """The number and envelope of each entry that is there, in order, whatever the log's head says."""
    found = sorted(
        (int("".join(match.groups()), 16), path) for path in log.files() if (match := _ENTRY.fullmatch(path))
    )
    return ((number, log.read(path) or b"") for number, path in found)


# What is not in the log yet -------------------------------------------------------------------------------------


def _fresh(shop: Workshop, repo: Repository, branch: str, log: Log, head: Head, most: int) -> Sequence[Sealing]:
    """The next statements of the ledger that the log does not hold, oldest first."""
    seq, last = head.last
    if not head.edge.size:
        return shop.ledger.sealings(repo.identity, branch, limit=most)
    known, *rest = shop.ledger.sealings(repo.identity, branch, since=seq - 1, limit=most + 1) or (None,)
    if known is not None and (known.seq, proof.digest(known.statement)) == (seq, last):
        return rest
    return _missing(shop, repo, branch, log, most)


def _missing(shop: Workshop, repo: Repository, branch: str, log: Log, most: int) -> Sequence[Sealing]:
    """The same for a ledger that did not write the newest entry: another workspace's, or one put back from a copy."""
    key = (str(shop.places.ledger), repo.identity, branch)
    compared, since = _COMPARED.get(key, (None, 0))
    if compared != log.commit:
        since = 0
    elif not shop.ledger.sealings(repo.identity, branch, since=since, limit=1):
        return ()
    known = {proof.digest(dsse.unwrap(data).statement) for _, data in entries(log)}
    found: list[Sealing] = []
    while len(found) < most and (page := shop.ledger.sealings(repo.identity, branch, since=since, limit=_PAGE)):
        found += [each for each in page if proof.digest(each.statement) not in known]
        since = page[-1].seq
    if not found:
        _COMPARED[key] = (log.commit, since)
    return found[:most]


#: Up to which row a ledger was compared with which state of a log, where that state was written by another ledger.
_COMPARED: dict[tuple[str, str, str], tuple[str | None, int]] = {}


def _bodies(shop: Workshop, fresh: Iterable[Sealing]) -> Iterator[Entry]:
    weight = 0
    for each in fresh:
        job = shop.ledger.get(each.id)
        assert job is not None
        yield Entry(seq=each.seq, statement=each.statement, body=job.body)
        weight += len(each.statement) + len(job.body)
        if weight > _WEIGHT:
            return


# What is written ------------------------------------------------------------------------------------------------


def _files(shop: Workshop, size: int, fresh: Sequence[Entry]) -> Mapping[str, bytes]:
    files = {}
    for number, each in enumerate(fresh, size):
        shop.alive()
        files[place("entries", number, "dsse.json")] = envelope(each.statement, shop.settings.git.signing_key)
        files[place("entries", number, "body.json")] = each.body
    return files


def envelope(statement: bytes, key: Path | None) -> bytes:
    """The statement in its envelope, signed where there is a key. Raises Cannot(signing-failed)."""
    signed = [] if key is None else [sign.sign(dsse.pae(statement), dsse.NAMESPACE, key)]
    return dsse.wrap(statement, signed)


def _due(before: Head, after: Head, fresh: Iterable[Entry]) -> bool:
    """Whether these entries call for a checkpoint: each so many, and at each freeze."""
    return before.edge.size // _EVERY != after.edge.size // _EVERY or any(
        read(each.statement).kind == Kind.FREEZE for each in fresh
    )


def _note(shop: Workshop, branch: str, after: Head) -> bytes:
    note = checkpoint.Note(branch=branch, anchor=after.anchor, time=rfc3339(shop.clock.wall()))
    key = shop.settings.git.signing_key
    return checkpoint.dump(note, None if key is None else sign.sign(note.text, checkpoint.NAMESPACE, key))


def _damaged(why: str) -> Cannot:
    return Cannot(f"read a proof log: {why}", kind="proof-damaged", hint="ghost verify tells what is left of it")
