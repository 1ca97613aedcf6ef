"""Background tasks that are neither lost to the garbage collector nor fail in silence."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)
_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
    """Run `work` in the background, keep it referenced, and log what it raises."""
    task = asyncio.create_task(work, name=name)  # noqa: TID251  # the one place
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def uninterrupted[T](work: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
    """Start `work` now and run it to its end even where the one who awaits it is cancelled: then log what it raises."""
    task = asyncio.create_task(work)  # noqa: TID251  # the one place
    _running.add(task)
    task.add_done_callback(_running.discard)
    result = asyncio.shield(task)
    result.add_done_callback(lambda r: task.add_done_callback(_finished) if r.cancelled() else None)
    return result


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("background task `%s` failed", task.get_name(), exc_info=error)
