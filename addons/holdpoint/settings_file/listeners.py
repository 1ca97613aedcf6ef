"""Reads `listeners:` and `console:`: whatever opens a port."""

from collections.abc import Sequence

from holdpoint.located_yaml import Fields, Located
from holdpoint.settings import Address, Console, Issuer, Listener, ListenerTls
from holdpoint.settings_file import schema
from holdpoint.settings_file.addresses import is_loopback, is_wildcard, read_listen, read_url
from holdpoint.settings_file.keys_section import read_signing
from holdpoint.settings_file.places import Places, printable, read_name


def read_listeners(value: Located, places: Places) -> tuple[Listener, ...]:
    """Read every listener; none at all is an error. Raises ConfigError."""
    elements = value.elements()
    if not elements:
        raise value.error("no listener: nothing could come in")
    listeners: list[Listener] = []
    for element in elements:
        fields = schema.LISTENER.read(element)
        listener = _listener(fields, places)
        if listener.name in {known.name for known in listeners}:
            raise fields["name"].error(f"listener `{listener.name}` stands here twice")
        refuse_taken(fields["listen"], listener.address, listeners)
        listeners.append(listener)
    return tuple(listeners)


def _listener(fields: Fields, places: Places) -> Listener:
    name = read_name(fields["name"], "a listener")
    mode = fields["mode"].choice("reverse", "forward")
    address = read_listen(fields["listen"])
    tls = places.tls(schema.LISTENER_TLS, fields.get("tls"))
    url = _entry_url(fields, address, tls, f"listener `{name}`")
    return Listener(name, "reverse" if mode == "reverse" else "forward", address, tls, url)


def _entry_url(fields: Fields, address: Address, tls: ListenerTls | None, what: str) -> str:
    """Return the base URL: as written, or scheme and address. Raises ConfigError."""
    if tls is None and not is_loopback(address.host):
        raise fields["listen"].error(
            f"plain HTTP is for loopback only: give {what} `tls: {{certificate, key}}` or listen on `127.0.0.1`"
        )
    value = fields.get("url")
    if value is None:
        if is_wildcard(address.host):
            raise fields["listen"].error(f"{what} listens on every interface: write the `url` that others use")
        return f"{'https' if tls else 'http'}://{address}"
    url = read_url(value, what=what, path=False)
    if tls is not None and url.scheme == "http":
        raise value.error(f"{what} speaks TLS: write `https://`")
    return url.origin


def refuse_taken(value: Located, address: Address, listeners: Sequence[Listener]) -> None:
    """Refuse an address that a listener has already, or that a listener on every interface covers."""
    for other in listeners:
        same_host = address.host == other.address.host or (
            is_loopback(address.host) and is_loopback(other.address.host)
        )
        covered = is_wildcard(address.host) or is_wildcard(other.address.host)
        if address.port == other.address.port and (same_host or covered):
            raise value.error(f"`{address}` is taken by listener `{other.name}`")


def read_console(
    value: Located | None, places: Places, listeners: Sequence[Listener], issuers: Sequence[Issuer]
) -> Console | None:
    """Read where the reviewers' console listens and how they log in. Raises ConfigError."""
    if value is None:
        return None
    fields = schema.CONSOLE.read(value)
    address = read_listen(fields["listen"])
    refuse_taken(fields["listen"], address, listeners)
    tls = places.tls(schema.CONSOLE_TLS, fields.get("tls"))
    url = _entry_url(fields, address, tls, "the console")
    if url in {listener.url for listener in listeners}:
        raise fields["listen"].error(f"the console needs a URL of its own: `{url}` is a listener's")
    issuer = fields["issuer"].text()
    if issuer not in {known.name for known in issuers}:
        raise fields["issuer"].error(f"no issuer is named `{issuer}`")
    return Console(
        address=address,
        url=url,
        issuer=issuer,
        client_id=printable(fields["client_id"]),
        client_secret=places.secret(schema.CONSOLE_SECRET, fields.get("client_secret")),
        tls=tls,
        signing=read_signing(fields.get("signing"), places),
    )
