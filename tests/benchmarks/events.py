"""Event streams for measuring: an upstream that writes the time into each event, and a client that reads it.

    python -m tests.benchmarks.events PORT                      # the upstream
    python -m tests.benchmarks.events <JOBS.jsonl >RESULTS.jsonl  # the client

Both clocks are one: `time.perf_counter` is CLOCK_MONOTONIC on Linux, which all processes share.
"""

import asyncio
import re
import sys
import time

import h11
import msgspec
from tests.benchmarks.profiles import EVENT_SIZES, PROGRESS_TOKEN

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_LAST = b'event: message\ndata: {"jsonrpc":"2.0","id":1,"result":{"content":[],"resultType":"complete"}}\n\n'
_STAMP = re.compile(rb'"progress": ?(\d+)')


class Stream(msgspec.Struct, frozen=True):
    """Which stream to ask for, and where."""

    port: int
    request: bytes
    events: int


class Delays(msgspec.Struct, frozen=True):
    """What came of it."""

    delays: list[float]
    """Seconds from the upstream's write to the client's read of the whole event, in order."""
    failures: int
    example: bytes = b""


def event(size: int) -> bytes:
    """Return one progress notification of about `size` bytes, that says when it was made. Nanoseconds.

    The text is what a tool may say, not one letter again and again: masks have to read it.
    """
    method = '"method":"notifications/progress"'
    head = f'event: message\ndata: {{"jsonrpc":"2.0",{method},"params":{{"progressToken":"{PROGRESS_TOKEN}",'
    tail = '"}}\n\n'
    stamp = f'"progress":{time.perf_counter_ns()},"message":"'
    text = "scaled web of shop to 5 replicas, waiting for the last of them; "
    missing = max(0, size - len(head) - len(stamp) - len(tail))
    return (head + stamp + (text * (missing // len(text) + 1))[:missing] + tail).encode()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve requests with a `Content-Length`; the tool's name says how large the events are, its argument how many."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            size = int(re.findall(rb"content-length: ?(\d+)", head.lower())[0])
            params = msgspec.json.decode(await reader.readexactly(size))["params"]
            each = EVENT_SIZES[params["name"]]
            writer.write(_HEAD)
            for _ in range(params["arguments"]["events"]):
                await asyncio.sleep(params["arguments"]["pause"])
                data = event(each)
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                await writer.drain()
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(_LAST), _LAST))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def serve(port: int) -> None:
    """Serve on loopback until killed."""
    server = await asyncio.start_server(_answer, "127.0.0.1", port, limit=1 << 20)
    sys.stdout.write("events: serving\n")
    sys.stdout.flush()
    await server.serve_forever()


async def read(job: Stream) -> Delays:
    """Read one stream to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", job.port, limit=1 << 20)
    parser = h11.Connection(h11.CLIENT)
    # Its state only: the bytes are those of the job.
    parser.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    parser.send(h11.EndOfMessage())
    writer.write(job.request)
    delays: list[float] = []
    buffer, everything, status, is_open = b"", b"", 0, True
    while is_open:
        parser.receive_data(await reader.read(1 << 17))
        came = time.perf_counter_ns()
        while (found := parser.next_event()) is not h11.NEED_DATA:
            if isinstance(found, h11.Response):
                status = found.status_code
            elif isinstance(found, h11.Data):
                buffer += found.data
            elif isinstance(found, h11.EndOfMessage | h11.ConnectionClosed):
                is_open = False
                break
        *whole, buffer = buffer.split(b"\n\n")
        everything = (everything + b"".join(whole))[:2_000]
        delays += [(came - int(stamp[1])) / 1e9 for each in whole if (stamp := _STAMP.search(each))]
    writer.close()
    is_whole = status == 200 and len(delays) == job.events
    return Delays(delays, 0 if is_whole else 1, b"" if is_whole else b"%d " % status + everything + buffer)


def main() -> None:
    """Read jobs, write results, a line each."""
    for line in sys.stdin.buffer:
        done = asyncio.run(read(msgspec.json.decode(line, type=Stream)))
        sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(serve(int(sys.argv[1])))
    else:
        main()
