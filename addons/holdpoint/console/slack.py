"""Where Slack sends what its users press. Nobody is logged in here: the gateway verifies Slack's signature, not we.

No cookie is read and none is set. What a chat can do is deny; to approve, people come to the console.
"""

import asyncio
import re
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from holdpoint.console.calls import GatewayTrouble, Trouble
from holdpoint.console.site import Site

PATH: Final = "/slack/actions"
MAX_BODY: Final = 64 << 10
PATIENCE: Final = 3.0
"""Seconds for the whole body. Slack itself waits no longer than that for the answer."""
AT_ONCE: Final = 4
_SIGNATURE: Final = re.compile(r"v0=[0-9a-f]{64}")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_WINDOW: Final = 300
_STATUS: Final = {
    Trouble.LOGIN: 401,
    Trouble.NOT_ALLOWED: 403,
    Trouble.NOT_FOUND: 404,
    Trouble.RESOLVED: 409,
    Trouble.UNAVAILABLE: 503,
}
_under_way = asyncio.BoundedSemaphore(AT_ONCE)


async def actions(request: Request) -> Response:
    """Pass on what was pressed."""
    site: Site = request.app.state.site
    timestamp, signature = _one(request, "x-slack-request-timestamp"), _one(request, "x-slack-signature")
    # Whoever does not even look like Slack costs the gateway nothing.
    is_likely = _TIMESTAMP.fullmatch(timestamp) and abs(site.clock.now() - int(timestamp)) <= _WINDOW
    if not is_likely or not _SIGNATURE.fullmatch(signature):
        return _say(401, "this is not signed as Slack does")
    try:
        async with asyncio.timeout(PATIENCE):
            body = await _body(request)
    except (TimeoutError, ClientDisconnect):
        return _say(408, "the body did not come in time")
    if body is None:
        return _say(413, f"an action has at most {MAX_BODY} bytes")
    if _under_way.locked():
        return _say(503, "too much is pressed at once")
    async with _under_way:
        try:
            await site.gateway.slack_action(body, timestamp=timestamp, signature=signature)
        except GatewayTrouble as trouble:
            return _say(_STATUS.get(trouble.kind, 400), trouble.message)
    return Response(status_code=200)


def _one(request: Request, name: str) -> str:
    found = request.headers.getlist(name)
    return found[0] if len(found) == 1 else ""


async def _body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _say(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status_code=status)
