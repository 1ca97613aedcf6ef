"""Read forms, and tell our own from forged ones."""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

MOST_BYTES = 64 << 10
MOST_FIELDS = 16
PATIENCE = 20.0
"""Seconds for the whole body: who sends it slower holds a place that others need."""


class BadForm(Exception):  # noqa: N818  # named after what it is
    """A form that our pages do not send. The message is for the sender."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


async def read_form(request: Request, *, origin: str, patience: float = PATIENCE) -> Mapping[str, str]:
    """Return the fields of a form that came from one of our own pages. Raises BadForm."""
    check_sender(request.headers, origin=origin)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadForm("only forms are taken here", status=415)
    try:
        async with asyncio.timeout(patience):
            body = await _body(request)
    except (TimeoutError, ClientDisconnect):
        raise BadForm("the form did not come in time", status=408) from None
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise BadForm("the form cannot be read") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadForm("a field of the form occurs twice")
    return fields


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise BadForm("the form is too large", status=413)
    return bytes(body)


def check_sender(headers: Mapping[str, str], *, origin: str) -> None:
    """Refuse what a browser says comes from elsewhere. Raises BadForm.

    NOTE: under `Referrer-Policy: no-referrer` browsers send `Origin: null` with our own forms (Fetch, section 3.2), so
    `null` alone proves nothing; `Sec-Fetch-Site` does, and every browser that has it sends it.
    """
    site = headers.get("sec-fetch-site")
    sender = headers.get("origin")
    if site is not None and site != "same-origin":
        raise BadForm("this form was sent from another site", status=403)
    if sender is not None and sender not in {origin, "null"}:
        raise BadForm("this form was sent from another site", status=403)
