"""The rung of the event stream: a held caller of a version with sessions sees that it is not forgotten.

Keepalives keep sockets, and what stands in between, from timing out. They do not stop the SDKs' own clocks, which is
why the wait is bounded: only `notifications/progress` resets those, and only where the program asked for it.
"""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from itertools import count

from mitmproxy import http

from holdpoint.domain.approval import ApprovalRequest
from holdpoint.domain.exchange import Decoded
from holdpoint.protocols import mcp_holds
from holdpoint.stages.ladder import Plan
from holdpoint.stages.ladder_line import Line
from holdpoint.wire import Connections


async def wait_on_stream(
    connections: Connections, flow: http.HTTPFlow, asked: Decoded, line: Line, plan: Plan
) -> ApprovalRequest:
    """Return the request once it has ended or the line's whole wait is over. Raises Refusal as the line does."""
    ended = await line.until_end(plan.grace)
    if ended is not None:
        return ended
    is_open = await connections.begin_events(flow)
    for step in count(1):
        if is_open:
            sign = (
                mcp_holds.KEEPALIVE if asked.progress_token is None else mcp_holds.progress(asked.progress_token, step)
            )
            is_open = await connections.send_events(flow, sign)
        # Closed, it can only be a caller who left: the line says so.
        ended = await line.until_end(plan.keepalive)
        if ended is not None:
            return ended
    raise AssertionError  # pragma: no cover  # `count` has no end
