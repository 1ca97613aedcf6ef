"""What people do to requests, and what is found out for them: the half of the broker that they see."""

from dataclasses import replace

from holdpoint.approvals.checks import MAX_REASON
from holdpoint.approvals.deciding import Deciding, Read
from holdpoint.approvals.errors import NotAllowed
from holdpoint.clock import Clock
from holdpoint.domain.approval import ApprovalRequest, DryRun, DryRunState, Proof, Reviewer, Verdict, Vote
from holdpoint.protocols.strict_json import dumps
from holdpoint.tasks import uninterrupted
from holdpoint.visible_text import spelled_out

MAX_COMMENT = 4_000
"""Characters."""
MAX_SHOWN = 512 << 10
"""Bytes of what a dry run shows."""


class Acts:
    """Each runs to its end even where its caller is cancelled. Every method may raise StoreUnavailable."""

    def __init__(self, deciding: Deciding, clock: Clock) -> None:
        self._deciding = deciding
        self._clock = clock

    async def vote(  # what was decided, on what, and what proves it
        self,
        approval_id: str,
        reviewer: Reviewer,
        verdict: Verdict,
        comment: str,
        *,
        expect: str | None = None,
        preview: str | None = None,
        proof: Proof | None = None,
    ) -> ApprovalRequest:
        """Count a reviewer's decision. `expect` is the intent that was read, `preview` the digest of all that was.

        `proof` was verified by whoever calls this. Raises NotFound, AlreadyResolved, Changed, or NotAllowed with the
        reason.
        """
        vote = Vote(reviewer, verdict, _bounded(comment, MAX_COMMENT), self._clock.now(), proof)
        return await uninterrupted(self._deciding.vote(approval_id, vote, Read(expect, preview)))

    async def note_dry_run(self, approval_id: str, dry_run: DryRun) -> ApprovalRequest:
        """Note what a pending request would change; every yes from before has to be given again.

        Raises NotFound, AlreadyResolved.
        """
        if len(dumps(dry_run.shown)) > MAX_SHOWN:
            why = f"what it would change is more than {MAX_SHOWN} bytes to show"
            dry_run = replace(dry_run, state=DryRunState.FAILED, why=why, shown={}, digest="", live={})
        return await uninterrupted(self._deciding.note_dry_run(approval_id, dry_run))

    async def give_reason(self, approval_id: str, person: Reviewer, text: str) -> ApprovalRequest:
        """Note why, in the words of one who asked; every yes from before has to be given again.

        Raises NotFound, AlreadyResolved, NotAllowed.
        """
        text = spelled_out(_bounded(text.strip(), MAX_REASON), keep="\n")
        return await uninterrupted(self._deciding.give_reason(approval_id, person, text))

    async def withdraw_by(self, approval_id: str, person: Reviewer) -> ApprovalRequest:
        """Take a request back for one who asked, whoever waits for it. Raises NotFound, AlreadyResolved, NotAllowed."""
        return await uninterrupted(self._deciding.withdraw_by(approval_id, person))

    async def break_glass(
        self,
        approval_id: str,
        person: Reviewer,
        reason: str,
        *,
        expect: str | None = None,
        preview: str | None = None,
        proof: Proof | None = None,
    ) -> ApprovalRequest:
        """Open a request for one who asked, where every rule lets him, for reviewers to look at afterwards.

        Raises NotFound, AlreadyResolved, Changed, or NotAllowed with the reason.
        """
        text = spelled_out(_bounded(reason.strip(), MAX_REASON), keep="\n")
        vote = Vote(person, Verdict.BREAK_GLASS, text, self._clock.now(), proof)
        return await uninterrupted(self._deciding.break_glass(approval_id, vote, Read(expect, preview)))

    async def review_glass(self, approval_id: str, reviewer: Reviewer, comment: str) -> ApprovalRequest:
        """Note that a reviewer looked at what was opened so. Raises NotFound, or NotAllowed with the reason."""
        vote = Vote(reviewer, Verdict.REVIEW, _bounded(comment, MAX_COMMENT), self._clock.now())
        return await uninterrupted(self._deciding.review_glass(approval_id, vote))

    async def withdraw(self, approval_id: str) -> ApprovalRequest:
        """Take a request back for its requester, unless another of his callers still waits for it.

        Raises NotFound, AlreadyResolved. That it is the requester who does is for those to know who call this.
        """
        return await uninterrupted(self._deciding.withdraw(approval_id))


def _bounded(text: str, most: int) -> str:
    if len(text) > most:
        raise NotAllowed(f"the text is longer than {most} characters")
    return text
