"""Prove a change or a refusal: gather what its statement says, and check it before the commit point where it is asked.

Nothing here writes. A statement is in the job's row before the commit that bears its digest can be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Kind
from ghostd.model.patch import Validation
from ghostd.pipeline import chain, dsse, policy, proof, recompute, rules
from ghostd.pipeline.attempt import Attempt, Change
from ghostd.pipeline.told import contradictions, read
from ghostd.repo import commit, objects, sign
from ghostd.repo.git import Repository


def of_change(attempt: Attempt, change: Change) -> bytes:
    """The statement of a change that is about to be committed."""
    job, settings = attempt.job, attempt.shop.settings
    more: dict[str, Any] = {"undone": list(change.undone)} if change.undone else {}
    if change.restores is not None:
        more["restores"] = change.restores
    return proof.seal(
        job,
        base=change.base,
        base_tree=change.base_tree,
        tree=change.tree,
        matches=change.matches,
        verdicts=change.verdicts,
        left_out=change.left_out,
        on_base=[name for name, gate in settings.gates.items() if gate.when == "pre"],
        policy=_policy(attempt, change.validation),
        log=_anchor(attempt),
        commit={
            "author": commit.person(change.author),
            "when": job.received_at,
            "messageSha256": proof.digest(message(attempt, change, "").encode("utf-8", "replace")),
        },
        dryCheck=rules.effective(change.validation, attempt.lane).run_dry_check,
        **more,
    )


def message(attempt: Attempt, change: Change, proof: str) -> str:
    """The commit's message. Its statement holds the digest of the same without the proof, which comes later."""
    job = attempt.job
    trailers = commit.trailers(
        id=job.id,
        digest=job.digest,
        lane=job.lane,
        phase=job.phase,
        proof=proof,
        reverts=change.reverts,
        reapplies=change.reapplies,
        restores=change.restores,
    )
    return commit.message(commit.subject(job.id, change.description), change.description, trailers)


def of_end(attempt: Attempt, told: Mapping[str, Any]) -> bytes:
    """The statement of a job that ends without a commit; `told` is its RESULT.

    Empty where the repository can not be read: then it has no log either, and this may be why the job failed.
    """
    job, repo = attempt.job, attempt.repo
    try:
        base = attempt.base()
        base_tree = objects.tree_of(repo, base).oid
    except Cannot:
        return b""
    return proof.seal_end(
        job,
        told,
        base=base,
        base_tree=base_tree,
        verdicts=attempt.verdicts,
        policy=_policy(attempt, _asked(attempt)),
        log=_anchor(attempt),
    )


def before_commit(attempt: Attempt, change: Change, statement: bytes) -> None:
    """Where `requireMutationProof` holds: read the sealed `statement` back, and check it against the change.

    The tree is made once more from the parent and the patch; where there is a key, it has to sign and to verify.
    Raises Cannot(proof-failed).
    """
    if not rules.effective(change.validation, attempt.lane).require_mutation_proof:
        return
    job = attempt.job
    kept = attempt.shop.ledger.get(job.id)
    if kept is None or kept.statement != statement:
        problems = ["the ledger did not keep its statement as it was sealed"]
    else:
        problems = _contents(attempt, change, kept.statement) + _signature(attempt, kept.statement)
    if problems:
        raise Cannot(
            f"prove {job.id} before its commit: {problems[0]}",
            kind="proof-failed",
            hint=f"this should not happen; keep the log, then ghost queue requeue {job.id}",
            problems=problems,
        )


def _contents(attempt: Attempt, change: Change, statement: bytes) -> list[str]:
    """In which points the statement does not tell of the change, or the change is not what its patch gives."""
    job, told = attempt.job, read(statement)
    problems = contradictions(told, id=job.id, digest=job.digest, lane=job.lane, tree=change.tree, parent=change.base)
    again = recompute.tree_of(attempt.repo, told, job.body)
    if again.why:
        problems.append(again.why)
    elif again.tree not in (None, change.tree):
        problems.append(f"made anew it gives tree {again.tree}, not {change.tree}")
    return problems


def _signature(attempt: Attempt, statement: bytes) -> list[str]:
    """Where there is a key, it has to sign, and what it signs has to verify."""
    key = attempt.shop.settings.git.signing_key
    if key is None:
        return []
    try:
        signature = sign.sign(dsse.pae(statement), dsse.NAMESPACE, key)
        good = sign.verify(dsse.pae(statement), signature, dsse.NAMESPACE, key)
    except Cannot as error:
        return [str(error)]
    return [] if good else [f"the signature by {key} does not verify"]


def _policy(attempt: Attempt, validation: Validation) -> Mapping[str, Any]:
    return policy.in_force(attempt.lane, validation, no_gates=bool(attempt.job.options.get("no_gates")))


def anchor(repo: Repository, branch: str) -> proof.Anchor | None:
    """Where the log stands. A broken one stops no patch; the statement says so, and so does `ghost verify`."""
    try:
        return chain.head(repo, branch).anchor
    except Cannot:
        return None


def _anchor(attempt: Attempt) -> proof.Anchor | None:
    return attempt.ground.log if attempt.ground is not None else anchor(attempt.repo, attempt.job.branch)


def _asked(attempt: Attempt) -> Validation:
    return attempt.patch().validation if attempt.job.kind is Kind.PATCH else Validation()
