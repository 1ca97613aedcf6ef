"""Steps of the tour: held, approved, held anew, not by oneself, denied, and denied by policy."""

import asyncio
import json
import re

from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from tests.demo.call import text_of
from tests.demo.people import ALICE, RITA
from tests.demo.story import StepFailed, Story

NOTE = {"name": "release", "text": "ship it on Monday"}


def _client(story: Story) -> Client:
    if story.client is None:
        raise StepFailed("nobody is connected")
    return story.client


def _begin(story: Story) -> "asyncio.Future[CallToolResult]":
    return asyncio.ensure_future(_client(story).call_tool("write_note", NOTE))


async def _waiting(story: Story, call: "asyncio.Future[CallToolResult]") -> str:
    """Return the id of the request that waits, from the list that Rita reads."""
    while True:
        listed = (await story.run(RITA, "approvals", "list")).out
        if found := re.search(r"^(\S+)\s+pending\b.*write_note.*$", listed, re.MULTILINE):
            story.tell("rita$ holdpoint approvals list")
            story.tell(f"  {found[0]}")
            return found[1]
        if call.done():
            raise StepFailed(f"the call was answered without a review: {call.exception() or text_of(call.result())}")


def _wrote(story: Story) -> int:
    return story.parts.notes.seen.calls.count(f"write_note {NOTE['name']}")


async def held(story: Story) -> None:
    """A write waits for a reviewer, and goes on when she says yes."""
    call = _begin(story)
    story.tell(f"alice: call_tool write_note {json.dumps(NOTE)} … waits")
    wanted = await _waiting(story, call)
    story.check(not call.done() and _wrote(story) == 0, "it did not wait")
    shown = json.loads((await story.run(RITA, "approvals", "show", wanted, "--json")).out)
    story.tell(f"rita$ holdpoint approvals show {wanted} --json")
    story.tell(
        f"  who: {shown['principal']['person']}, rules: {', '.join(shown['rules'])}, intent: {shown['intent'][:23]}…"
    )
    story.tell(f"  preview: {json.dumps(shown['preview'])}")
    story.check(NOTE["text"] in json.dumps(shown["preview"]), "the reviewer does not see what would be written")
    said = (await story.run(RITA, "approvals", "approve", wanted, "--comment", "Monday is fine")).out
    story.tell(f"rita$ holdpoint approvals approve {wanted}: {said}")
    result = await call
    story.tell(f"alice: {text_of(result)}")
    story.check(not result.is_error and _wrote(story) == 1, "the approved call did not go through exactly once")


async def held_anew(story: Story) -> None:
    """The approval was for one call."""
    call = _begin(story)
    wanted = await _waiting(story, call)
    story.check(_wrote(story) == 1, "the same call passed on a spent approval")
    own = await story.run(ALICE, "approvals", "approve", wanted, status=1)
    story.tell(f"alice$ holdpoint approvals approve {wanted}")
    story.tell(f"  {own.err}")
    story.check(not call.done(), "alice approved her own request")
    said = (await story.run(RITA, "approvals", "deny", wanted, "--comment", "once is enough")).out
    story.tell(f"rita$ holdpoint approvals deny {wanted} --comment 'once is enough': {said}")
    result = await call
    story.tell(f"alice: is_error={result.is_error}: {text_of(result)}")
    story.check(result.is_error and "once is enough" in text_of(result), "alice does not read the reviewer's comment")
    story.check(_wrote(story) == 1, "a denied call reached the notes server")
    story.tell("write_note reached the notes server once in all")


async def denied(story: Story) -> None:
    """What policy denies, nobody is asked about."""
    try:
        await _client(story).call_tool("drop_everything", {})
    except MCPError as error:
        refusal = error
    else:
        raise StepFailed("drop_everything was not refused")
    data = refusal.error.data
    story.tell(f"drop_everything -> JSON-RPC error {refusal.error.code}: {refusal.error.message}; {json.dumps(data)}")
    story.check(data["kind"] == "denied", "not the refusal of a denied call")
    explained = json.loads((await story.run(None, "explain", data["refusal"])).out)
    story.tell(f"holdpoint explain {data['refusal']}: rules {explained['rules']}, principal {explained['principal']}")
    story.check(explained["rules"] == ["demo/no-destruction"], f"explained by {explained['rules']}")
    story.check("drop_everything" not in story.parts.notes.seen.calls, "it reached the notes server")
