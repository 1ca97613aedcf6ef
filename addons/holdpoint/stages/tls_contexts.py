"""TLS on both sides: a listener's own certificate, and which authority an upstream must be signed by."""

# mitmproxy is typed by halves; mypy checks this file strictly, and pyright all but what mitmproxy leaves unknown.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import functools
import ipaddress
from pathlib import Path
from typing import Any

from mitmproxy import ctx, tls
from mitmproxy.connection import Server
from mitmproxy.net import tls as net_tls
from OpenSSL import SSL

from holdpoint.domain.refusal import ConfigError, GatewayFault
from holdpoint.settings import Listener, ListenerTls, Target

_ALPN = (b"h2", b"http/1.1")


@functools.cache
def _listener_context(certificate: Path, key: Path, http2: bool) -> SSL.Context:  # noqa: FBT001  # part of the cache key
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.use_certificate_chain_file(str(certificate))
    context.use_privatekey_file(str(key))
    context.check_privatekey()
    offered = _ALPN if http2 else _ALPN[1:]

    def select(_connection: SSL.Connection, options: list[bytes]) -> bytes | object:
        return next((a for a in offered if a in options), SSL.NO_OVERLAPPING_PROTOCOLS)

    context.set_alpn_select_callback(select)  # type: ignore[arg-type]  # pyOpenSSL types its own sentinel loosely
    return context


def check_listener(files: ListenerTls, where: str) -> None:
    """Load a listener's certificate and key once. Raises ConfigError that names what is wrong with them."""
    try:
        _listener_context(files.certificate, files.key, True)  # noqa: FBT003
    except (SSL.Error, OSError) as error:
        raise ConfigError(
            f"certificate `{files.certificate}` and key `{files.key}` cannot be used together: {error}", where=where
        ) from error


def serve_listener(data: tls.TlsData, listener: Listener) -> None:
    """Answer a TLS handshake with the listener's own certificate."""
    if listener.tls is None:
        raise GatewayFault(f"listener `{listener.name}` has no certificate")
    # CONNECT needs HTTP/1.1: mitmproxy does not serve it over HTTP/2.
    http2 = bool(ctx.options.http2) and listener.mode == "reverse"
    data.ssl_conn = SSL.Connection(_listener_context(listener.tls.certificate, listener.tls.key, http2))
    data.ssl_conn.set_accept_state()


def trust_target(data: tls.TlsData, target: Target) -> None:
    """Verify an upstream: by the target's own authority alone where it names one, by the system's otherwise.

    The name that is checked is the one of the settings, never what the client sent as SNI.
    """
    server = data.conn
    if not isinstance(server, Server):
        raise GatewayFault("asked to verify a connection that is no upstream")
    server.sni = target.host
    if not server.alpn_offers:
        offers = tuple(data.context.client.alpn_offers) if ctx.options.http2 else ()
        server.alpn_offers = tuple(a for a in offers if a in _ALPN) or (b"http/1.1",)
    context = net_tls.create_proxy_server_context(
        method=net_tls.Method.TLS_CLIENT_METHOD,
        min_version=net_tls.Version.TLS1_2,
        max_version=net_tls.Version.UNBOUNDED,
        cipher_list=None,
        ecdh_curve=None,
        verify=net_tls.Verify.VERIFY_PEER,
        ca_path=None,
        ca_pemfile=str(target.ca_file) if target.ca_file else None,
        client_cert=None,
        legacy_server_connect=False,
    )
    connection = SSL.Connection(context)
    try:
        address = ipaddress.ip_address(target.host)
    except ValueError:
        name = target.host.encode("idna")
        connection.set_tlsext_host_name(name)
        _expect_host(connection, name)
    else:
        _expect_ip(connection, address.packed)
    connection.set_alpn_protos(list(server.alpn_offers))
    connection.set_connect_state()
    data.ssl_conn = connection


def _expect_host(connection: SSL.Connection, name: bytes) -> None:
    library: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001  # as mitmproxy does: pyOpenSSL has no public call
    parameters = library.SSL_get0_param(connection._ssl)  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
    library.X509_VERIFY_PARAM_set_hostflags(
        parameters, library.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | library.X509_CHECK_FLAG_NEVER_CHECK_SUBJECT
    )
    if library.X509_VERIFY_PARAM_set1_host(parameters, name, len(name)) != 1:
        raise GatewayFault("cannot set the host name to verify")


def _expect_ip(connection: SSL.Connection, packed: bytes) -> None:
    library: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001
    parameters = library.SSL_get0_param(connection._ssl)  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
    if library.X509_VERIFY_PARAM_set1_ip(parameters, packed, len(packed)) != 1:
        raise GatewayFault("cannot set the address to verify")
