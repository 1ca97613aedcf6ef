"""Reads `keys:` and `console.signing:`."""

from pathlib import Path

from holdpoint.domain.refusal import ConfigError
from holdpoint.keys import PUBLIC_SUFFIX, load_public, public_file
from holdpoint.located_yaml import Located
from holdpoint.private_files import read_private
from holdpoint.settings import ConsoleKey, Keys, SigningKey
from holdpoint.settings_file import schema
from holdpoint.settings_file.places import Places, read_name
from holdpoint.settings_file.schema import Shape


def read_keys(value: Located, places: Places) -> Keys:
    """Read where all keys are. Makes none. Raises ConfigError."""
    fields = schema.KEYS.read(value)
    folder = schema.CA.read(fields["ca"])["folder"]
    active, audit = _signing(schema.AUDIT, schema.RING, fields["audit"], places)
    calls_active, calls = "", tuple[SigningKey, ...]()
    if (section := fields.get("calls")) is not None:
        calls_active, calls = _signing(schema.CALLS, schema.CALLS_RING, section, places)
        shared = {public_file(key) for key in audit} & {public_file(key) for key in calls}
        if shared:
            raise section.error("one key signs for one purpose: give tokens of calls a key of their own")
    digest = schema.DIGEST.read(fields["digest"])["file"]
    keys = Keys(
        ca_folder=places.path(folder),
        audit_active=active,
        audit=audit,
        digest_file=places.path(digest),
        calls_active=calls_active,
        calls=calls,
    )
    _refuse_sharing(keys, folder, digest)
    return keys


def read_signing(value: Located | None, places: Places) -> tuple[ConsoleKey, ...]:
    """Read the keys under which the console signs decisions, the active one first. Makes none. Raises ConfigError."""
    if value is None:
        return ()
    fields = schema.CONSOLE_SIGNING.read(value)
    file, public, create, older = (fields.get(name) for name in ("file", "public_file", "create", "older"))
    if (file is None) == (public is None):
        raise value.error("name the key by `file`, or, where this machine shall not have it, by `public_file` alone")
    name = read_name(fields["id"], "a key")
    if file is not None:
        made = SigningKey(name, places.path(file), create=create is not None and create.boolean())
        if made.file.suffix == PUBLIC_SUFFIX:
            raise file.error("the active key signs: name its private file, or write `public_file`")
        if places.check_machine:
            _check_there(file, made)
        ring = [ConsoleKey(name, public_file(made), made.file, made.create)]
    else:
        if create is not None:
            raise create.error("a key is made where its private half is: name it by `file` there")
        ring = [ConsoleKey(name, _public(public or value, places))]
    for element in older.elements() if older else ():
        kept = schema.CONSOLE_OLDER.read(element)
        key = ConsoleKey(read_name(kept["id"], "a key"), _public(kept["public_file"], places))
        if key.id in {known.id for known in ring}:
            raise kept["id"].error(f"key `{key.id}` stands here twice")
        if key.public_file in {known.public_file for known in ring}:
            raise kept["public_file"].error("two keys in one file")
        ring.append(key)
    return tuple(ring)


def _public(value: Located, places: Places) -> Path:
    file = places.path(value)
    if places.check_machine:
        try:
            load_public(file)
        except ConfigError as error:
            raise value.error(str(error)) from error
    return file


def _signing(section: Shape, element: Shape, value: Located, places: Places) -> tuple[str, tuple[SigningKey, ...]]:
    """Read the id of the key that signs, and the ring."""
    fields = section.read(value)
    ring = _ring(element, fields["ring"], places)
    active = read_name(fields["active"], "a key")
    if active not in {key.id for key, _ in ring}:
        raise fields["active"].error(f"no key of the ring has the id `{active}`")
    for key, place in ring:
        if key.id == active and key.file.suffix == PUBLIC_SUFFIX:
            raise place.error("the active key signs: name its private file")
        if key.id != active and key.create:
            raise place.error("`create` is for the active key alone: an older key that is lost is not replaced")
        if places.check_machine:
            _check_there(place, key)
    return active, tuple(key for key, _ in ring)


def _ring(shape: Shape, value: Located, places: Places) -> list[tuple[SigningKey, Located]]:
    ring: list[tuple[SigningKey, Located]] = []
    for element in value.elements():
        fields = shape.read(element)
        create = fields.get("create")
        key = SigningKey(
            id=read_name(fields["id"], "a key"),
            file=places.path(fields["file"]),
            create=create is not None and create.boolean(),
        )
        if key.id in {known.id for known, _ in ring}:
            raise fields["id"].error(f"key `{key.id}` stands here twice")
        if public_file(key) in {public_file(known) for known, _ in ring}:
            raise fields["file"].error("two keys in one file, or with one public half beside them")
        ring.append((key, element))
    if not ring:
        raise value.error("the ring is empty: nothing could sign")
    return ring


def _check_there(element: Located, key: SigningKey) -> None:
    if key.file.exists() or key.file.is_symlink():
        if key.file.suffix != PUBLIC_SUFFIX:
            try:
                read_private(key.file)
            except ConfigError as error:
                raise element.error(str(error)) from error
    elif not key.create and not public_file(key).exists():
        raise element.error(f"`{key.file}` does not exist; write `create: true` to have it made at first start")


def _refuse_sharing(keys: Keys, folder: Located, digest: Located) -> None:
    signing = (*keys.audit, *keys.calls)
    files = {key.file for key in signing} | {public_file(key) for key in signing}
    if keys.digest_file in files:
        raise digest.error("this file holds another key already")
    for file in (*files, keys.digest_file):
        if keys.ca_folder in file.parents:
            raise folder.error("the folder of the certificate authority is its own: keep other keys out of it")
