"""What is decided when a request is about to be sent is what is written down, and what a reload must not lose."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.fakes.tool_definitions import tool

from holdpoint.domain.access import AccessRequest, Action, McpTool, PinState, Principal, Protocol
from holdpoint.domain.audit import AuditStage
from holdpoint.domain.decision import Deny, DenyReason, Permit, RuleRef
from holdpoint.domain.exchange import Cleared, Decoded, Identified, Permitted, Received, Refused
from holdpoint.domain.refusal import Refusal, RefusalKind
from holdpoint.masking.masker import compile_masks
from holdpoint.pins.book import PinBook
from holdpoint.pins.fingerprint import define
from holdpoint.pins.pin_file import FilePin
from holdpoint.stages import describe
from holdpoint.stages.exchanges import Exchange
from holdpoint.stages.services import Services


def turned_away() -> Exchange:
    """Permitted by one bundle, denied by the next, just before it was sent."""
    who = Principal("https://idp", "u", "human")
    access = AccessRequest(who, "mail", Action(Protocol.MCP, "tools/call"), McpTool("send"), {}, {}, 0.0)
    asked = Decoded(Identified(Received("ex", "mail", "l", "127.0.0.1", 0.0, "/"), who), access, {})
    before = Permit("sha256:before", (RuleRef("mail", "send", "mail.yaml:1"),))
    refusal = Refusal(RefusalKind.DENIED, "not any more")
    exchange = Exchange("ex", state=Refused("ex", refusal, Cleared(Permitted(asked, before))))
    exchange.denied = Deny(DenyReason.RULE, "sha256:after", (RuleRef("mail", "stop", "mail.yaml:9"),))
    return exchange


@pytest.mark.threat("T08")
def test_denial_at_the_last_moment_is_recorded_as_what_it_is() -> None:
    exchange = turned_away()
    masker = compile_masks([], key=b"k" * 32)
    event = describe.event(exchange, AuditStage.REFUSED, at=0.0, detail={}, masker=masker)
    assert (event.decision["effect"], event.decision["bundle"]) == ("deny", "sha256:after")
    assert event.decision["rules"] == ["mail/stop"]


@pytest.mark.threat("T08")
def test_denial_at_the_last_moment_is_explained_by_the_rule_that_denied() -> None:
    kept: list[Any] = []
    store = SimpleNamespace(submit_refusal=lambda record: kept.append(record) or True)
    notices = SimpleNamespace(count=lambda *_, **__: None, wants=lambda *_: False)
    services = cast("Services", SimpleNamespace(clock=SimpleNamespace(now=lambda: 0.0), store=store, notices=notices))
    Services.note_refusal(services, turned_away(), Refusal(RefusalKind.DENIED, "not any more"))
    assert kept[0].rules == ("mail/stop",)


@pytest.mark.threat("T34")
def test_definition_seen_while_pin_files_are_read_again_is_not_lost() -> None:
    file = {"send_email": FilePin(frozenset({define(tool()).fingerprint}))}
    book = PinBook(file)
    book.use_file(file)
    # A look that began before the reload ends after it: it is the same book.
    book.saw([tool(description="evil")], listing="x", first=True, complete=True, at=1.0)
    assert book.state("send_email") is PinState.CHANGED
    book.use_file({"send_email": FilePin(frozenset({define(tool(description="evil")).fingerprint}))})
    assert book.state("send_email") is PinState.PINNED
    book.use_file({})
    assert book.state("send_email") is PinState.UNKNOWN
