"""A patch's own commands: run only where its lane allows them, and only in the whole cell; what they change is checked.

The stages in their order: the commands before (`preCommit`, `preMutationValidation`) look at the files as they are; op
`shell` runs between the mutations, on what those before it made; the commands of the build (`postMutationBuild`) run on
the result. What op `shell` and the build leave different becomes changes of the patch, under the same rules as all
others; what a look at the files leaves is thrown away. A stage that fails rejects the patch, whatever its flags say.
Nothing but objects is written here, and a kill leaves what a kill of a gate leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ghostd.base.errors import Cannot
from ghostd.model.patch import Delete, Match, Mutation, Patch, Shell, Symlink, Write
from ghostd.model.settings import LaneSettings
from ghostd.model.tree import Change as PathChange
from ghostd.model.tree import Mode
from ghostd.patches.apply import apply_mutations, no_change, refuse_shell, split_at_shell
from ghostd.pipeline import check, gates, rules
from ghostd.pipeline.attempt import Attempt
from ghostd.pipeline.rules import NoVerdict, Reject, Said
from ghostd.pipeline.task import Ran
from ghostd.repo import objects, worktree
from ghostd.sandbox import cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the mutations and commands of a patch made of a tree."""

    tree: str
    changes: tuple[PathChange, ...]
    matches: tuple[Match, ...]


def brings_commands(patch: Patch) -> bool:
    """Whether a patch wants anything run."""
    validation = patch.validation
    stages = (*validation.shell_before, *validation.shell_build, *validation.shell)
    return bool(stages) or any(isinstance(each, Shell) for each in patch.mutations)


def allow(lane: LaneSettings, patch: Patch) -> None:
    """Refuse commands that may not run here: the lane does not allow them, or the machine can not shut them in."""
    if not brings_commands(patch):
        return
    if not lane.allow_shell:
        refuse_shell(patch)
    if lacking := cell.missing(rules.OWN_POLICY):
        raise Cannot(
            f"run the patch's own shell commands: the sandbox lacks {', '.join(lacking)}",
            kind="shell-not-allowed",
            hint="ghost doctor says how to get it, or leave the commands out",
            layers=list(lacking),
        )


def beginning(patch: Patch) -> tuple[tuple[Mutation, ...], bool]:
    """The mutations in front of a patch's first op shell, and whether that is all of them."""
    parts = split_at_shell(patch)
    first = parts[0] if parts and not isinstance(parts[0], Shell) else ()
    return first, len(first) == len(patch.mutations)


def applied(attempt: Attempt, patch: Patch, before: objects.GitTree) -> Made:
    """The patch applied to a tree, its commands run where they stand. Raises Cannot for every verdict against it."""
    return _Run(attempt=attempt, patch=patch, before=before).through()


@dataclass(slots=True, kw_only=True)
class _Run:
    """One patch on its way through its stages."""

    attempt: Attempt
    patch: Patch
    before: objects.GitTree
    #: What was made so far.
    tree: objects.GitTree = field(init=False)
    matches: list[Match] = field(default_factory=list)

    def through(self) -> Made:
        validation = self.patch.validation
        self.tree = self.before
        self._dry_check()
        for name, command in _numbered("before", validation.shell_before):
            self._look(name, command)
        commands = 0
        for part in split_at_shell(self.patch):
            if isinstance(part, Shell):
                commands += 1
                self._change(f"op:{commands}", part.run)
            else:
                self._mutate(part)
        for name, command in _numbered("build", validation.shell_build):
            self._change(name, command)
        return self._made()

    def _dry_check(self) -> None:
        """Apply in memory what stands before the first command, so that a misfit is told before anything is run."""
        wanted = rules.effective(self.patch.validation, self.attempt.lane)
        if not wanted.run_dry_check:
            return
        mutations, whole = beginning(self.patch)
        files = len(apply_mutations(self.before, mutations, match=self.attempt.lane.match).changes)
        check.fits(self.attempt, wanted, files, whole=whole)

    def _mutate(self, mutations: Sequence[Mutation]) -> None:
        found = apply_mutations(self.tree, mutations, match=self.attempt.lane.match)
        self.matches += found.matches
        oid = objects.write_tree(self.attempt.repo, self.tree, found.changes)
        self.tree = objects.GitTree(self.attempt.repo, oid)

    def _look(self, name: str, command: str) -> None:
        self._run(name, command, keep=False)

    def _change(self, name: str, command: str) -> None:
        self._mutate(_as_mutations(self._run(name, command, keep=True)))

    def _run(self, name: str, command: str, *, keep: bool) -> tuple[PathChange, ...]:
        """Run one command on the files so far; what it changed, where that is asked for. Raises Cannot if it failed."""
        attempt, bench = self.attempt, self.attempt.bench()
        gate = rules.own_gate(name, command, required=True)
        wanted = rules.effective(self.patch.validation, attempt.lane)
        task = check.task(attempt, gate, self.tree.oid, wanted, self.patch.execution)

        def work() -> tuple[Ran, tuple[PathChange, ...]]:
            with bench.pool.checkout(self.tree.oid) as files:
                ran = gates.judged(gate, gates.run_in(files, task, bench))
                passed = keep and ran.verdict.said is Said.PASSED
                return ran, worktree.read_back(attempt.repo, files, self.tree.oid) if passed else ()

        ((_, (ran, changes)),) = gates.side_by_side([work], bench)
        answer = gates.answer(task, (ran,))
        attempt.verdicts.append(answer.verdict)
        check.write_down(attempt, answer, wanted)
        match ran.verdict.said:
            case Said.FAILED:
                check.raise_against(attempt.job.id, Reject(gate=ran.verdict))
            case Said.ERROR | Said.TIMEOUT:
                check.raise_against(attempt.job.id, NoVerdict(gate=ran.verdict))
        return changes

    def _made(self) -> Made:
        changes = objects.changes(self.attempt.repo, self.before.oid, self.tree.oid)
        if not changes and not self.patch.allow_empty:
            raise no_change(self.patch)
        return Made(tree=self.tree.oid, changes=changes, matches=tuple(dict.fromkeys(self.matches)))


def _numbered(stage: str, commands: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((f"{stage}:{number}", command) for number, command in enumerate(commands, 1))


def _as_mutations(changes: Sequence[PathChange]) -> tuple[Mutation, ...]:
    """What a command did as the patch could have said it. What goes, goes first: a file may come where a folder was."""
    goes = tuple(Delete(path=change.path) for change in changes if change.after is None)
    comes = tuple(_coming(change) for change in changes if change.after is not None)
    return (*goes, *comes)


def _coming(change: PathChange) -> Mutation:
    assert change.after is not None
    if change.after.mode is Mode.SYMLINK:
        return Symlink(path=change.path, target=change.after.data)
    return Write(path=change.path, data=change.after.data, mode=change.after.mode)
