"""What the writer thread is asked to do, and how it tells those who wait."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future as ThreadFuture
from dataclasses import dataclass

from holdpoint.domain.audit import AuditEvent
from holdpoint.domain.refusal import GatewayFault
from holdpoint.domain.values import JsonObject
from holdpoint.recording.chain import Receipt, event_bytes
from holdpoint.recording.flowfiles import Session
from holdpoint.recording.journal import Entry

logger = logging.getLogger(__name__)

type Waiter = asyncio.Future[Receipt]
type Result = Receipt | Exception


@dataclass(frozen=True, slots=True)
class LineJob:
    """An event, and who waits for it."""

    entry: Entry
    waiter: Waiter | None = None


@dataclass(frozen=True, slots=True)
class FlowJob:
    """A flow record, and the event that will vouch for it."""

    session: Session
    serialise: Callable[[], bytes]
    event: AuditEvent


@dataclass(frozen=True, slots=True)
class FlushJob:
    """Somebody waits, outside the event loop, until everything before is durable."""

    done: ThreadFuture[None]


class StopJob:
    """Nothing comes after this."""


type Job = LineJob | FlowJob | FlushJob | StopJob


def make_entry(event: AuditEvent, detail: JsonObject | None = None) -> Entry:
    """Return the event as it will stand in the chain. Raises GatewayFault on what JSON cannot hold."""
    try:
        body = event_bytes(event, detail)
    except (ValueError, TypeError, RecursionError) as error:
        raise GatewayFault(f"an audit event of stage `{event.stage}` cannot be written as JSON") from error
    return Entry(body, event.stage.value, event.exchange)


def settle(results: Iterable[tuple[LineJob, Result]]) -> None:
    """Tell every waiter, with one call into each event loop. From any thread."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Waiter, Result]]] = {}
    for line, result in results:
        if line.waiter is not None:
            loops.setdefault(line.waiter.get_loop(), []).append((line.waiter, result))
    for loop, waiters in loops.items():
        try:
            loop.call_soon_threadsafe(_settle_here, waiters)
        except RuntimeError:
            logger.warning("%d callers were gone before their audit event was written", len(waiters))


def _settle_here(waiters: list[tuple[Waiter, Result]]) -> None:
    for waiter, result in waiters:
        if waiter.done():
            continue
        if isinstance(result, Exception):
            waiter.set_exception(result)
        else:
            waiter.set_result(result)
