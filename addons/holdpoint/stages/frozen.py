"""Options of mitmproxy that must hold still.

Every option of a tested mitmproxy is either set by the gateway, open to the operator, or frozen at its default: an
option can turn off inspection (`ignore_hosts`), unload the gateway (`scripts`), or write secrets to disk
(`save_stream_file`). An option that this table does not know came with a mitmproxy that was not tested.
"""

from collections.abc import Iterable, Mapping

TESTED = ((12, 2), (12, 3))
"""Versions of mitmproxy that the pipeline was tested with: major and minor."""

OPERATOR = frozenset({"termlog_verbosity", "holdpoint_config", "http2", "tcp_timeout"})
"""What an operator may set."""

OURS: dict[str, object] = {
    "connection_strategy": "lazy",
    "keep_host_header": True,
    "onboarding": False,
    "flow_detail": 0,
    "rawtcp": False,
    "websocket": True,
    "validate_inbound_headers": True,
    "upstream_cert": False,
    "keep_alt_svc_header": False,
    "show_ignored_hosts": False,
}
"""What the gateway sets, whatever the operator said."""

APPLIED = frozenset({"mode", "server", "confdir", "body_size_limit", "scripts"})
"""What the gateway sets from its settings."""

FROZEN: dict[str, object] = {
    "add_upstream_certs_to_client_chain": False,
    "allow_hosts": [],
    "anticache": False,
    "anticomp": False,
    "block_global": True,
    "block_list": [],
    "block_private": False,
    "cert_passphrase": None,
    "certs": [],
    "ciphers_client": None,
    "ciphers_server": None,
    "client_certs": None,
    "client_replay": [],
    "client_replay_concurrency": 1,
    "command_history": True,
    "connect_addr": None,
    "content_view_lines_cutoff": 512,
    "dns_name_servers": [],
    "dns_use_hosts_file": True,
    "dumper_default_contentview": "auto",
    "dumper_filter": None,
    "export_preserve_original_ip": False,
    "hardump": "",
    "http2_ping_keepalive": 58,
    "http3": True,
    "http_connect_send_host_header": True,
    "ignore_hosts": [],
    "keepserving": False,
    "key_size": 2048,
    "listen_host": "",
    "listen_port": None,
    "map_local": [],
    "map_remote": [],
    "modify_body": [],
    "modify_headers": [],
    "normalize_outbound_headers": True,
    "onboarding_host": "mitm.it",
    "protobuf_definitions": None,
    "proxy_debug": False,
    "proxyauth": None,
    "readfile_filter": None,
    "request_client_cert": False,
    "rfile": None,
    "save_stream_file": None,
    "save_stream_filter": None,
    "server_replay": [],
    "server_replay_extra": "forward",
    "server_replay_ignore_content": False,
    "server_replay_ignore_host": False,
    "server_replay_ignore_params": [],
    "server_replay_ignore_payload_params": [],
    "server_replay_ignore_port": False,
    "server_replay_kill_extra": False,
    "server_replay_nopop": False,
    "server_replay_refresh": True,
    "server_replay_reuse": False,
    "server_replay_use_headers": [],
    "showhost": False,
    "ssl_insecure": False,
    "ssl_verify_upstream_trusted_ca": None,
    "ssl_verify_upstream_trusted_confdir": None,
    "stickyauth": None,
    "stickycookie": None,
    "store_streamed_bodies": False,
    "stream_large_bodies": None,
    "strip_ech": True,
    "tcp_hosts": [],
    "tls_ecdh_curve_client": None,
    "tls_ecdh_curve_server": None,
    "tls_version_client_max": "UNBOUNDED",
    "tls_version_client_min": "TLS1_2",
    "tls_version_server_max": "UNBOUNDED",
    "tls_version_server_min": "TLS1_2",
    "udp_hosts": [],
    "upstream_auth": None,
}
"""Everything else that mitmdump 12.2 and 12.3 know, with the default it was tested with and must hold."""

EMUDHRA_OFF: tuple[object, ...] = (None, False, "", [])
"""Values that leave off the options of 12.3 that sign with a publicly compromised authority."""


def is_tested(version: str) -> bool:
    """Tell whether a version of mitmproxy, as `12.2.3`, is in the tested range."""
    parts = version.split(".")
    return len(parts) >= 2 and all(p.isdecimal() for p in parts[:2]) and (int(parts[0]), int(parts[1])) in TESTED  # noqa: PLR2004  # major and minor


def changes(settled: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return what may not change while the gateway serves and has changed, one line each. Empty: nothing."""
    return [
        f"option `{name}` cannot change while the gateway serves: restart it"
        for name in sorted(now.keys() - OPERATOR)
        if name not in settled or now[name] != settled[name]
    ]


def complaints(
    values: Mapping[str, tuple[object, object]], deferred: Iterable[str], *, updated: Iterable[str] | None = None
) -> list[str]:
    """Return what is wrong with the options, one line each. Empty: nothing.

    `values` maps each option to its value and its default; `updated` limits the check to the options that changed.
    """
    wrong: list[str] = []
    for name in sorted(values if updated is None else set(updated) & values.keys()):
        value, default = values[name]
        if name in OPERATOR or name in APPLIED:
            continue
        if name in OURS:
            if value not in (OURS[name], default):
                wrong.append(f"option `{name}` is set by the gateway: remove it from the command line and config.yaml")
        elif name.startswith("emudhra"):
            if value not in EMUDHRA_OFF:
                wrong.append(f"option `{name}` must stay off: its authority is publicly compromised")
        elif name not in FROZEN:
            wrong.append(
                f"option `{name}` is not known: run the gateway with mitmdump 12.2 or 12.3, and no other addon"
            )
        elif value != FROZEN[name]:
            wrong.append(
                f"option `{name}` must keep its default `{FROZEN[name]}`: take it off the command line and config.yaml"
            )
    wrong.extend(f"option `{name}` does not exist" for name in sorted(deferred))
    return wrong
