"""Reads `gateway.yaml` into `Settings`, or says what to write instead, and where.

Every module here reads one section: from located YAML to frozen types, with every check that needs no network. What a
section needs of another is an argument: the order in `load_settings` is the order in which things must be known.
"""

from collections.abc import Mapping
from pathlib import Path

from holdpoint.domain.refusal import ConfigError
from holdpoint.located_yaml import Fields, Located, load
from holdpoint.settings import Console, Recordings, Settings, Target
from holdpoint.settings_file import schema
from holdpoint.settings_file.cautions import cautions
from holdpoint.settings_file.issuers import read_issuers, read_reviewers
from holdpoint.settings_file.keys_section import read_keys
from holdpoint.settings_file.links import link_targets
from holdpoint.settings_file.listeners import read_console, read_listeners
from holdpoint.settings_file.notices import read_notices
from holdpoint.settings_file.places import Places, read_set, regular_file, seconds
from holdpoint.settings_file.roads import leads_to, leads_to_url
from holdpoint.settings_file.stores import read_store
from holdpoint.settings_file.targets import read_targets
from holdpoint.settings_file.telemetry import read_metrics, read_otlp

OPTION = "holdpoint_config"
VARIABLE = "HOLDPOINT_CONFIG"
API_VERSION = "holdpoint/v1"
KIND = "Gateway"
SOCKET_PATH_BYTES = 107
"""The longest path of a Unix socket (`sun_path` of Linux less its terminator)."""


def resolve_settings_path(option: str, environ: Mapping[str, str]) -> Path:
    """Return the settings file: the mitmproxy option, else the environment variable. Raises ConfigError."""
    text = option or environ.get(VARIABLE, "")
    if not text:
        raise ConfigError(
            f"no settings file: name one in the environment variable `{VARIABLE}`, or with "
            f"`holdpoint --config FILE …` or `mitmdump --set {OPTION}=FILE …`"
        )
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ConfigError("the home folder of this path is unknown", where=text) from None


def load_settings(file: Path, environ: Mapping[str, str], *, check_machine: bool = True) -> Settings:
    """Read and check the whole of `gateway.yaml`. Relative paths are relative to its folder.

    `environ` is where `env:` secrets are looked for; nothing is kept of them. With `check_machine=False` (the console,
    a check in CI) neither secrets nor keys nor certificates need be here; policy files always do.
    Raises ConfigError with `file:line:column`.
    """
    root = load(file)
    if not root.is_mapping:
        raise root.error(f"expected a mapping that starts with `apiVersion: {API_VERSION}`")
    fields = schema.GATEWAY.read(root)
    _check_version(fields)
    places = Places(file.parent.resolve(), environ, check_machine)
    listeners = read_listeners(fields["listeners"], places)
    issuers = read_issuers(fields["issuers"], places)
    console = read_console(fields.get("console"), places, listeners, issuers)
    keys = read_keys(fields["keys"], places)
    targets = link_targets(fields["targets"], read_targets(fields["targets"], places, issuers, listeners), keys)
    _refuse_console_target(fields["targets"], targets, console)
    settings = Settings(
        file=file,
        listeners=listeners,
        keys=keys,
        issuers=issuers,
        targets=targets,
        policies=_policies(fields["policies"], places, file),
        store=read_store(fields["store"], places),
        recordings=_recordings(fields["recordings"], places),
        admin_socket=_socket(fields["admin"], places),
        reviewers=read_reviewers(fields.get("reviewers"), issuers, console),
        console=console,
        metrics=read_metrics(fields.get("metrics"), places, listeners, console),
        otlp=read_otlp(fields.get("otlp")),
        notices=read_notices(fields.get("notices"), places, targets, console),
        cautions=cautions(fields["targets"], targets, issuers),
    )
    _refuse_shared_places(fields, settings)
    return settings


def _check_version(fields: Fields) -> None:
    if fields["apiVersion"].text() != API_VERSION:
        raise fields["apiVersion"].error(f"this version reads `{API_VERSION}`")
    if fields["kind"].text() != KIND:
        raise fields["kind"].error(f"expected `{KIND}`: policies stand in files of their own, under `policies`")


def _refuse_console_target(value: Located, targets: tuple[Target, ...], console: Console | None) -> None:
    if console is None:
        return
    for target, element in zip(targets, value.elements(), strict=True):
        if leads_to(target, console.address) or leads_to_url(target, console.url):
            raise element.error(f"target `{target.name}` leads to the console: nobody reviews through the gateway")


def _policies(value: Located, places: Places, settings_file: Path) -> tuple[Path, ...]:
    def policy(element: Located) -> str:
        if any(c in element.text() for c in "*?["):
            raise element.error("patterns are not expanded: list every file")
        file = regular_file(element, places.path(element))
        if file.suffix not in (".yaml", ".yml"):
            raise element.error(f"`{file.name}` is no YAML file")
        if file.samefile(settings_file):
            raise element.error("this is the settings file itself")
        return str(file)

    if value.is_sequence and not value.elements():
        raise value.error("no policy file: everything would be denied")
    return tuple(Path(text) for text in read_set(value, "policy files", policy))


def _recordings(value: Located, places: Places) -> Recordings:
    fields = schema.RECORDINGS.read(value)
    return Recordings(
        folder=places.path(fields["folder"]),
        idle=seconds(fields.get("idle"), 900.0, low=10, high=86_400),
        checkpoint=seconds(fields.get("checkpoint"), 10.0, low=1, high=3_600),
    )


def _socket(value: Located, places: Places) -> Path:
    element = schema.ADMIN.read(value)["socket"]
    path = places.path(element)
    if len(str(path).encode()) > SOCKET_PATH_BYTES:
        raise element.error(f"`{path}` is longer than {SOCKET_PATH_BYTES} bytes, which no socket's path may be")
    return path


def _refuse_shared_places(fields: Fields, settings: Settings) -> None:
    """Refuse places that lie within another's folder, where one writer could overwrite or publish another's."""
    keys = settings.keys
    signing = settings.console.signing if settings.console else ()
    secret = (keys.ca_folder, keys.digest_file, *(key.file for key in (*keys.audit, *keys.calls)))
    secret = (*secret, *(key.file or key.public_file for key in signing))
    recordings = settings.recordings.folder
    store = (settings.store,) if isinstance(settings.store, Path) else ()
    for path in (*secret, *store, settings.admin_socket):
        if recordings == path or recordings in path.parents:
            raise fields["recordings"].error(f"recordings are exported: keep `{path}` out of their folder")
    for path in (*store, settings.admin_socket, recordings):
        if keys.ca_folder == path or keys.ca_folder in path.parents:
            raise fields["keys"].error(f"the folder of the certificate authority is its own: keep `{path}` out of it")
    plain = (*store, settings.admin_socket, *secret[1:])
    if len(set(plain)) != len(plain):
        raise fields["store"].error("the store, the admin socket and every key need files of their own")


__all__ = ["OPTION", "VARIABLE", "load_settings", "resolve_settings_path"]
