"""`holdpoint audit verify|export`."""

import argparse
import sys
from pathlib import Path

from holdpoint import keys
from holdpoint.cli.common import Commands, Failure, settings_of, shown
from holdpoint.recording import browse, heads
from holdpoint.recording.chain import LineError
from holdpoint.recording.verify import verify


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    group = commands.add_parser("audit", help="verify and export the audit log").add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    verifying = group.add_parser("verify", help="prove the audit log and the recordings whole, or say where not")
    verifying.add_argument("--folder", type=Path, help="another folder of recordings, as a copy for inspection")
    verifying.add_argument("--anchor", type=Path, help="a signed head that was kept elsewhere: the log must contain it")
    verifying.set_defaults(run=_verify)
    exporting = group.add_parser("export", help="write every event as a line of JSON to standard output")
    exporting.add_argument("--folder", type=Path, help="another folder of recordings")
    exporting.set_defaults(run=_export)


def _verify(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    folder = arguments.folder or settings.recordings.folder
    ring = keys.load_ring(settings.keys)
    try:
        anchor = heads.check(arguments.anchor.read_bytes().rstrip(b"\n"), ring) if arguments.anchor else None
        report = verify(folder, ring, anchor=anchor)
    except heads.HeadError as error:
        raise Failure(f"`{arguments.anchor}` holds no head of this log: {error}") from error
    except OSError as error:
        raise Failure(f"`{folder}` cannot be read: {error.strerror}") from error
    for finding in report.findings:
        print(f"BAD  {shown(finding)}")
    for note in report.notes:
        print(f"note {shown(note)}")
    print(
        f"{report.events} events in {report.segments} segments, {report.heads} signed heads, "
        f"{report.records} flow records in {report.flow_files} files, {report.unsigned_tail} lines after the last head"
    )
    if report.last_head is not None:
        head = report.last_head
        print(f"last head: size {head.size}, root {head.root}, key {shown(head.key)}")
    print("the recordings are whole" if report.ok else "THE RECORDINGS ARE NOT WHOLE")
    return 0 if report.ok else 1


def _export(arguments: argparse.Namespace) -> int:
    folder = arguments.folder or settings_of(arguments).recordings.folder
    try:
        browse.export(folder, sys.stdout.buffer)
    except LineError as error:
        raise Failure(f"{error}: run `holdpoint audit verify`") from error
    except OSError as error:
        raise Failure(f"`{folder}` cannot be read: {error.strerror}") from error
    return 0
