"""The one door of the path: a stranger's bytes become a job, and are acknowledged only when they are on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.model.job import Job, Kind, NewJob
from ghostd.model.patch import Caution, Patch
from ghostd.model.settings import LaneSettings
from ghostd.model.submission import Submission
from ghostd.patches.read import Malformed, read_patch
from ghostd.pipeline import rules
from ghostd.pipeline.rules import Repeat
from ghostd.pipeline.workshop import Workshop


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A receipt. You hold it, so the job is durable."""

    id: str
    digest: str
    job: Job
    #: None for a new job, else what the repetition of a known id means.
    repeat: Repeat | None
    warnings: tuple[Caution, ...] = ()

    @property
    def state(self) -> str:
        return self.job.state.value

    @property
    def created(self) -> bool:
        return self.repeat is None


class Intake:
    """Takes submissions into the ledger."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    def submit(self, submission: Submission) -> Taken:
        """Read, place and store one patch.

        Raises Cannot of kind malformed, id-reused, queue-full, strict-lane, disk-full, or one of a repository.
        """
        patch, lane = self.read(submission)
        if submission.options.get("no_gates") and lane.strict:
            raise Cannot(
                f"skip the gates of lane {lane.name}: it is strict", kind="strict-lane", hint="leave --no-gates out"
            )
        put = self._shop.ledger.put(self._job(patch, lane, submission), max_queue=lane.max_queue)
        repeat = None if put.created else self._repeat(put.job, patch.digest)
        if repeat is Repeat.REUSED:
            raise reused(patch.id)
        return Taken(id=patch.id, digest=patch.digest, job=put.job, repeat=repeat, warnings=patch.warnings)

    def read(self, submission: Submission) -> tuple[Patch, LaneSettings]:
        """The patch and the lane it goes to; nothing is stored."""
        settings = self._shop.settings
        patch = self._patch(submission)
        lane, warning = rules.lane_for(settings, submission.lane or patch.lane)
        cautions = [Caution(path="target.lane", message=warning)] if warning else []
        return replace(patch, warnings=(*patch.warnings, *cautions)), lane

    def _patch(self, submission: Submission) -> Patch:
        """Read it as its own lane would: a prefix that one lane knows means nothing in another.

        The lane stands in the text, so the lanes are tried in turn until one reads a patch that is meant for it.
        """
        settings, refusal = self._shop.settings, None
        for lane in self._candidates(submission.lane):
            try:
                patch = read_patch(submission.data, max_bytes=settings.store.max_patch, prefixes=lane.path_prefixes)
            except Malformed as error:
                refusal = refusal or error
                continue
            meant, _ = rules.lane_for(settings, submission.lane or patch.lane)
            if meant.path_prefixes == lane.path_prefixes:
                return patch
        raise refusal or AssertionError("a patch is meant for no lane")

    def _candidates(self, fixed: str | None) -> list[LaneSettings]:
        """One lane for each different list of prefixes, the likeliest first."""
        settings = self._shop.settings
        if fixed is not None:
            return [rules.lane_for(settings, fixed)[0]]
        lanes = [settings.default_lane, *settings.lanes.values()]
        return list({lane.path_prefixes: lane for lane in reversed(lanes)}.values())[::-1]

    def _job(self, patch: Patch, lane: LaneSettings, submission: Submission) -> NewJob:
        options = dict(submission.options)
        if patch.warnings:
            options["warnings"] = [f"{warning.path}: {warning.message}" for warning in patch.warnings]
        return NewJob(
            id=patch.id,
            kind=Kind.PATCH,
            lane=lane.name,
            repo=self._shop.repositories.of(lane).identity,
            branch=lane.branch,
            digest=patch.digest,
            body=patch.canonical,
            source=submission.data,
            origin=submission.origin,
            priority=patch.execution.priority,
            phase=patch.phase,
            session=patch.session,
            title=one_line(patch.description, 200),
            depends_on=patch.execution.depends_on,
            held=patch.execution.approve,
            options=options,
        )

    def _repeat(self, job: Job, digest: str) -> Repeat:
        ledger = self._shop.ledger
        return rules.repeat(
            job,
            digest,
            stands=ledger.landed(job.repo, job.branch, job.id) is not None,
            taken_back=ledger.taken_back(job.repo, job.branch, job.id),
        )


def reused(id: str) -> Cannot:
    """The refusal of a known id with another content."""
    return Cannot(
        f"apply {id}: the id was used before for another patch", kind="id-reused", hint="give the patch a new id"
    )
