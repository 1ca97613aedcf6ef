"""Pieces of a stream that take long to look at: what waits behind them is bounded, and what failed is not shown."""

# mitmproxy is typed by halves.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterable

from mitmproxy import http
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import SendHttp
from mitmproxy.proxy.layers.http._events import ResponseData
from mitmproxy.test import tflow

from holdpoint.wire import StreamWork, StreamWorkHook, Wire
from holdpoint.wire_answers import WAITING_BYTES
from holdpoint.wire_events import AbortStream
from holdpoint.wire_streams import GatewayHttpStream

PIECE = b"x" * (1 << 20)


async def not_run() -> list[bytes]:
    raise AssertionError


class Streaming:
    """A stream in the middle of its answer; every piece of it takes long."""

    def __init__(self) -> None:
        self.flow = tflow.tflow(resp=True)
        self.wire = Wire()
        self.why: list[str] = []
        self.works: list[StreamWork] = []
        self.wire.on_unshown = self._unshown
        assert self.flow.response is not None
        self.flow.response.stream = self._pump
        self.stream = GatewayHttpStream(Context(self.flow.client_conn, Options()), 1)
        self.stream.wire, self.stream.flow = self.wire, self.flow
        self.stream.client_state = self.stream.state_done
        self.stream.server_state = self.stream.state_stream_response_body

    def _pump(self, chunk: bytes) -> list[bytes]:
        del chunk
        self.works.append(StreamWork(not_run))
        self.wire.leave_work(self.flow, self.works[-1])
        return []

    def _unshown(self, flow: http.HTTPFlow, why: str) -> None:
        self.why.append(why)
        self.wire.leave_abort(AbortStream(flow, why))

    def see(self, event: events.Event) -> list[commands.Command]:
        return list(self.stream.handle_event(event))


def sent(found: Iterable[commands.Command]) -> list[bytes]:
    return [c.event.data for c in found if isinstance(c, SendHttp) and isinstance(c.event, ResponseData)]


def test_what_was_worked_on_is_sent_in_its_turn() -> None:
    world = Streaming()
    (hook,) = world.see(ResponseData(1, b"a"))
    assert isinstance(hook, StreamWorkHook)
    assert world.see(ResponseData(1, b"b")) == []  # waits
    world.works[0].shown = [b"A", b"a"]
    found = world.see(events.HookCompleted(hook))
    assert sent(found) == [b"A", b"a"]
    assert isinstance(found[-1], StreamWorkHook)  # the second piece


def test_work_that_nobody_did_shows_nothing_and_ends_the_stream() -> None:
    world = Streaming()
    (hook,) = world.see(ResponseData(1, b"a"))
    assert isinstance(hook, StreamWorkHook)
    world.see(ResponseData(1, b"b"))
    assert sent(world.see(events.HookCompleted(hook))) == []
    assert world.why == ["it was not looked at"]
    assert len(world.works) == 1  # what came behind it is not even begun


def test_a_stream_that_crowds_while_a_piece_is_worked_on_is_ended() -> None:
    world = Streaming()
    (hook,) = world.see(ResponseData(1, b"a"))
    assert isinstance(hook, StreamWorkHook)
    for _ in range(WAITING_BYTES // len(PIECE)):
        world.see(ResponseData(1, PIECE))
    assert world.why == []
    world.see(ResponseData(1, b"x"))
    assert world.why == ["it comes faster than it can be looked at"]
    world.works[0].shown = [b"A"]
    world.see(events.HookCompleted(hook))
    assert len(world.works) == 1
