"""Load a bundle: the explicit list of its files, read once, taken whole or not at all."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from holdpoint.domain.access import Protocol
from holdpoint.domain.mask import MaskProfile
from holdpoint.domain.refusal import ConfigError
from holdpoint.located_yaml import Located, parse_all
from holdpoint.policy.delegations import Delegation, Delegations
from holdpoint.policy.reviewers import Lists, ReviewerList
from holdpoint.policy.rules import Policy
from holdpoint.policy.schema import API_VERSION, Surroundings, read_policy
from holdpoint.policy.schema_lists import read_delegations, read_reviewers
from holdpoint.policy.schema_masks import read_masks


@dataclass(frozen=True, slots=True)
class Bundle:
    """Policies, mask profiles, reviewer lists and delegations that belong together."""

    hash: str
    """`sha256:` and the hexadecimal SHA-256 over the names and bytes of all files."""
    policies: tuple[Policy, ...]
    masks: Mapping[str, MaskProfile]
    files: Mapping[str, str]
    """Name of each file, relative to the folder that all have in common, to `sha256:` and the digest of its bytes."""
    targets: Mapping[str, Protocol]
    """The targets that the policies were checked against."""
    lists: Lists = field(default_factory=Lists)
    delegations: Delegations = field(default_factory=Delegations)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    name: str
    raw: bytes


@dataclass(slots=True)
class _Reading:
    """What was read so far, and what is wrong with it."""

    targets: Mapping[str, Protocol]
    problems: list[ConfigError] = field(default_factory=list[ConfigError])
    policies: dict[str, Policy] = field(default_factory=dict[str, Policy])
    masks: dict[str, MaskProfile] = field(default_factory=dict[str, MaskProfile])
    lists: dict[str, ReviewerList] = field(default_factory=dict[str, ReviewerList])
    delegations: list[Delegation] = field(default_factory=list[Delegation])
    waiting: list[tuple[_File, str, Located]] = field(default_factory=list[tuple[_File, str, Located]])
    """Policies, which are read once every mask profile and list is known."""


def load_bundle(files: Sequence[Path], *, targets: Mapping[str, Protocol]) -> Bundle:
    """Read, check and compile a bundle. Raises ConfigError, which names the first of the problems."""
    bundle, problems = read_bundle(files, targets=targets)
    if bundle is None:
        first = problems[0]
        if len(problems) == 1:
            raise first
        text = str(first).removeprefix(f"{first.where}: ")
        raise ConfigError(f"{text} (and {len(problems) - 1} more)", where=first.where)
    return bundle


def read_bundle(
    files: Sequence[Path], *, targets: Mapping[str, Protocol]
) -> tuple[Bundle | None, tuple[ConfigError, ...]]:
    """Read a bundle and everything that is wrong with it. There is a bundle only if nothing is."""
    reading = _Reading(targets)
    read = _read_files(files, reading)
    for file in read:
        _read_documents(file, reading)
    for file, text, document in reading.waiting:
        _read_policy(file, text, document, reading)
    if not reading.problems and not reading.policies:
        reading.problems.append(ConfigError("the bundle holds no policy, which denies everything; list one"))
    if reading.problems:
        return None, tuple(reading.problems)
    return (
        Bundle(
            hash=_hash(read),
            policies=tuple(reading.policies[name] for name in sorted(reading.policies)),
            masks=dict(sorted(reading.masks.items())),
            files={f.name: f"sha256:{hashlib.sha256(f.raw).hexdigest()}" for f in read},
            targets=dict(targets),
            lists=Lists(dict(sorted(reading.lists.items()))),
            delegations=Delegations(tuple(reading.delegations)),
        ),
        (),
    )


def _read_files(files: Sequence[Path], reading: _Reading) -> list[_File]:
    # The bytes that are parsed are the bytes that are hashed: each file is read exactly once.
    absolute = [Path(os.path.normpath(p.absolute())) for p in files]
    common = os.path.commonpath([p.parent for p in absolute]) if absolute else ""
    found: dict[Path, _File] = {}
    for given, path in zip(files, absolute, strict=True):
        if path in found:
            reading.problems.append(ConfigError("listed twice", where=str(given)))
            continue
        try:
            found[path] = _File(given, path.relative_to(common).as_posix(), given.read_bytes())
        except OSError as error:
            reading.problems.append(ConfigError(f"cannot be read: {error.strerror}", where=str(given)))
    return sorted(found.values(), key=lambda f: f.name)


def _hash(files: Sequence[_File]) -> str:
    # Lengths in front: no two lists of files run together to the same bytes.
    state = hashlib.sha256(b"holdpoint bundle 1\0")
    for file in files:
        name = file.name.encode("utf-8", "surrogateescape")
        state.update(len(name).to_bytes(8) + name + len(file.raw).to_bytes(8) + file.raw)
    return f"sha256:{state.hexdigest()}"


def _read_documents(file: _File, reading: _Reading) -> None:
    try:
        documents = parse_all(file.raw, file.path)
    except ConfigError as error:
        reading.problems.append(error)
        return
    if not documents:
        reading.problems.append(ConfigError("holds no document", where=str(file.path)))
    text = file.raw.decode("utf-8")
    for document in documents:
        try:
            match _kind(document):
                case "Masks":
                    _read_masks(document, reading)
                case "Reviewers":
                    _read_reviewers(file, document, reading)
                case "Delegations":
                    reading.delegations += read_delegations(document, file.name)
                case _:
                    reading.waiting.append((file, text, document))
        except ConfigError as error:
            reading.problems.append(error)


def _kind(document: Located) -> str:
    found = {name: value for name, _, value in document.items()}
    for name in ("apiVersion", "kind"):
        if name not in found:
            raise document.error(f"key `{name}` is missing")
    found["apiVersion"].choice(API_VERSION)
    if found["kind"].text() == "PolicyTest":
        raise found["kind"].error("tests are no part of a bundle; give this file to `holdpoint policy test`")
    return found["kind"].choice("Policy", "Masks", "Reviewers", "Delegations")


def _read_masks(document: Located, reading: _Reading) -> None:
    for where, profile in read_masks(document):
        if profile.name in reading.masks:
            first = reading.masks[profile.name].where
            reading.problems.append(where.error(f"duplicate mask profile `{profile.name}`; the first is at {first}"))
        else:
            reading.masks[profile.name] = profile


def _read_reviewers(file: _File, document: Located, reading: _Reading) -> None:
    found = read_reviewers(document, reading.targets, file.name)
    if found.name in reading.lists:
        first = reading.lists[found.name].where
        raise document.error(f"duplicate list of reviewers `{found.name}`; the first is at {first}")
    reading.lists[found.name] = found


def _read_policy(file: _File, text: str, document: Located, reading: _Reading) -> None:
    around = Surroundings(
        reading.targets, frozenset(reading.masks), text, file.name, reading.problems.append, reading.lists
    )
    try:
        policy = read_policy(document, around)
        if policy.name in reading.policies:
            first = reading.policies[policy.name].where
            raise document.error(f"duplicate policy `{policy.name}`; the first is at {first}")
        reading.policies[policy.name] = policy
    except ConfigError as error:
        reading.problems.append(error)
