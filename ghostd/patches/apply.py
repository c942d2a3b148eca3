"""All mutations of a patch on a tree, in memory: the changes that it makes, or a refusal, never a part of it.

Mutations run in their order, and each sees what the ones before it did. Two rules let files trade places:

* Renames that follow one another are one step. Each takes its file from the state before the step (or, where nothing
  was there, from what an earlier rename of the step put there); then all sources go, then all targets are written. So
  `a -> b, b -> a` swaps two files.
* So are the files of one diff, of one apply_patch and of one op blocks: all are read before any is removed or written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ghostd.model.patch import (
    ApplyPatch,
    Blocks,
    Chmod,
    Delete,
    Diff,
    Insert,
    JsonPatch,
    Match,
    Mutation,
    Patch,
    Regex,
    Rename,
    Replace,
    Shell,
    Symlink,
    Write,
)
from ghostd.model.tree import Change, File, Mode, Tree
from ghostd.patches.edits import insert_text, replace_pattern, replace_text
from ghostd.patches.json_edit import edit_json
from ghostd.patches.overlay import Overlay
from ghostd.patches.parts import apply_blocks, apply_parts
from ghostd.patches.patchwork import apply_diff
from ghostd.patches.place import Place
from ghostd.patches.refusal import Refusal, refuse

__all__ = ["Applied", "Refusal", "apply", "apply_mutations", "no_change", "refuse_shell", "split_at_shell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a patch does to a tree: each path once, in order, and how each text was found."""

    changes: tuple[Change, ...]
    matches: tuple[Match, ...]


def apply(tree: Tree, patch: Patch, *, match: str = "indent", shell: bool = False, submodules: bool = False) -> Applied:
    """Apply a whole patch. `match` caps the level of matching. Raises Refusal, and then nothing has happened.

    `shell` says that the caller runs the stages of commands itself; a patch with op shell goes by `split_at_shell`.
    `submodules` lets diffs move submodules, as a replay of real history has to.
    """
    if not shell:
        refuse_shell(patch)
    applied = apply_mutations(tree, patch.mutations, match=match, submodules=submodules)
    if not applied.changes and not patch.allow_empty:
        raise no_change(patch)
    return applied


def apply_mutations(
    tree: Tree, mutations: Sequence[Mutation], *, match: str = "indent", submodules: bool = False
) -> Applied:
    """Apply mutations without op shell; that they change nothing is no refusal here. Raises Refusal."""
    overlay = Overlay(tree, submodules=submodules)
    overlay.expressions = sum(isinstance(each, Regex) for each in mutations)
    matches = tuple(found for step in _steps(mutations) for found in _perform(overlay, step, match))
    return Applied(changes=overlay.changes(), matches=tuple(dict.fromkeys(matches)))


def split_at_shell(patch: Patch) -> tuple[tuple[Mutation, ...] | Shell, ...]:
    """The patch's mutations cut at its commands: each command runs on what the mutations before it made."""
    parts: list[tuple[Mutation, ...] | Shell] = []
    for commands, group in groupby(patch.mutations, key=lambda each: isinstance(each, Shell)):
        taken = tuple(group)
        parts += [each for each in taken if isinstance(each, Shell)] if commands else [taken]
    return tuple(parts)


def no_change(patch: Patch) -> Refusal:
    """The refusal of a patch after which the tree is what it was."""
    hint = "the tree is already as the patch would make it"
    return refuse("no-change", None, f"apply {patch.id}: it changes nothing", hint=hint)


def refuse_shell(patch: Patch) -> None:
    """Refuse a patch with commands of its own, where there is nobody who may run them. Raises Refusal."""
    validation = patch.validation
    stages = (*validation.shell_before, *validation.shell_build, *validation.shell)
    if stages or any(isinstance(each, Shell) for each in patch.mutations):
        hint = "leave them out, or name gates of the lane in validation.gates"
        raise Refusal("run the patch's own shell commands", kind="shell-not-allowed", hint=hint)


def _steps(mutations: Sequence[Mutation]) -> Iterator[Sequence[Mutation]]:
    """The mutations one by one, renames that follow one another as one step."""
    for renames, group in groupby(mutations, key=lambda each: isinstance(each, Rename)):
        if renames:
            yield tuple(group)
        else:
            yield from ((each,) for each in group)


def _perform(overlay: Overlay, step: Sequence[Mutation], cap: str) -> Iterator[Match]:
    """One step; yields how its texts were found."""
    match step[0]:
        case Rename():
            _rename(overlay, [each for each in step if isinstance(each, Rename)])
        case Write(path=path, data=data, mode=mode):
            old = overlay.mode(path)
            kept = old if old in (Mode.FILE, Mode.EXECUTABLE) else Mode.FILE
            overlay.put(path, File(mode=mode or kept, data=data))
        case Symlink(path=path, target=target):
            overlay.put(path, File(mode=Mode.SYMLINK, data=target))
        case Delete(path=path):
            overlay.remove(path)
        case Chmod(path=path, mode=mode):
            overlay.put(path, replace(overlay.regular(path), mode=mode))
        case Replace() | Regex() | Insert() as edit:
            yield _edit(overlay, edit, cap)
        case Diff() as diff:
            yield from apply_diff(overlay, diff, cap)
        case ApplyPatch() as parts:
            yield from apply_parts(overlay, parts, cap)
        case Blocks() as blocks:
            yield from apply_blocks(overlay, blocks, cap)
        case JsonPatch() as edit:
            yield _edit_json(overlay, edit)
        case Shell():
            raise AssertionError("a command is run between two applications, see split_at_shell")


def _edit(overlay: Overlay, edit: Replace | Regex | Insert, cap: str) -> Match:
    file = overlay.regular(edit.path)
    place = Place(path=edit.path, data=file.data, entry=overlay.untouched(edit.path), cap=cap)
    match edit:
        case Replace():
            edited = replace_text(place, edit)
        case Regex():
            edited = replace_pattern(place, edit, overlay.expressions - 1)
        case Insert():
            edited = insert_text(place, edit)
    overlay.put(edit.path, replace(file, data=edited.data))
    return Match(path=edit.path, level=edited.level)


def _edit_json(overlay: Overlay, edit: JsonPatch) -> Match:
    file = overlay.regular(edit.path)
    data = edit_json(file.data, edit, overlay.untouched(edit.path))
    overlay.put(edit.path, replace(file, data=data))
    return Match(path=edit.path, level="exact")


def _rename(overlay: Overlay, renames: Sequence[Rename]) -> None:
    """Renames as one step, by the rule of the module's docstring."""
    gone: set[bytes] = set()
    placed: dict[bytes, File] = {}
    for each in renames:
        if each.path not in gone and overlay.mode(each.path) is not None:
            file = overlay.file(each.path)
            gone.add(each.path)
        elif each.path in placed:
            file = placed.pop(each.path)
        elif each.path in gone:
            raise refuse("missing-path", each.path, "rename a file twice", hint="name each source once")
        else:
            file = overlay.file(each.path)
        if each.to in placed:
            raise refuse("path-exists", each.to, "rename two files to one name")
        placed[each.to] = file
    for path in gone:
        overlay.remove(path)
    for path, file in placed.items():
        if overlay.mode(path) is not None:
            raise refuse("path-exists", path, "rename over a file", hint="delete it in the same patch first")
        overlay.put(path, file)
