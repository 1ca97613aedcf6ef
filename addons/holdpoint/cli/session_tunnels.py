"""`holdpoint sessions asciicast|stdin`: what a recorded terminal showed, and what was typed into it."""

import argparse
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mitmproxy.exceptions import FlowReadException

from holdpoint.cli.common import Commands, Failure, settings_of, shown
from holdpoint.clock import SystemClock
from holdpoint.domain.refusal import ConfigError
from holdpoint.keys import open_digest_key
from holdpoint.recording import asciicast
from holdpoint.recording.browse import RecordedSession
from holdpoint.recording.tunnel_flows import RecordedTunnel, session_tunnels
from holdpoint.recording.typed import typed
from holdpoint.seals import SealBroken, Seals
from holdpoint.settings import Settings

type Finder = Callable[[Settings, str], RecordedSession]
_OUTPUT = (b"\x01", b"\x02")


def add(group: Commands, find: Finder) -> None:
    """Add the commands to the group `sessions`. `find` returns a session by its id, or raises Failure."""
    casting = group.add_parser("asciicast", help="write what its terminals showed as asciicast v2, a file for each")
    casting.add_argument("id")
    casting.add_argument("--folder", type=Path, default=Path(), help="where the files go (default: here)")
    casting.set_defaults(run=partial(_asciicast, find=find))
    typing = group.add_parser("stdin", help="open what was typed, where it was recorded sealed, with the digest key")
    typing.add_argument("id")
    typing.set_defaults(run=partial(_stdin, find=find))


def _tunnels(settings: Settings, session: RecordedSession) -> tuple[RecordedTunnel, ...]:
    try:
        return tuple(session_tunnels(settings.recordings.folder, session))
    except FlowReadException as error:
        raise Failure(f"a recording of `{session.id}` cannot be read: run `holdpoint audit verify`") from error
    except OSError as error:
        raise Failure(f"`{settings.recordings.folder}` cannot be read: {error.strerror}") from error


def _asciicast(arguments: argparse.Namespace, find: Finder) -> int:
    settings = settings_of(arguments)
    session = find(settings, arguments.id)
    found = [t for t in _tunnels(settings, session) if any(m.content[:1] in _OUTPUT for m in t.messages)]
    if not found:
        raise Failure("no output of a terminal was recorded in this session")
    folder: Path = arguments.folder
    for tunnel in found:
        path = folder / f"{tunnel.exchange}.cast"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in asciicast.lines(tunnel))
        except OSError as error:
            raise Failure(f"`{path}` cannot be written: {error.strerror}") from error
        print(f"{path}: {shown(shlex.join(tunnel.command) or tunnel.path)}")
        if "cut" in str(tunnel.summary.get("shown")) or not tunnel.ended:
            print("  not all of it: the rest was not recorded", file=sys.stderr)
    return 0


def _stdin(arguments: argparse.Namespace, find: Finder) -> int:
    settings = settings_of(arguments)
    session = find(settings, arguments.id)
    file = settings.keys.digest_file
    if not file.exists():
        raise Failure(f"what was typed is sealed under the key in `{file}`, which is not there")
    try:
        seals = Seals(open_digest_key(file), SystemClock())
    except ConfigError as error:
        raise Failure(str(error)) from error
    found = [t for t in _tunnels(settings, session) if any(m.content[:1] == b"\0" for m in t.messages)]
    if not found:
        raise Failure("nothing typed was recorded: the target's setting is `record: {stdin: sealed}`")
    for tunnel in found:
        try:
            plain = typed(tunnel.messages, tunnel.exchange, seals)
        except SealBroken as error:
            raise Failure(f"what was typed into `{tunnel.exchange}` does not open: {error}") from error
        print(f"# {tunnel.exchange} {shown(shlex.join(tunnel.command))}", file=sys.stderr, flush=True)
        sys.stdout.buffer.write(plain)
        sys.stdout.buffer.flush()
    return 0
