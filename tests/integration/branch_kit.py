"""A working branch with a random real history, for tests of what takes patches back."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from repo_play import WORK, put
from store_kit import StandingClock

from ghostd.model.tree import Change, File, Mode
from ghostd.pipeline import restore, rollback
from ghostd.pipeline.branch import Branch, known
from ghostd.repo import commit, history
from ghostd.repo.git import Repository
from ghostd.repo.objects import tree_of, write_tree
from ghostd.store.db import open_ledger

#: Few different lines, so that a diff has many ways to be told and has to be told as the merge does.
_WORDS = [b"alpha\n", b"beta\n", b"gamma\n", b"\n", b"    pass\n", b"}\n"]
#: What may happen to a path of which nothing else happens in the same patch, and how often.
_IN_PLACE = {"edit": 12, "mode": 1, "binary": 1, "link": 1}
_ANY = {**_IN_PLACE, "add": 3, "delete": 1, "rename": 1, "folder": 1}


@dataclass
class Play:
    """Patches on one branch, each a random change of what the one before left."""

    repo: Repository
    ledger_path: object
    seed: int
    random: random.Random = field(init=False)
    count: int = 0

    def __post_init__(self):
        self.random = random.Random(self.seed)
        self.ledger = open_ledger(self.ledger_path, clock=StandingClock())

    def tree(self):
        return tree_of(self.repo, commit.base(self.repo, WORK))

    def line(self):
        fresh = b"%d\n" % self.random.randrange(1_000_000)
        return fresh if self.random.random() < 0.4 else self.random.choice(_WORDS)

    def lines(self, least, most):
        return [self.line() for _ in range(self.random.randint(least, most))]

    def patch(self, id=None):
        """One more patch; its id."""
        self.count += 1
        id = id or f"p{self.count}"
        tree = self.tree()
        many = self.random.choice((1, 1, 1, 2, 3))
        kinds = _ANY if many == 1 else _IN_PLACE
        made = {change.path: change for _ in range(many) for change in self.change(tree, kinds)}
        return self.land(id, write_tree(self.repo, tree, made.values()))

    def land(self, id, tree, **more):
        put(self.repo, id, tree, **more)
        self.learn()
        return id

    def learn(self):
        tip = self.ledger.known(self.repo.identity, WORK)
        scan = history.landed_since(self.repo, WORK, tip)
        self.ledger.learn(self.repo.identity, WORK, scan.landed, scan.tip, anew=scan.rewound)

    def branch(self) -> Branch:
        return known(self.repo, self.ledger, WORK, self.ledger.branch_commits(self.repo.identity, WORK))

    def change(self, tree, kinds) -> list[Change]:
        files = sorted(path for path in tree.below(b"") if path.startswith(b"f"))
        kind = self.random.choices(list(kinds), kinds.values())[0] if files else "add"
        path = self.random.choice(files) if files else b""
        return getattr(self, "_" + kind)(tree, path)

    def _edit(self, tree, path):
        was = tree.entry(path)
        if was.mode == Mode.SYMLINK:
            return self._link(tree, path)
        lines = tree.read(path).splitlines(keepends=True)
        for _ in range(self.random.choice((1, 1, 2))):
            start = self.random.randint(0, len(lines))
            end = min(len(lines), start + self.random.choice((0, 1, 1, 2, 4)))
            lines[start:end] = self.lines(0, 4)
        return [self.written(tree, path, b"".join(lines), was.mode)]

    def _add(self, tree, _):
        path = b"f%d" % self.random.randrange(12)
        if tree.is_folder(path):
            path += b"/in"
        return [self.written(tree, path, b"".join(self.lines(0, 40)))]

    def _delete(self, tree, path):
        return [Change(path=path, before=tree.entry(path), after=None)]

    def _rename(self, tree, path):
        to = b"f%d" % self.random.randrange(20, 40)
        # What was moved here before may have become a folder since.
        to += b"/in" * tree.is_folder(to)
        was = tree.entry(path)
        return [*self._delete(tree, path), self.written(tree, to, tree.read(path), was.mode)]

    def _mode(self, tree, path):
        was = tree.entry(path)
        if was.mode == Mode.SYMLINK:
            return self._link(tree, path)
        other = Mode.FILE if was.mode == Mode.EXECUTABLE else Mode.EXECUTABLE
        return [self.written(tree, path, tree.read(path), other)]

    def _binary(self, tree, path):
        return [self.written(tree, path, b"\0" + self.random.randbytes(20))]

    def _link(self, tree, path):
        return [self.written(tree, path, b"f%d" % self.random.randrange(12), Mode.SYMLINK)]

    def _folder(self, tree, path):
        """A file becomes a folder with a file in it, or the other way round."""
        if b"/" in path:
            folder = path.partition(b"/")[0]
            gone = [change for each in tree.below(folder) for change in self._delete(tree, each)]
            return [*gone, self.written(tree, folder, b"".join(self.lines(1, 5)))]
        return [*self._delete(tree, path), self.written(tree, path + b"/in", b"".join(self.lines(1, 5)))]

    def written(self, tree, path, data, mode=Mode.FILE):
        return Change(path=path, before=tree.entry(path), after=File(mode=mode, data=data))

    def take_back(self, ids, *, with_dependents=True):
        """What `ghost rollback` does, without a queue around it; the trial."""
        trial = rollback.attempt(self.branch(), ids, with_dependents=with_dependents)
        if trial.tree is not None:
            self.count += 1
            self.land(f"rollback-{self.count}", trial.tree, reverts=trial.reverted, reapplies=trial.reapplied)
        return trial

    def freeze(self, phase):
        """What `ghost freeze` leaves in Git; the commit."""
        tip = commit.tip(self.repo, WORK)
        history.tag(self.repo, f"phase/{phase}", tip, f'phase: "{phase}"', 1)
        return tip

    def restore(self, phase):
        """What `ghost restore` does, without a queue around it; the plan."""
        plan = restore.plan(self.branch(), phase, phase)
        if plan.needed:
            self.count += 1
            trailers = {"reverts": plan.reverted, "reapplies": plan.reapplied, "restores": plan.tag}
            self.land(f"restore-{self.count}", plan.tree, **trailers)
        return plan

    def by_hand(self):
        """A random change of a person, which bears no id; the commit."""
        tree = self.tree()
        return self.commit_by_hand(write_tree(self.repo, tree, self.change(tree, _ANY)))

    def commit_by_hand(self, new):
        """A person's commit of this tree."""
        tip = commit.base(self.repo, WORK)
        spec = commit.CommitSpec(tree=new, parents=(tip,), message="by hand\n", author="Ann", when=1_753_770_600)
        made = commit.write_commit(self.repo, spec)
        self.repo.flush()
        assert commit.move(self.repo, WORK, made, tip)
        self.learn()
        return made
