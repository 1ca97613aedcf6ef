"""`holdpoint sessions list|show|asciicast|stdin|replay`."""

import argparse
import os
import sys
from pathlib import Path

from holdpoint.cli import session_tunnels
from holdpoint.cli.common import Commands, Failure, moment, settings_of, shown, table
from holdpoint.domain.values import as_text
from holdpoint.recording import browse
from holdpoint.recording.browse import RecordedExchange, RecordedSession
from holdpoint.recording.chain import LineError
from holdpoint.recording.replay import replay_command
from holdpoint.settings import Settings


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("sessions", help="recorded sessions: list, show, export, replay").add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    listing = group.add_parser("list", help="list recorded sessions, newest first")
    listing.add_argument("--principal", default="", help="only those of this principal, person or name")
    listing.add_argument("--target", default="", help="only those on this target")
    listing.set_defaults(run=_list)
    showing = group.add_parser("show", help="show what happened in one session, and its flow files")
    showing.add_argument("id")
    showing.set_defaults(run=_show)
    session_tunnels.add(group, _one)
    replaying = group.add_parser("replay", help="answer the same client again from a recording; Ctrl-C ends it")
    replaying.add_argument("id")
    replaying.add_argument("--port", type=int, default=8184, help="port of loopback to listen at (default: 8184)")
    replaying.set_defaults(run=_replay)


def _sessions(settings: Settings, arguments: argparse.Namespace) -> tuple[RecordedSession, ...]:
    try:
        return browse.list_sessions(settings.recordings.folder, principal=arguments.principal, target=arguments.target)
    except LineError as error:
        raise Failure(f"{error}: run `holdpoint audit verify`") from error
    except OSError as error:
        raise Failure(f"`{settings.recordings.folder}` cannot be read: {error.strerror}") from error


def _one(settings: Settings, session: str) -> RecordedSession:
    try:
        return browse.show_session(settings.recordings.folder, session)
    except KeyError:
        raise Failure(f"there is no recorded session `{session}`; see `holdpoint sessions list`") from None
    except LineError as error:
        raise Failure(f"{error}: run `holdpoint audit verify`") from error
    except OSError as error:
        raise Failure(f"`{settings.recordings.folder}` cannot be read: {error.strerror}") from error


def _who(session: RecordedSession) -> str:
    principal = session.principal
    return as_text(principal.get("person")) or as_text(principal.get("id")) or "nobody known"


def _list(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    found = _sessions(settings, arguments)
    rows = [("SESSION", "STARTED", "ENDED", "WHO", "TARGET", "EXCHANGES")]
    rows += [
        (s.id, moment(s.started), moment(s.ended), shown(_who(s)), shown(s.target), str(len(s.exchanges)))
        for s in found
    ]
    print(table(rows) if found else "no sessions are recorded")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    session = _one(settings, arguments.id)
    print(f"{session.id}: {shown(_who(session))} on {shown(session.target)}, {moment(session.started)}")
    rows: list[tuple[str, ...]] = []
    for exchange in session.exchanges:
        rows.append(_row(exchange))
        if exchange.requests:
            rows += [_row(e, "  > ") for e in _linked(settings, exchange.id) if e.call == exchange.id]
    print(table(rows))
    for call in sorted({e.call for e in session.exchanges if e.call}):
        print(f"served tool call {call}: see `holdpoint explain {call}`")
    for file in session.files:
        print(settings.recordings.folder / file)
    return 0


def _row(exchange: RecordedExchange, before: str = "") -> tuple[str, ...]:
    return (
        before + moment(exchange.at),
        shown(exchange.outcome),
        shown(f"{exchange.action} {exchange.resource}"),
        shown(", ".join(exchange.rules)),
        shown(exchange.refusal or exchange.declined),
        exchange.id,
    )


def _linked(settings: Settings, exchange: str) -> tuple[RecordedExchange, ...]:
    try:
        return browse.linked(settings.recordings.folder, exchange)
    except LineError as error:
        raise Failure(f"{error}: run `holdpoint audit verify`") from error
    except OSError as error:
        raise Failure(f"`{settings.recordings.folder}` cannot be read: {error.strerror}") from error


def _replay(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    session = _one(settings, arguments.id)
    files: list[Path] = [settings.recordings.folder / f for f in session.files]
    if not files:
        raise Failure("nothing of this session was recorded")
    # mitmdump of this environment, which is not always on PATH.
    command = replay_command(files, port=arguments.port, mitmdump=str(Path(sys.executable).with_name("mitmdump")))
    print(f"answering from {session.id} at http://127.0.0.1:{arguments.port}", flush=True)
    os.execv(command[0], command)  # noqa: S606  # mitmdump takes the place of this process
