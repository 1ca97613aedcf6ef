"""Whatever reviewers, clients, deadlines, restarts and reloads do, in whatever order and at the same time:

never two dispatches for one single-use grant, never one without its quorum, and what is resolved stays so.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.fakes.approvals import House, ask, reviewer, term

from holdpoint.approvals.errors import AlreadyResolved, GrantSpent, GrantVoid, NotAllowed
from holdpoint.approvals.events import BrokerEventKind
from holdpoint.domain.approval import ApprovalRequest, ApprovalState, Verdict
from holdpoint.domain.decision import Deny, DenyReason, Permit
from holdpoint.domain.grant import GrantState

EXPECTED = (AlreadyResolved, NotAllowed, GrantSpent, GrantVoid, asyncio.CancelledError)
WHATS = ("deploy", "delete")
PEOPLE = ("bob@example", "carol@example", "alice@example", "mallory@example")  # alice asks, mallory is no reviewer
MAY = {"bob@example", "carol@example"}

ops = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from(WHATS), st.integers(1, 2)),
    st.tuples(st.just("vote"), st.sampled_from(WHATS), st.sampled_from(PEOPLE), st.sampled_from(Verdict)),
    st.tuples(st.just("spend"), st.sampled_from(WHATS), st.booleans()),
    st.tuples(st.just("reload"), st.sampled_from(["deny", "permit", "two"])),
    st.tuples(st.just("tick"), st.sampled_from([1, 59, 300])),
)


class Approvals(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.home = House(self.folder / "s.db")
        self.sent: dict[str, list[str]] = {}
        self.final: dict[str, ApprovalRequest] = {}
        self.needed: dict[str, int] = {}
        self.said: dict[str, set[str]] = {}
        self.exchanges = 0

    def run(self, work: Awaitable[None]) -> None:
        self.loop.run_until_complete(asyncio.ensure_future(work, loop=self.loop))

    @initialize()
    def start(self) -> None:
        self.run(self.home.open())

    @rule(op=ops)
    def one(self, op: tuple) -> None:
        self.run(self.all_at_once([op]))

    @rule(some=st.lists(ops, min_size=2, max_size=6))
    def many(self, some: list[tuple]) -> None:
        self.run(self.all_at_once(some))

    @rule(what=st.sampled_from(WHATS))
    def usual_course(self, what: str) -> None:
        async def course() -> None:
            for op in [("ask", what, 1), ("vote", what, "bob@example", Verdict.APPROVE), ("spend", what, False)]:
                await self.all_at_once([op])

        self.run(course())

    @rule()
    def restart(self) -> None:
        self.run(self.home.restart())

    async def all_at_once(self, some: list[tuple]) -> None:
        acts: dict[str, Callable[..., Awaitable[None]]] = {
            "ask": self.ask,
            "vote": self.vote,
            "spend": self.spend,
            "reload": self.reload,
            "tick": self.tick,
        }
        results = await asyncio.gather(*(acts[op[0]](*op[1:]) for op in some), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, EXPECTED):
                raise result

    async def ask(self, what: str, required: int) -> None:
        found = await self.home.broker.request(ask(term(required=required, timeout=600), what=what))
        if found.state is ApprovalState.PENDING:
            self.needed[found.id] = max(self.needed.get(found.id, 0), required)
            assert found.ask.terms[0].required >= required

    async def vote(self, what: str, person: str, verdict: Verdict) -> None:
        for held in await self.home.broker.list(states=frozenset({ApprovalState.PENDING})):
            if held.ask.preview["arguments"]["name"] == what:
                group = "dev" if person.startswith("mallory") else "sre"
                # Counted before it is cast: the answer may come after others have acted on it.
                if verdict is Verdict.APPROVE and person in MAY:
                    self.said.setdefault(held.id, set()).add(person)
                await self.home.broker.vote(held.id, reviewer(person, group), verdict, "because")

    async def spend(self, what: str, cancel: bool) -> None:  # drawn by hypothesis
        asked = ask(what=what)
        grant = await self.home.broker.find_grant(asked.access.principal.id, "shop", asked.intent, "")
        if grant is None:
            return
        self.exchanges += 1
        exchange = f"x-{self.exchanges}"
        spending = asyncio.ensure_future(self.home.broker.spend(grant.id, wire="w", exchange=exchange))
        if cancel:
            await asyncio.sleep(0)
            spending.cancel()
        await spending
        self.sent.setdefault(grant.id, []).append(exchange)
        await self.check_sent(grant.id)
        if self.exchanges % 3:
            await self.home.broker.settle(grant.id, GrantState.ANSWERED)

    async def check_sent(self, grant_id: str) -> None:
        grant = await self.home.store.grant(grant_id)
        approval = await self.home.store.approval(grant.approval)
        assert approval.state is ApprovalState.APPROVED
        assert len(self.said.get(approval.id, set())) >= self.needed[approval.id]
        assert all(v.verdict is Verdict.APPROVE for v in approval.votes)
        assert {v.reviewer.person for v in approval.votes} <= self.said[approval.id]

    async def reload(self, kind: str) -> None:
        answers = {
            "deny": Deny(DenyReason.RULE),
            "permit": Permit("sha256:b", ()),
            "two": Permit("sha256:c", (), (term(required=2),)),
        }
        changes = await self.home.broker.redecide(lambda _: answers[kind])
        for held in changes.tightened:
            self.needed[held.id] = 2

    async def tick(self, seconds: int) -> None:
        self.home.clock.advance(seconds)
        await self.home.broker.tick()

    @invariant()
    def each_single_use_grant_was_sent_at_most_once(self) -> None:
        assert all(len(exchanges) == 1 for exchanges in self.sent.values())

    @invariant()
    def what_is_resolved_stays_so(self) -> None:
        async def look() -> None:
            for request in await self.home.store.approvals(limit=1000):
                if request.state is ApprovalState.PENDING:
                    assert request.id not in self.final
                    continue
                seen = self.final.setdefault(request.id, request)
                assert (request.state, request.resolution, request.grant, request.votes) == (
                    *(seen.state, seen.resolution, seen.grant, seen.votes),
                )

        if self.home.store._lock is not None:
            self.run(look())

    @invariant()
    def nothing_waits_beyond_its_deadline_or_twice(self) -> None:
        pending = list(self.home.broker._desk.entries.values())
        assert len({e.key for e in pending}) == len(pending)
        assert all(e.is_pending for e in pending)

    def teardown(self) -> None:
        told = [e for e in self.home.told.events if e.kind is BrokerEventKind.RESOLVED]
        assert len({e.request.id for e in told}) == len(told)
        if self.home.store._lock is not None:
            self.run(self.home.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)


Approvals.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_approvals_hold = Approvals.TestCase
