"""The tour: the whole story, unattended, with every claim checked."""

import asyncio
from contextlib import AsyncExitStack

from tests.demo.parts import Parts
from tests.demo.steps_calls import by_proxy, list_tools, logins, masked, no_token
from tests.demo.steps_record import no_secrets, recorded, replayed, tampered, verified
from tests.demo.steps_review import denied, held, held_anew
from tests.demo.story import Step, Story, play

STEPS: tuple[tuple[str, Step], ...] = (
    ("a call without a token is refused", no_token),
    ("people log in at the identity provider", logins),
    ("the MCP SDK lists the tools, in both generations of the protocol", list_tools),
    ("an allowed call: the answer is masked, the caller's token stays here", masked),
    ("a write is held, approved and done", held),
    ("the same write again is held anew; its author may not approve it; it is denied", held_anew),
    ("policy denies what nobody may do, and says why to the operator", denied),
    ("the other road: HTTPS_PROXY, TLS on both sides", by_proxy),
    ("everything is recorded, in files that plain mitmproxy opens", recorded),
    ("no secret and no token lies in any file", no_secrets),
    ("the audit log is verified whole", verified),
    ("tampering is found", tampered),
    ("the recorded session answers the same client again, with everything else gone", replayed),
)


async def _tour(parts: Parts) -> bool:
    async with AsyncExitStack() as stack:
        return await play(Story(parts, stack), STEPS)


def tour(parts: Parts) -> bool:
    """Tell the story with parts that run. Returns whether all of it held."""
    return asyncio.run(_tour(parts))
