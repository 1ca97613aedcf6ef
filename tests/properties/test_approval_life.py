"""One request between two gateways on one store, and everybody who can do something to it, in any order and at once:

two reviewers, the requester, a stranger, the client, the dry run, the deadline, policy, a store that fails or loses its
answer at any call, and a kill at any call.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.fakes.approvals import ask, glass, reviewer, term
from tests.fakes.shared_store import Gateways, Killed

from holdpoint.approvals.errors import AlreadyResolved, GrantSpent, GrantVoid, NotAllowed, NotFound
from holdpoint.approvals.events import BrokerEventKind
from holdpoint.domain.approval import (
    ApprovalRequest,
    ApprovalState,
    DryRun,
    DryRunState,
    Glass,
    Verdict,
    preview_digest,
)
from holdpoint.domain.decision import Deny, DenyReason, Permit, RequireApproval
from holdpoint.domain.grant import GrantState
from holdpoint.store.protocol import StoreUnavailable

pytestmark = [pytest.mark.threat("T66"), pytest.mark.failure("F-approvals-kill")]

EXPECTED = (AlreadyResolved, NotAllowed, NotFound, GrantSpent, GrantVoid, StoreUnavailable, Killed)
ALICE, BOB, CAROL = reviewer("alice@example", "sre"), reviewer(), reviewer("carol@example")
MALLORY = reviewer("mallory@example", "dev")
PEOPLE = {"alice": ALICE, "bob": BOB, "carol": CAROL, "mallory": MALLORY}
DRY_RUNS = (
    DryRun(DryRunState.PENDING),
    DryRun(DryRunState.READY, shown={"diff": ["a"]}, digest="a"),
    DryRun(DryRunState.READY, shown={"diff": ["b"]}, digest="b"),
    DryRun(DryRunState.FAILED, "away"),
)
TERMS = (
    (term(timeout=300),),
    (term(timeout=300, required=2),),
    (term(timeout=300, break_glass=glass()),),
    (term(timeout=300, required=2, break_glass=glass(), require_reason=True),),
    (term(timeout=300, require_preview=True, break_glass=glass()), term(timeout=300, rule="b", break_glass=glass())),
    (term(timeout=300, auto=100),),
    (term(timeout=300, auto=50, require_reason=True),),
)
IN_MEMORY = Path("/dev/shm")  # where waiting for the disk costs nothing
WHY = "nobody answers and it burns"

who = st.sampled_from(sorted(PEOPLE))
ops = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(["", "why", "other"])),
    st.tuples(st.just("vote"), who, st.sampled_from(["approve"] * 3 + ["deny"]), st.booleans()),
    st.tuples(st.just("withdraw"), who),
    st.tuples(st.just("say"), who, st.sampled_from(["why", "other"])),
    st.tuples(st.just("break_glass"), who),
    st.tuples(st.just("review"), who),
    st.tuples(st.just("dry_run"), st.sampled_from(DRY_RUNS)),
    st.tuples(st.just("leave"), st.just(None)),
    st.tuples(st.just("dispatch"), st.sampled_from(["answer", "answer", "no answer", "not sent"])),
    st.tuples(st.just("reload"), st.sampled_from(["deny", "same", "two", "no glass"])),
    st.tuples(st.just("refresh"), st.just(None)),
)  # fmt: skip
trouble = st.one_of(
    st.none(),
    st.tuples(st.sampled_from(["fails", "keeps", "dies"]), st.integers(0, 5)),
)


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda *_: None)  # what a killed process left behind complains to nobody
        self.home = Gateways(self.folder / "s.db", 2)
        self.terms: tuple[RequireApproval, ...] = ()
        self.sent: dict[str, list[str]] = {}
        self.final: dict[str, ApprovalRequest] = {}
        self.cast: dict[str, set[str]] = {}
        self.exchanges = 0

    def run(self, work: Awaitable[None]) -> None:
        self.loop.run_until_complete(asyncio.ensure_future(work, loop=self.loop))

    @initialize(terms=st.sampled_from(TERMS))
    def start(self, terms: tuple[RequireApproval, ...]) -> None:
        self.terms = terms
        self.run(self.home.open())

    @rule(
        some=st.lists(st.tuples(st.integers(0, 1), ops), min_size=1, max_size=5), what=trouble, where=st.integers(0, 1)
    )
    def at_once(self, some: list, what: tuple | None, where: int) -> None:
        self.run(self.all_at_once(some, what, where))

    @rule(gateways=st.tuples(*[st.integers(0, 1)] * 4), what=trouble, where=st.integers(0, 1))
    def usual_course(self, gateways: tuple, what: tuple | None, where: int) -> None:
        """Held, explained, approved by both and sent, through any of the gateways."""

        async def course() -> None:
            steps = [("ask", "why"), ("dry_run", DRY_RUNS[1]), ("vote", "bob", "approve", True)]
            steps += [("vote", "carol", "approve", True), ("dispatch", "answer")]
            for number, (at, op) in enumerate(zip((*gateways, gateways[0]), steps, strict=True)):
                both = [(at, op), (1 - at, op)] if op[0] in ("ask", "dispatch") else [(at, op)]
                await self.all_at_once(both, what if number == 2 + where else None, at)

        self.run(course())

    @rule(gateways=st.tuples(*[st.integers(0, 1)] * 4), change=st.sampled_from(["dry_run", "say"]))
    def changing_course(self, gateways: tuple, change: str) -> None:
        """What reviewers read changes between their votes."""

        async def course() -> None:
            changes = ("dry_run", DRY_RUNS[2]) if change == "dry_run" else ("say", "alice", "other")
            steps = [("vote", "bob", "approve", True), changes, ("vote", "carol", "approve", True)]
            await self.all_at_once([(at, ("ask", "why")) for at in (0, 1)], None, 0)
            for at, op in zip(gateways, [*steps, ("dispatch", "answer")], strict=True):
                await self.all_at_once([(at, op)], None, at)

        self.run(course())

    @rule(gateways=st.tuples(*[st.integers(0, 1)] * 4), what=trouble, where=st.integers(0, 3), review=st.booleans())
    def glass_course(self, gateways: tuple, what: tuple | None, where: int, review: bool) -> None:
        """Held, tried, opened by its requester, sent, and looked at."""

        async def course() -> None:
            steps = [("ask", "why"), ("dry_run", DRY_RUNS[3]), ("break_glass", "alice"), ("dispatch", "no answer")]
            steps += [("review", "bob")] if review else []
            for number, (at, op) in enumerate(zip((*gateways, gateways[0]), steps, strict=False)):
                await self.all_at_once([(at, op)], what if number == 1 + where else None, at)

        self.run(course())

    @rule(seconds=st.sampled_from([1, 59, 100, 300]))
    def time_passes(self, seconds: int) -> None:
        async def pass_time() -> None:
            self.home.clock.advance(seconds)
            for result in await asyncio.gather(*(b.tick() for b in self.home.brokers), return_exceptions=True):
                self.check(result)

        self.run(pass_time())

    @rule(number=st.integers(0, 1))
    def kill(self, number: int) -> None:
        self.run(self.home.restart(number))

    def check(self, result: object) -> None:
        if isinstance(result, BaseException) and not isinstance(result, EXPECTED):
            raise result

    async def all_at_once(self, some: list, what: tuple | None, where: int) -> None:
        line = self.home.lines[where]
        if what is not None:
            if what[0] == "dies":
                line.dies_after = what[1]
            else:
                line.fails_after, line.keeps = what[1], what[0] == "keeps"
        results = await asyncio.gather(*(getattr(self, op[0])(at, *op[1:]) for at, op in some), return_exceptions=True)
        line.fails_after = None
        if line.dies_after is not None:
            await self.home.restart(where)
        for result in results:
            self.check(result)

    async def pending(self) -> ApprovalRequest | None:
        found = await self.home.store.pending()
        assert len(found) <= 1, "one request is held once"
        return found[0] if found else None

    async def ask(self, at: int, reason: str) -> None:
        await self.home.brokers[at].request(ask(*self.terms, reason=reason))

    async def leave(self, at: int, _: None) -> None:
        if (held := await self.pending()) is not None:
            waiting = asyncio.ensure_future(self.home.brokers[at].wait(held.id, timeout=None))
            await asyncio.sleep(0)
            waiting.cancel()

    async def vote(self, at: int, who: str, verdict: str, reads: bool) -> None:  # drawn by hypothesis
        held = await self.pending()
        if held is not None:
            # Counted before it is cast: the answer may get lost.
            if verdict == "approve" and who in ("bob", "carol"):
                self.cast.setdefault(held.id, set()).add(f"{who}@example")
            preview = preview_digest(held) if reads else "sha256:another"
            await self.home.brokers[at].vote(held.id, PEOPLE[who], Verdict(verdict), "", preview=preview)

    async def withdraw(self, at: int, who: str) -> None:
        if (held := await self.pending()) is not None:
            done = await self.home.brokers[at].withdraw_by(held.id, PEOPLE[who])
            assert (who, done.state) == ("alice", ApprovalState.WITHDRAWN)

    async def say(self, at: int, who: str, text: str) -> None:
        if (held := await self.pending()) is not None:
            await self.home.brokers[at].give_reason(held.id, PEOPLE[who], text)
            assert who == "alice"

    async def break_glass(self, at: int, who: str) -> None:
        if (held := await self.pending()) is not None:
            await self.home.brokers[at].break_glass(held.id, PEOPLE[who], WHY, expect=held.ask.intent)
            assert who == "alice"

    async def review(self, at: int, who: str) -> None:
        broken = await self.home.store.broken_glass("alice@example")
        if broken:
            await self.home.brokers[at].review_glass(broken, PEOPLE[who], "")
            assert who in ("bob", "carol")

    async def dry_run(self, at: int, dry_run: DryRun) -> None:
        if (held := await self.pending()) is not None:
            await self.home.brokers[at].note_dry_run(held.id, dry_run)

    async def refresh(self, at: int, _: None) -> None:
        for request in await self.home.store.approvals(limit=3):
            await self.home.brokers[at].refresh(request.id)

    async def reload(self, at: int, kind: str) -> None:
        answers = {
            "deny": Deny(DenyReason.RULE),
            "same": Permit("sha256:a", (), self.terms),
            "two": Permit("sha256:b", (), (term(timeout=300, required=2),)),
            "no glass": Permit("sha256:c", (), (term(timeout=300, rule="new"),)),
        }
        await self.home.brokers[at].redecide(lambda _: answers[kind])

    async def dispatch(self, at: int, end: str) -> None:
        """As the gateway does: find, spend, send, note the answer."""
        asked, broker = ask(*self.terms), self.home.brokers[at]
        grant = await broker.find_grant(asked.access.principal.id, "shop", asked.intent, "")
        if grant is None:
            return
        self.exchanges += 1
        exchange = f"g{at}-{self.exchanges}"
        await broker.spend(grant.id, wire="w", exchange=exchange)
        if end == "not sent":
            await broker.release(grant.id, exchange)
            return
        self.sent.setdefault(grant.id, []).append(exchange)
        await self.check_sent(grant.id)
        if end == "answer":
            await broker.settle(grant.id, GrantState.ANSWERED, exchange=exchange)

    async def check_sent(self, grant_id: str) -> None:
        """Decide by what the store holds, in other words than the broker's, whether this may be sent."""
        grant = await self.home.store.grant(grant_id)
        request = await self.home.store.approval(grant.approval)
        assert request.state is ApprovalState.APPROVED
        verdicts = [v.verdict for v in request.votes]
        assert Verdict.DENY not in verdicts
        if Verdict.BREAK_GLASS in verdicts:
            assert request.glass is not Glass.NONE
            assert all(t.break_glass for t in request.ask.terms)
            assert {v.reviewer.person for v in request.votes if v.verdict is Verdict.BREAK_GLASS} == {"alice@example"}
            return
        yes = {v.reviewer.person for v in request.votes if v.preview == preview_digest(request)}
        assert yes <= self.cast.get(request.id, set())
        assert not any(t.require_reason for t in request.ask.terms) or request.reason
        assert not any(t.require_preview for t in request.ask.terms) or request.dry_run.state is DryRunState.READY
        silent = all(t.auto_approve_after is not None for t in request.ask.terms)
        assert silent or len(yes) >= max(t.required for t in request.ask.terms)

    @invariant()
    def each_grant_was_sent_at_most_once(self) -> None:
        assert all(len(exchanges) == 1 for exchanges in self.sent.values())

    @invariant()
    def what_ended_stays_as_it_ended_and_is_told_of(self) -> None:
        async def look() -> None:
            for listed in await self.home.store.approvals(limit=50):
                if listed.state is ApprovalState.PENDING:
                    assert listed.id not in self.final
                    self.look_at_votes(await self.home.store.approval(listed.id))
                    continue
                request = await self.home.store.approval(listed.id)
                seen = self.final.setdefault(listed.id, request)
                votes = [v for v in request.votes if v.verdict is not Verdict.REVIEW]
                assert (request.state, request.resolution, request.grant, votes) == (
                    *(seen.state, seen.resolution, seen.grant),
                    [v for v in seen.votes if v.verdict is not Verdict.REVIEW],
                )
            await self.look_at_grants()

        if self.home.brokers:
            self.run(look())

    def look_at_votes(self, held: ApprovalRequest) -> None:
        entries = [b._desk.entries.get(held.id) for b in self.home.brokers]
        if any(e is not None and e.request.ask.terms != held.ask.terms for e in entries):
            return  # one is stricter than the store could keep
        yes = {v.reviewer.person for v in held.votes if v.preview == preview_digest(held)}
        assert len(yes) < max(t.required for t in held.ask.terms) or len(held.ask.terms) > 1, "a quorum ends it"

    async def look_at_grants(self) -> None:
        outcomes = {GrantState.SPENT, GrantState.ANSWERED, GrantState.UNKNOWN}
        for grant in await self.home.store.grants(limit=50):
            approval = await self.home.store.approval(grant.approval)
            assert (approval.state, approval.grant) == (ApprovalState.APPROVED, grant.id)
            if grant.id in self.sent:
                assert grant.state in outcomes, "an outcome is never forgotten"
            elif grant.state is GrantState.ACTIVE and grant.expires_at > self.home.clock.now():
                for broker in self.home.brokers:
                    key = (grant.principal, grant.target, grant.intent, grant.session)
                    assert await broker.find_grant(*key) is not None, "nothing approved is lost"
        assert sum(r.glass is Glass.BROKEN for r in await self.home.store.approvals(limit=50)) <= 1

    def teardown(self) -> None:
        async def end() -> None:
            for number in range(2):
                await self.home.restart(number)
            unknown = {e.exchange for e in self.home.told if e.kind is BrokerEventKind.OUTCOME_UNKNOWN}
            for grant_id, (exchange,) in self.sent.items():
                grant = await self.home.store.grant(grant_id)
                assert grant.state is GrantState.ANSWERED or exchange in unknown, "what may have happened is told"
            await self.home.close()

        if self.home.brokers:
            self.run(end())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)


Life.TestCase.settings = settings(
    max_examples=80, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_approval_life = Life.TestCase
