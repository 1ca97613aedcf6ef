"""`holdpoint approvals verify`: who approved what, proved from the record, without a gateway."""

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from holdpoint import keys
from holdpoint.approvals.judge import Finding, Judged, Weight, histories, judge
from holdpoint.cli.common import Failure, settings_of, shown
from holdpoint.cli.logs import read_log
from holdpoint.domain.approval import Proof, Reviewer
from holdpoint.domain.refusal import ConfigError
from holdpoint.domain.statement import Statement
from holdpoint.domain.values import JsonValue, as_object, as_text
from holdpoint.identity.documents import BadDocument
from holdpoint.identity.keys import ALGORITHMS, KeySet, parse_key_set
from holdpoint.identity.recorded import audience_of, check_recorded
from holdpoint.identity.tokens import BadToken
from holdpoint.protocols.strict_json import loads
from holdpoint.recording.heads import KeyRing
from holdpoint.settings import Issuer, Settings
from holdpoint.stages.admin_methods import login_clients

type Actions = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001


def add(group: Actions) -> None:
    """Add `verify` to the commands of `approvals`."""
    command = group.add_parser("verify", help="prove from the record who approved what, without a gateway")
    command.add_argument("id", nargs="?", default="", help="only this request (default: all)")
    command.add_argument("--recordings", type=Path, help="another folder of recordings, or one file of an audit log")
    command.add_argument(
        "--keys", type=Path, help="public keys of audit and console, in place of those in the settings"
    )
    command.add_argument(
        "--jwks", type=Path, help="key set of the issuer, kept elsewhere: its tokens are checked by it"
    )
    command.set_defaults(run=_verify)


@dataclass(frozen=True, slots=True)
class Known:
    """By what approvals are judged."""

    audit: KeyRing
    console: Mapping[str, Ed25519PublicKey]
    issuers: Mapping[str, tuple[Issuer, frozenset[str]]] = field(
        default_factory=dict[str, tuple[Issuer, frozenset[str]]]
    )
    """By URL, with the clients at which reviewers log in."""
    key_set: KeySet | None = None

    def check(self, proof: Proof, statement: Statement, reviewer: Reviewer, at: float) -> Finding:
        """Judge a confirming token."""
        issuer, clients = self.issuers.get(reviewer.issuer, (None, frozenset[str]()))
        try:
            told = issuer or Issuer(reviewer.issuer, reviewer.issuer, ALGORITHMS, frozenset())
            check_recorded(
                proof.id_token,
                issuer=told,
                client_ids=clients if issuer else frozenset({audience_of(proof.id_token)}),
                recorded=proof.issuer_key,
                key_set=self.key_set,
                reviewer=reviewer,
                digest=statement.digest,
                at=at,
            )
        except BadToken as error:
            return Finding(Weight.BAD, f"the confirming token does not count: {error}")
        said = f"{statement.verdict}, confirmed by {reviewer.issuer}"
        if self.key_set is None:
            return Finding(Weight.CLAIMED, f"{said}, if the key that was recorded with it is its own (see --jwks)")
        if issuer is None:
            return Finding(Weight.CLAIMED, f"{said}, for a client that is not known here")
        return Finding(Weight.PROVED, said)


def _verify(arguments: argparse.Namespace) -> int:
    known, folder = _known(arguments)
    try:
        log = read_log(folder, known.audit)
    except OSError as error:
        raise Failure(f"`{folder}` cannot be read: {error.strerror}") from error
    for wrong in log.wrong:
        print(f"BAD      {shown(wrong)}")
    for note in log.notes:
        print(f"note     {shown(note)}")
    found = histories(log.events)
    if arguments.id and arguments.id not in found:
        raise Failure(f"the log knows no approval request `{shown(arguments.id)}`")
    judged = [judge(h, known.console, known.check) for h in found.values() if arguments.id in ("", h.id)]
    for one in judged:
        _tell(one)
    counted = Counter(one.weight for one in judged)
    print(
        f"{len(judged)} approval requests: {counted[Weight.PROVED]} proved, "
        f"{counted[Weight.CLAIMED]} in part only claimed, {counted[Weight.BAD]} BAD"
    )
    is_good = not log.wrong and not counted[Weight.BAD]
    print("nothing contradicts the record" if is_good else "THE RECORD DOES NOT HOLD")
    return 0 if is_good else 1


def _tell(one: Judged) -> None:
    print(f"{shown(one.id)}  {shown(one.state)}  {shown(one.what)}")
    for finding in one.findings:
        print(f"  {finding.weight.value:8} {shown(finding.text)}")


def _known(arguments: argparse.Namespace) -> tuple[Known, Path]:
    """Read by what to judge, and what. Raises ConfigError, Failure."""
    settings: Settings | None = None
    try:
        settings = settings_of(arguments)
    except ConfigError:
        # An auditor needs no settings of the gateway: what they would say is given.
        if arguments.keys is None or arguments.recordings is None:
            raise
    key_set = _key_set(arguments.jwks) if arguments.jwks else None
    if settings is None:
        return Known(*_keys(arguments.keys), key_set=key_set), arguments.recordings
    clients = login_clients(settings)
    issuers = {i.url: (i, clients.get(i.name, frozenset())) for i in settings.issuers}
    if arguments.keys is not None:
        audit, console = _keys(arguments.keys)
    else:
        signing = settings.console.signing if settings.console else ()
        audit, console = keys.load_ring(settings.keys), keys.PinnedKeys(signing)
    return Known(audit, console, issuers, key_set), arguments.recordings or settings.recordings.folder


def _keys(file: Path) -> tuple[KeyRing, Mapping[str, Ed25519PublicKey]]:
    """Read `{"audit": {ID: PEM}, "console": {ID: PEM}}`. Raises Failure."""
    try:
        value = as_object(loads(file.read_bytes()))
        return _ring(value.get("audit")), _ring(value.get("console"))
    except OSError as error:
        raise Failure(f"`{file}` cannot be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Failure(f"`{file}` holds no keys by id, as the reference has them: {error}") from error


def _ring(value: JsonValue) -> dict[str, Ed25519PublicKey]:
    ring: dict[str, Ed25519PublicKey] = {}
    for key_id, pem in as_object(value).items():
        loaded = serialization.load_pem_public_key(as_text(pem).encode())
        if not isinstance(loaded, Ed25519PublicKey):
            raise ValueError(f"`{key_id}` is no Ed25519 key")  # noqa: TRY004  # said of the file
        ring[key_id] = loaded
    return ring


def _key_set(file: Path) -> KeySet:
    try:
        return parse_key_set(file.read_bytes())
    except OSError as error:
        raise Failure(f"`{file}` cannot be read: {error.strerror}") from error
    except BadDocument as error:
        raise Failure(f"`{file}` is no JWK Set: {error}") from error
