"""What comes with a decision is judged here: the gateway counts what it verified itself, and nothing that it was told.

Neither who holds the console's key nor who holds reviewers' logins can approve what two must approve: the issuer of
each reviewer has to vouch for the very decision.
"""

from collections.abc import Mapping

from holdpoint.admin.errors import AdminError
from holdpoint.approvals.checks import needs_confirm
from holdpoint.approvals.evidence import BadEvidence, check_signature, read_statement
from holdpoint.clock import Clock
from holdpoint.domain.approval import ApprovalRequest, Proof, Reviewer, Verdict, preview_digest
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.domain.statement import Statement
from holdpoint.domain.values import JsonObject, as_text
from holdpoint.identity.verify import Verifier
from holdpoint.keys import PinnedKeys
from holdpoint.settings import Settings

CONFIRM = "two persons have to approve this, each by a login for this very decision"
SIGN = "an approval has to be signed by the console, or confirmed by a login for this very decision"


class Evidence:
    """Judges statements, signatures and confirming tokens by the settings."""

    def __init__(self, settings: Settings, clock: Clock, clients: Mapping[str, frozenset[str]]) -> None:
        """`clients`: by the issuer's name, the clients at which reviewers log in."""
        console = settings.console
        self._pinned = PinnedKeys(console.signing if console else ())
        self._required = settings.reviewers.signed
        self._again = settings.reviewers.confirm == "login"
        self._clients = {i.url: clients[i.name] for i in settings.issuers if i.name in clients}
        self._clock = clock

    async def proof(
        self, params: JsonObject, request: ApprovalRequest, reviewer: Reviewer, verdict: Verdict, verifier: Verifier
    ) -> Proof | None:
        """Return what makes this decision evidence, None where nothing vouches for it and nothing has to.

        Raises AdminError on evidence that is not right, whatever the decision, and where an approval lacks it.
        """
        signature, token = as_text(params.get("signature")), as_text(params.get("confirm_token"))
        if verdict is Verdict.APPROVE and not token:
            if needs_confirm(request):
                raise AdminError("not_allowed", CONFIRM)
            if self._required and not signature:
                raise AdminError("not_allowed", SIGN)
        if params.get("statement") is None:
            if signature or token:
                raise AdminError("bad_request", "what is signed or confirmed is missing (`statement`)")
            return None
        try:
            statement = self._statement(params, request, reviewer, verdict)
            if signature:
                key = as_text(params.get("key"))
                check_signature(statement, key=key, signature=signature, pinned=self._pinned)
        except BadEvidence as error:
            raise AdminError(error.code, str(error)) from error
        issuer_key = await self._confirmed(token, statement, reviewer, verifier) if token else {}
        if not signature and not token:
            return None
        return Proof(statement.as_json(), as_text(params.get("key")) if signature else "", signature, token, issuer_key)

    def _statement(
        self, params: JsonObject, request: ApprovalRequest, reviewer: Reviewer, verdict: Verdict
    ) -> Statement:
        read = as_text(params.get("preview"))
        # Whoever denies may have read what changed since: a denial always counts.
        preview = read if read and verdict is Verdict.DENY else preview_digest(request)
        return read_statement(
            params.get("statement"),
            request,
            reviewer,
            verdict=verdict.value,
            comment=as_text(params.get("comment")),
            preview=preview,
            now=self._clock.now(),
        )

    async def _confirmed(self, token: str, statement: Statement, reviewer: Reviewer, verifier: Verifier) -> JsonObject:
        """Return the issuer's key by which the token confirms the statement. Raises AdminError."""
        try:
            confirmation = await verifier.verify_confirmation(
                token,
                reviewer=reviewer,
                client_ids=self._clients.get(reviewer.issuer, frozenset()),
                digest=statement.digest,
                again=self._again,
            )
        except Refusal as refusal:
            code = "unavailable" if refusal.kind is RefusalKind.UNAVAILABLE else "not_allowed"
            raise AdminError(code, refusal.public) from refusal
        return confirmation.key
