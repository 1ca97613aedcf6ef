"""Ways to get an approval that nobody gave, or to use one for something else."""

import asyncio
from dataclasses import replace

import pytest
from tests.fakes.approvals import House, ask, house, principal, reviewer, term

from holdpoint.approvals.errors import AlreadyResolved, GrantSpent, NotAllowed
from holdpoint.domain.access import AccessRequest, Actor, Principal, person_name
from holdpoint.domain.approval import ApprovalState, Reviewer, Verdict
from holdpoint.domain.decision import Permit, Scope
from holdpoint.domain.grant import GrantState
from holdpoint.stages.preview import intent_digest

APPROVE = Verdict.APPROVE


@pytest.fixture
async def home(tmp_path):
    async with house(tmp_path / "s.db") as it:
        yield it


@pytest.mark.threat("T03")
async def test_approval_of_one_request_does_not_clear_another(home: House):
    held = await home.broker.request(ask(what="scale to 2"))
    await home.broker.vote(held.id, reviewer(), APPROVE, "")
    other = await home.broker.request(ask(what="scale to 200"))
    assert other.state is ApprovalState.PENDING
    assert await home.broker.find_grant(held.ask.access.principal.id, "shop", other.ask.intent, "") is None


@pytest.mark.threat("T03")
async def test_reviewer_shown_one_request_cannot_be_made_to_approve_another(home: House):
    one, two = [await home.broker.request(ask(what=w)) for w in ("harmless", "harmful")]
    with pytest.raises(NotAllowed):
        await home.broker.vote(two.id, reviewer(), APPROVE, "", expect=one.ask.intent)


@pytest.mark.threat("T18")
@pytest.mark.threat("T04")
async def test_agent_cannot_use_what_was_approved_for_another_agent_of_the_same_person(home: House):
    held = await home.broker.request(ask(who=principal(agent="careful")))
    await home.broker.vote(held.id, reviewer(), APPROVE, "")
    other = await home.broker.request(ask(who=principal(agent="reckless")))
    assert (other.id != held.id, other.state) == (True, ApprovalState.PENDING)


@pytest.mark.threat("T04")
async def test_second_account_of_the_requester_is_still_the_requester(home: House):
    held = await home.broker.request(ask())
    alt = Reviewer("https://other.example", "alice-admin", "alice@example", frozenset({"sre"}))
    with pytest.raises(NotAllowed):
        await home.broker.vote(held.id, alt, APPROVE, "")


@pytest.mark.threat("T04")
async def test_agents_whose_names_run_together_are_two_agents(home: House):
    one, two = (replace(principal(), actor=Actor(s, issuer=i)) for i, s in (("https://a#b", "c"), ("https://a", "b#c")))
    held = await home.broker.request(ask(who=one))
    assert (await home.broker.request(ask(who=two))).id != held.id


@pytest.mark.threat("T04")
@pytest.mark.parametrize(
    ("one", "two"),
    [("Ren\u00e9@corp.example", "rene\u0301@corp.example"), ("\u00c5sa@x.example", "a\u030asa@X.example")],
)
def test_person_whose_address_is_spelled_in_two_ways_is_one_person(one: str, two: str):
    assert person_name(one) == person_name(two)


@pytest.mark.threat("T04")
async def test_two_accounts_of_one_reviewer_are_one_person(home: House):
    held = await home.broker.request(ask(term(required=2)))
    for issuer in ("https://idp.example", "https://other.example"):
        account = Reviewer(issuer, "bob", "bob@example", frozenset({"sre"}))
        assert (await home.broker.vote(held.id, account, APPROVE, "")).state is ApprovalState.PENDING


@pytest.mark.threat("T04")
async def test_one_voter_racing_against_himself_is_one_person(home: House):
    held = await home.broker.request(ask(term(required=2)))
    await asyncio.gather(*(home.broker.vote(held.id, reviewer(), APPROVE, f"{i}") for i in range(10)))
    assert (await home.broker.get(held.id)).state is ApprovalState.PENDING


async def test_asking_again_under_an_older_looser_policy_does_not_loosen_what_is_pending(home: House):
    held = await home.broker.request(ask(term(required=2)))
    again = await home.broker.request(ask(term(required=1, auto=1)))
    assert (again.id, again.ask.terms) == (held.id, (term(required=2),))


async def test_policy_flapping_while_pending_never_ends_up_looser(home: House):
    held = await home.broker.request(ask(term(required=2)))
    for terms in ((), (term(required=1),), (term(required=1, auto=1),), ()):
        await home.broker.redecide(lambda _, terms=terms: Permit("sha256:b", (), terms))
    await home.later(30)
    assert (await home.broker.vote(held.id, reviewer(), APPROVE, "")).state is ApprovalState.PENDING


async def test_vote_in_the_last_moment_does_not_beat_a_denial(home: House):
    held = await home.broker.request(ask())
    await home.broker.vote(held.id, reviewer(), Verdict.DENY, "no")
    with pytest.raises(AlreadyResolved):
        await home.broker.vote(held.id, reviewer("carol@example"), APPROVE, "")
    assert (await home.broker.get(held.id)).grant == ""


@pytest.mark.threat("T18")
async def test_callers_folded_into_one_request_are_dispatched_once(home: House):
    held = [await home.broker.request(ask(exchange=f"x-{i}")) for i in range(5)]
    waits = [asyncio.ensure_future(home.broker.wait(h.id, timeout=None)) for h in held]
    await home.broker.vote(held[0].id, reviewer(), APPROVE, "")
    grants = {(await w).grant for w in waits}
    assert len(grants) == 1
    spends = [home.broker.spend(grant, wire="w", exchange=f"x-{i}") for i in range(5) for grant in grants]
    results = await asyncio.gather(*spends, return_exceptions=True)
    assert sorted(type(r).__name__ for r in results) == ["Grant", *["GrantSpent"] * 4]


@pytest.mark.threat("T18")
async def test_grant_cannot_be_used_again_by_restarting_the_gateway(home: House):
    held = await home.broker.request(ask())
    done = await home.broker.vote(held.id, reviewer(), APPROVE, "")
    await home.broker.spend(done.grant, wire="w", exchange="x-1")
    for _ in range(2):
        await home.restart()
        with pytest.raises(GrantSpent):
            await home.broker.spend(done.grant, wire="w", exchange="x-2")
    assert (await home.store.grant(done.grant)).state is GrantState.UNKNOWN


@pytest.mark.threat("T18")
async def test_session_grant_is_not_for_callers_without_a_session(home: House):
    terms = term(scope=Scope.SESSION, duration=900)
    held = await home.broker.request(ask(terms, session="s1"))
    await home.broker.vote(held.id, reviewer(), APPROVE, "")
    for session in ("", "s2"):
        assert (await home.broker.request(ask(terms, session=session))).state is ApprovalState.PENDING


async def test_comment_of_a_reviewer_is_kept_as_text(home: House):
    held = await home.broker.request(ask())
    hostile = "'; DROP TABLE approvals; -- <script>\x00\u202e"
    await home.broker.vote(held.id, reviewer(), Verdict.DENY, hostile)
    assert (await home.store.approval(held.id)).votes[0].comment == hostile


@pytest.mark.threat("T04")
async def test_yes_of_a_reviewer_who_was_suspended_since_does_not_count(tmp_path):
    suspended: set[str] = set()
    async with house(tmp_path / "b.db", barred=lambda r: "suspended" if r.person in suspended else "") as home:
        held = await home.broker.request(ask(term(required=2)))
        await home.broker.vote(held.id, reviewer("stolen@example"), APPROVE, "")
        suspended.add("stolen@example")
        assert (await home.broker.vote(held.id, reviewer(), APPROVE, "")).state is ApprovalState.PENDING
        third = reviewer("carol@example")
        assert (await home.broker.vote(held.id, third, APPROVE, "")).state is ApprovalState.APPROVED


def served(agent: str) -> AccessRequest:
    """A request to a cluster that comes through an MCP server, for a call of this agent."""
    alice, server = principal(agent=agent), Actor("mcp-server:tools", "holdpoint")
    worker = Principal("holdpoint", "mcp-server:tools", "workload")
    return replace(ask().access, principal=replace(alice, actor=server, legs=(alice, worker)))


@pytest.mark.threat("T18")
def test_agent_cannot_use_what_was_approved_for_another_through_the_same_mcp_server():
    careful, reckless = (intent_digest(served(agent), {"verb": "delete"}, {}) for agent in ("careful", "reckless"))
    assert careful != reckless
    assert careful == intent_digest(served("careful"), {"verb": "delete"}, {})
