"""One working branch as its own commits tell it: what landed in which order, and what of it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ghostd.model.job import Landed
from ghostd.pipeline.workshop import Workshop
from ghostd.repo.git import Repository
from ghostd.store.ports import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A branch at one moment; `landed` are our commits on it, oldest first."""

    repo: Repository
    ledger: Ledger
    name: str
    landed: tuple[Landed, ...]
    #: Where each commit stands in `landed`.
    position: Mapping[str, int]
    #: The newest commit that each id made.
    made: Mapping[str, Landed]
    #: The ids that were made and not taken back since.
    standing: frozenset[str]

    @property
    def at(self) -> tuple[str, str]:
        """Repository and branch, as the ledger asks for them."""
        return self.repo.identity, self.name


def branch(shop: Workshop, repo: Repository, name: str) -> Branch:
    """The branch as the ledger's index knows it; the caller has brought the index up to the tip."""
    return known(repo, shop.ledger, name, shop.ledger.branch_commits(repo.identity, name))


def known(repo: Repository, ledger: Ledger, name: str, landed: Sequence[Landed]) -> Branch:
    """The branch as it was when these were our commits on it."""
    return Branch(
        repo=repo,
        ledger=ledger,
        name=name,
        landed=tuple(landed),
        position={found.commit: n for n, found in enumerate(landed)},
        made={found.id: found for found in landed},
        standing=standing(landed),
    )


def needed(commits: Iterable[Landed]) -> list[Landed]:
    """Without those that another one of them brought back: undoing that one takes them back as well."""
    each = {found.commit: found for found in commits}
    brought = {id for found in each.values() for id in found.reapplies}
    return [found for found in each.values() if found.id not in brought]


def standing(landed: Iterable[Landed]) -> frozenset[str]:
    """The ids that stand after these commits, oldest first: the newest commit that touched an id decides."""
    stands: dict[str, bool] = {}
    for found in landed:
        stands |= {found.id: True} | dict.fromkeys(found.reapplies, True) | dict.fromkeys(found.reverts, False)
    return frozenset(id for id, it_does in stands.items() if it_does)
