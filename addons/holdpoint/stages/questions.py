"""What upstreams asked of their clients and got no answer to yet: a client answers what it was asked, and once."""

import threading
from collections import OrderedDict, deque
from typing import Final

MOST_EACH: Final = 500
"""Open questions to one principal; beyond, the oldest is forgotten, and its answer refused."""
MOST_PRINCIPALS: Final = 20_000
MOST_SAME: Final = 16
"""Questions under one id at a time: a server without sessions counts anew in every answer."""

type _Place = tuple[str, str, str | int]


class Questions:
    """Open questions, in memory alone: the streams they came in end with the process. Safe between threads."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, OrderedDict[_Place, deque[str]]] = OrderedDict()
        self._asked: OrderedDict[str, OrderedDict[tuple[str, str, str], str]] = OrderedDict()
        self._lock = threading.Lock()

    def asked(self, principal_id: str, target: str, session: str, request_id: str | int, method: str) -> None:
        """Remember a request of the server's own that was passed on."""
        place = (target, session, request_id)
        with self._lock:
            mine = _mine(self._open, principal_id)
            methods = mine.setdefault(place, deque(maxlen=MOST_SAME))
            if not session or method not in methods:
                methods.append(method)
            mine.move_to_end(place)
            if len(mine) > MOST_EACH:
                mine.popitem(last=False)

    def answered(self, principal_id: str, target: str, session: str, request_id: str | int | None) -> str | None:
        """Return the method of the question that an answer is for, and close it. None: nobody asked."""
        if request_id is None:
            return None
        place = (target, session, request_id)
        with self._lock:
            mine = self._open.get(principal_id)
            methods = mine.get(place) if mine else None
            if mine is None or not methods:
                return None
            method = methods.popleft()
            if not methods:
                del mine[place]
            if not mine:
                del self._open[principal_id]
            return method

    def task_asked(self, principal_id: str, target: str, task: str, key: str, method: str) -> None:
        """Remember what a task waits for (`inputRequests` of the tasks extension). Its keys are never used again."""
        with self._lock:
            mine = _mine(self._asked, principal_id)
            place = (target, task, key)
            mine[place] = method
            mine.move_to_end(place)
            if len(mine) > MOST_EACH:
                mine.popitem(last=False)

    def task_keys(self, principal_id: str, target: str, task: str) -> dict[str, str]:
        """Return the keys that a task asked for, with their methods."""
        with self._lock:
            mine = self._asked.get(principal_id)
            items = mine.items() if mine else ()
            return {key: method for (t, i, key), method in items if (t, i) == (target, task)}


def _mine[K, V](table: OrderedDict[str, OrderedDict[K, V]], principal_id: str) -> OrderedDict[K, V]:
    mine = table.setdefault(principal_id, OrderedDict())
    table.move_to_end(principal_id)
    if len(table) > MOST_PRINCIPALS:
        table.popitem(last=False)
    return mine
