"""What Git says has landed on each branch, kept as an index that can be thrown away and read anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ghostd.model.job import Landed
from ghostd.store import rows
from ghostd.store.part import Part, as_text
from ghostd.store.ports import Gained


class BranchIndex(Part):
    """Our commits of each branch, and what each of them did to which id."""

    def known(self, repo: str, branch: str) -> str | None:
        row = self._db.one("tip", repo=repo, branch=branch)
        return None if row is None else row["tip"]

    def learn(self, repo: str, branch: str, landed: Iterable[Landed], tip: str, *, anew: bool = False) -> None:
        where = {"repo": repo, "branch": branch}
        # Not synced: what Git says can be read again.
        with self._db.write(synced=False):
            if anew:
                self._db.all("forget_landed", **where)
                self._db.all("forget_effects", **where)
            for commit in landed:
                self._add(where, commit)
            self._db.all("set_tip", **where, tip=tip)

    def _gain(self, gained: Gained) -> None:
        """Within the transaction under way. Where the branch is not known up to there, the next look finds it all."""
        where = {"repo": gained.repo, "branch": gained.branch}
        if self._db.one("move_tip", **where, before=gained.before, tip=gained.tip) is not None:
            for commit in gained.landed:
                self._add(where, commit)

    def landed(self, repo: str, branch: str, id: str) -> Landed | None:
        row = self._db.one("newest_made", repo=repo, branch=branch, id=id)
        return None if row is None else rows.landed(row)

    def taken_back(self, repo: str, branch: str, id: str) -> str | None:
        row = self._db.one("newest_effect", repo=repo, branch=branch, id=id)
        return row["by"] if row is not None and row["effect"] == "reverts" else None

    def branch_commits(self, repo: str, branch: str) -> Sequence[Landed]:
        return [rows.landed(row) for row in self._db.all("branch_commits", repo=repo, branch=branch)]

    def _add(self, where: dict[str, str], commit: Landed) -> None:
        row = self._db.one(
            "add_landed",
            **where,
            oid=commit.commit,
            id=commit.id,
            digest=commit.digest,
            proof=commit.proof,
            lane=commit.lane,
            phase=commit.phase,
            reverts=as_text(commit.reverts),
            reapplies=as_text(commit.reapplies),
            restores=commit.restores,
        )
        # None: another process has learned it since we looked.
        if row is not None:
            for effect, id in _effects(commit):
                self._db.all("add_effect", **where, id=id, position=row["position"], effect=effect)


def _effects(commit: Landed) -> Iterable[tuple[str, str]]:
    yield "made", commit.id
    yield from (("reapplies", id) for id in commit.reapplies)
    yield from (("reverts", id) for id in commit.reverts)
