"""Every way to be wrong: the error points to the place, and says what to write instead."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.gateway_yaml import BASE, ENVIRON, marked_place, write_gateway

from holdpoint.domain.refusal import ConfigError
from holdpoint.located_yaml import Located, parse_all
from holdpoint.settings_file import load_settings
from holdpoint.settings_file.addresses import read_host, read_listen, read_url

ROUTES = '    listen: "127.0.0.1:8080"\n'
FILES_URL = "https://files.example.com/mcp/"
WEB_URL = "https://web.example.com:8443"
IDP = "https://idp.example.com/"
STATIC = "{kind: static, from: {env: FILES_TOKEN}}"
WEB_END = "    routes: [/web]\n"
FILES_END = f"    credential: {STATIC}\n"

CASES = [
    # the whole file
    ("unknown key", "kind: Gateway\n", "kind: Gateway\n«listners: []\n", "unknown key `listners`; known here: `admin`"),
    ("missing key", "apiVersion: holdpoint/v1\nkind: Gateway\n", "«kind: Gateway\n", "key `apiVersion` is missing"),
    ("another version", "holdpoint/v1", "«holdpoint/v2", "this version reads `holdpoint/v1`"),
    ("a policy here", "kind: Gateway", "kind: «Policy", "expected `Gateway`"),
    ("duplicate key", "kind: Gateway\n", "kind: Gateway\n«kind: Gateway\n", "duplicate key `kind`"),
    # listeners
    ("no listener", BASE[BASE.index("  - name: routes") : BASE.index("keys:")], "  «[]\n", "no listener"),
    ("mode", "mode: reverse", "mode: «transparent", "`transparent` is none of `reverse`, `forward`"),
    ("listener name", "name: routes", "name: «Routes", "no name of a listener"),
    ("listener name twice", "name: proxy", "name: «routes", "listener `routes` stands here twice"),
    ("listener address twice", '"127.0.0.1:8081"', '«"127.0.0.1:8080"', "taken by listener `routes`"),
    ("listener address by another name", '"127.0.0.1:8081"', '«"localhost:8080"', "taken by listener `routes`"),
    ("plain HTTP outside", '"127.0.0.1:8080"', '«"10.0.0.1:8080"', "plain HTTP is for loopback only"),
    ("plain HTTP on every interface", '"127.0.0.1:8080"', '«"*:8080"', "plain HTTP is for loopback only"),
    ("plain forward proxy outside", '"127.0.0.1:8081"', '«"[2001:db8::1]:8081"', "plain HTTP is for loopback only"),
    (
        "every interface without a url",
        ROUTES,
        '    listen: «"*:8443"\n    tls: {certificate: c, key: k}\n',
        "write the `url`",
    ),
    ("listener url with a path", ROUTES, f'{ROUTES}    url: «"http://127.0.0.1:8080/x"\n', "has no path"),
    (
        "listener url without TLS",
        ROUTES,
        f"{ROUTES}    url: «http://127.0.0.1:1\n    tls: {{certificate: c, key: k}}\n",
        "speaks TLS: write `https://`",
    ),
    ("half of TLS", ROUTES, f"{ROUTES}    tls: «{{certificate: c.pem}}\n", "key `key` is missing"),
    # keys
    ("no authority", "  ca: {folder: var/ca}\n", "", "key `ca` is missing"),
    ("unknown active key", "active: audit-2", "active: «audit-3", "no key of the ring has the id `audit-3`"),
    ("empty ring", BASE[BASE.index("      - {id: audit-1") : BASE.index("  digest:")], "      «[]\n", "ring is empty"),
    ("key id twice", "{id: audit-1,", "{id: audit-2,", "key `audit-2` stands here twice"),
    ("key file twice", "audit-1.pub", "audit-2.pem", "two keys in one file"),
    ("active key is public", "audit-2.pem, create: true", "audit-2.pub", "the active key signs"),
    ("older key made", "audit-1.pub}", "audit-1.pem, create: true}", "`create` is for the active key alone"),
    ("digest in another's file", "var/keys/digest.key", "«var/keys/audit-2.pem", "holds another key already"),
    ("keys in the authority's folder", "{folder: var/ca}", "{folder: «var/keys}", "is its own"),
    ("store in the authority's folder", "var/holdpoint.sqlite", "var/ca/h.sqlite", "is its own"),
    ("keys among recordings", "{folder: var/recordings}", "«{folder: var}", "recordings are exported"),
    ("store and socket in one", "var/run/admin.sock", "var/holdpoint.sqlite", "need files of their own"),
    ("home folder", "var/holdpoint.sqlite", "«~/h.sqlite", "not expanded"),
    ("variable in a path", "var/holdpoint.sqlite", '«"${HOME}/h.sqlite"', "not expanded"),
    ("empty path", "var/holdpoint.sqlite", '«""', "expected a path"),
    ("socket path too long", "var/run/admin.sock", "«" + "s" * 108, "longer than 107 bytes"),
    # issuers
    ("no issuer", BASE[BASE.index("  - name: corp") : BASE.index("targets:")], "  «[]\n", "no issuer"),
    ("issuer name twice", "name: machines", "name: corp", "issuer `corp` stands here twice"),
    ("issuer url twice", "https://machines.example.com", IDP, "issuer `corp` has this URL already"),
    ("issuer by plain HTTP", IDP, "«http://idp.example.com/", "plain HTTP is for loopback only"),
    (
        "keys by plain HTTP",
        f"{IDP}\n",
        f"{IDP}\n    jwks_url: «http://idp.example.com\n",
        "keys of issuer `corp` needs",
    ),
    ("issuer url with a query", IDP, "«https://idp.example.com/?a=b", "neither query nor fragment"),
    ("issuer url with a fragment", IDP, "«https://idp.example.com/#x", "neither query nor fragment"),
    ("symmetric algorithm", "[RS256]", "[RS256, «HS256]", "algorithm `HS256` is not accepted; choose from `RS256`"),
    ("no algorithm", "[RS256]", "[«none]", "algorithm `none` is not accepted"),
    ("empty algorithms", "[RS256]", "«[]", "key `algorithms` is missing: an empty list names nothing"),
    ("algorithm twice", "[RS256]", "[RS256, «RS256]", "`RS256` stands here twice"),
    (
        "empty audiences",
        '[RS256]\n    audiences: ["https://gateway.example.com"]',
        "[RS256]\n    audiences: «[]",
        "key `audiences` is missing: an empty list",
    ),
    (
        "blank audience",
        '[RS256]\n    audiences: ["https://gateway.example.com"]',
        '[RS256]\n    audiences: [«" "]',
        "expected text",
    ),
    ("empty types", f"{IDP}\n", f"{IDP}\n    types: «[]\n", "an empty list of types"),
    ("type", f"{IDP}\n", f"{IDP}\n    types: [«at jwt]\n", "expected a media type"),
    ("unknown claim", f"{IDP}\n", f"{IDP}\n    claims: {{«mail: email}}\n", "unknown key `mail`"),
    ("empty claim", f"{IDP}\n", f'{IDP}\n    claims: {{person: «""}}\n', "expected text"),
    ("workloads without subjects", f"{IDP}\n", f"{IDP}\n    workloads: «{{}}\n", "key `subjects` is missing"),
    (
        "owners without persons",
        f"{IDP}\n",
        f'{IDP}\n    workloads: {{subjects: ["s-*"], owners: {{"s-*": «[]}}}}\n',
        "an empty list of persons",
    ),
    ("lifetime too long", f"{IDP}\n", f"{IDP}\n    max_lifetime: «8d\n", "expected a duration from 1m to 7d"),
    ("stale for ever", f"{IDP}\n", f"{IDP}\n    stale_for: «25h\n", "expected a duration from 0s to 1d"),
    ("no duration", f"{IDP}\n", f"{IDP}\n    stale_for: «soon\n", "`soon` is no duration; write `30s`"),
    ("login without openid", "{client_id: holdpoint-cli}", "{client_id: c, scopes: «[email]}", "scope `openid`"),
    ("two scopes in one", "{client_id: holdpoint-cli}", '{client_id: c, scopes: [«"openid email"]}', "one scope each"),
    # targets
    ("no target", BASE[BASE.index("  - name: files") : BASE.index("policies:")], "  «[]\n", "no target"),
    ("target name", "name: files", "name: «Files_1", "lower-case letters, digits and inner hyphens"),
    ("target name too long", "name: files", "name: «" + "f" * 64, "at most 63"),
    ("target name twice", "name: web", "name: «files", "target `files` stands here twice"),
    ("protocol", "protocol: http", "protocol: «grpc", "`grpc` is none of `http`, `mcp`, `kubernetes`"),
    ("upstream by plain HTTP", WEB_URL, "«http://web.example.com", "target `web` needs `https://`"),
    ("another scheme", WEB_URL, "«ftp://web.example.com", "neither `https://` nor `http://`"),
    ("no scheme", WEB_URL, "«web.example.com", "neither `https://` nor `http://`"),
    ("route without a slash", "[/web]", "[«web]", "expected a path prefix"),
    ("route with a slash at the end", "[/web]", "[«/web/]", "expected a path prefix"),
    ("route with dots", "[/web]", "[«/web/../x]", "expected a path prefix"),
    ("encoded route", "[/web]", '[«"/w%65b"]', "expected a path prefix"),
    ("reserved route", "[/web]", "[«/.well-known/web]", "expected a path prefix"),
    ("route of everything", "[/web]", "[«/]", "would hide every other"),
    ("same route", "[/web]", "[«/mcp/files]", "route `/mcp/files` overlaps `/mcp/files` of target `files`"),
    ("route inside another", "[/web]", "[/web, «/mcp/files/x]", "overlaps `/mcp/files` of target `files`"),
    ("route around another", "[/web]", "[«/mcp]", "overlaps `/mcp/files` of target `files`"),
    ("route inside its own", "[/web]", "[/web, «/web/x]", "overlaps `/web` of the same target"),
    ("host twice", WEB_END, f"{WEB_END}    hosts: [a.example.com, «A.example.com]\n", "stands here twice"),
    ("wildcard host", WEB_END, f'{WEB_END}    hosts: [«"*.example.com"]\n', "wildcards are not supported"),
    ("host with a port", WEB_END, f'{WEB_END}    hosts: [«"web.example.com:80"]\n', "without its port"),
    ("listener's own host", WEB_END, f"{WEB_END}    hosts: [«127.0.0.1]\n", "that of listener `proxy`"),
    (
        "upstream of another",
        f"{WEB_URL}\n    routes: [/web]\n",
        "https://web.example.com\n    hosts: [«files.example.com]\n",
        "is the upstream of target `files`",
    ),
    ("same upstream", WEB_URL, "«https://files.example.com/other", "could not tell them apart"),
    ("back to a listener", WEB_URL, "«http://127.0.0.1:8080/x", "leads back to listener `routes`"),
    ("back by another name", WEB_URL, "«http://localhost:8081", "leads back to listener `proxy`"),
    ("back by IPv6", WEB_URL, "«http://[::1]:8080", "leads back to listener `routes`"),
    ("to the console", "  - name: web", "  - «name: web", "leads to the console"),
    ("empty target audiences", WEB_END, f"{WEB_END}    audiences: «[]\n", "an empty list of audiences"),
    ("unknown issuer", WEB_END, f"{WEB_END}    issuers: [corp, «crop]\n", "no issuer is named `crop`"),
    ("target mode", WEB_END, f"{WEB_END}    mode: «off\n", "`off` is none of `enforce`, `observe`"),
    ("request limit", WEB_END, f"{WEB_END}    limits: {{request: «257MiB}}\n", "expected a size from 1KiB to 256MiB"),
    ("response limit", WEB_END, f"{WEB_END}    limits: {{response: «0B}}\n", "expected a size from 1KiB to 256MiB"),
    ("no size", WEB_END, f"{WEB_END}    limits: {{response: «1MB}}\n", "`1MB` is no size; write `100B`"),
    ("hold too long", WEB_END, f"{WEB_END}    hold: {{wait: «11m}}\n", "expected a duration from 0s to 10m"),
    ("leg of no time", FILES_END, f"{FILES_END}    hold: {{leg: «0s}}\n", "expected a duration from 1s to 10m"),
    ("grace too long", FILES_END, f"{FILES_END}    hold: {{grace: «2m}}\n", "expected a duration from 0s to 1m"),
    ("keepalive all the time", FILES_END, f"{FILES_END}    hold: {{keepalive: «100ms}}\n", "from 1s to 1m"),
    ("no rounds", FILES_END, f"{FILES_END}    hold: {{rounds: «0}}\n", "expected a whole number of at least 1"),
    ("unknown rung", FILES_END, f"{FILES_END}    hold: {{ladder: [ticket, «tasks]}}\n", "`tasks` is none of"),
    ("no rung", FILES_END, f"{FILES_END}    hold: {{ladder: «[]}}\n", "an empty list of rungs"),
    ("no ticket", FILES_END, f"{FILES_END}    hold: {{ladder: «[events]}}\n", "every other rung ends with `ticket`"),
    ("ladder of plain HTTP", WEB_END, f"{WEB_END}    hold: {{ladder: «[ticket]}}\n", "only MCP clients can wait"),
    ("bodies", WEB_END, f'{WEB_END}    record: {{bodies: «"no"}}\n', "expected `true` or `false`"),
    ("mask twice", WEB_END, f"{WEB_END}    masks: [a, «a]\n", "`a` stands here twice"),
    ("empty scopes", WEB_END, f"{WEB_END}    scopes: «[]\n", "an empty list of scopes"),
    ("two scopes in one", WEB_END, f"{WEB_END}    scopes: [«a b]\n", "write one in each element"),
    ("scope with a quote", WEB_END, f"{WEB_END}    scopes: [«'a\"b']\n", "neither blanks nor quotes"),
    ("scope of the client", WEB_END, f"{WEB_END}    scopes: [a, «offline_access]\n", "between client and issuer"),
    ("empty origins", WEB_END, f"{WEB_END}    origins: «[]\n", "an empty list of origins"),
    ("every origin", WEB_END, f'{WEB_END}    origins: [«"*"]\n', "wildcards are not supported"),
    ("origins of a domain", WEB_END, f'{WEB_END}    origins: [«"https://*.example.com"]\n', "wildcards are not"),
    ("origin with a path", WEB_END, f"{WEB_END}    origins: [«https://a.example/x]\n", "has no path"),
    ("origin with a slash", WEB_END, f"{WEB_END}    origins: [«https://a.example/]\n", "as `https://a.example`"),
    ("origin with its port", WEB_END, f"{WEB_END}    origins: [«https://a.example:443]\n", "as `https://a.example`"),
    ("origin in capitals", WEB_END, f"{WEB_END}    origins: [«https://A.example]\n", "as `https://a.example`"),
    ("origin without TLS", WEB_END, f"{WEB_END}    origins: [«http://a.example]\n", "plain HTTP is for loopback only"),
    ("origin that is a host", WEB_END, f"{WEB_END}    origins: [«a.example]\n", "expected an origin such as"),
    ("origin of nothing", WEB_END, f"{WEB_END}    origins: [«'Null']\n", "expected an origin such as"),
    ("origin twice", WEB_END, f"{WEB_END}    origins: [https://a.b, «https://a.b]\n", "stands here twice"),
    ("mask name", WEB_END, f'{WEB_END}    masks: [«"../a"]\n', "no name of a mask profile"),
    ("warnings of HTTP", WEB_END, f"{WEB_END}    warnings: «[masked]\n", "only clients of Kubernetes"),
    ("lists of HTTP", WEB_END, f"{WEB_END}    lists: «{{ttl: 1s}}\n", "only MCP servers"),
    ("authority for plain HTTP", f"{WEB_URL}\n", "http://localhost:1\n    ca_file: «ca.pem\n", "take `ca_file` out"),
    # credentials
    ("no credential", f"    credential: {STATIC}\n", "", "key `credential` is missing"),
    ("credential of a later version", "{kind: none}", "{kind: «eks}", "not in this version"),
    ("credential without kind", "{kind: none}", "«{header: X}", "key `kind` is missing"),
    ("none with a header", "{kind: none}", "{kind: none, «header: X}", "unknown key `header`; known here: `kind`"),
    ("inlined beside", STATIC, "{kind: static, «value: s3cr3t}", "a secret never stands in this file"),
    ("inlined below", STATIC, "{kind: static, from: {«Token: s3cr3t}}", "a secret never stands in this file"),
    ("inlined instead", STATIC, "{kind: static, from: «s3cr3t}", "a secret never stands in this file"),
    (
        "inlined as a variable",
        STATIC,
        "{kind: static, from: {env: «s3cr3t}}",
        "not the name of an environment variable",
    ),
    ("no source", STATIC, "{kind: static, from: «{}}", "exactly one of `env` and `file`"),
    ("two sources", STATIC, "{kind: static, from: «{env: A, file: b}}", "exactly one of `env` and `file`"),
    ("framing header", STATIC, "{kind: static, header: «Host, from: {env: A}}", "may carry a credential"),
    ("header of two lines", STATIC, '{kind: static, header: «"A\\nB", from: {env: A}}', "may carry a credential"),
    ("prefix of two lines", STATIC, '{kind: static, prefix: «"A\\n", from: {env: A}}', "printable ASCII"),
    ("main twice", WEB_END, f"{WEB_END}    credentials: {{«main: {{kind: none}}}}\n", "is the one under `credential`"),
    # the rest
    ("no policy", "[base.yaml]", "«[]", "no policy file"),
    ("missing policy", "[base.yaml]", "[base.yaml, «absent.yaml]", "cannot be read: No such file"),
    ("policy folder", "[base.yaml]", '[«"."]', "is not a file"),
    ("policy pattern", "[base.yaml]", '[«"*.yaml"]', "patterns are not expanded"),
    ("policy twice", "[base.yaml]", "[base.yaml, «./base.yaml]", "stands here twice"),
    ("settings as a policy", "[base.yaml]", "[«gateway.yaml]", "the settings file itself"),
    ("session for no time", "{folder: var/recordings}", "{folder: r, idle: «1s}", "expected a duration from 10s to 1d"),
    ("no checkpoint", "{folder: var/recordings}", "{folder: r, checkpoint: «0s}", "from 1s to 1h"),
    ("reviewers' issuer", "{issuers: [corp]}", "{issuers: [«crop]}", "no issuer is named `crop`"),
    (
        "reviewers without login",
        "{issuers: [corp]}",
        "{issuers: [«machines]}",
        "nobody can log in at issuer `machines`",
    ),
    ("role without a kind", "{issuers: [corp]}", "{roles: {admin: [«ops]}}", "expected `group:NAME` or `person:NAME`"),
    ("role of nobody", "{issuers: [corp]}", "{roles: {admin: «[]}}", "an empty list of admin accepts nothing"),
    ("unknown role", "{issuers: [corp]}", "{roles: {«root: [ops]}}", "key `root`"),
    ("console's address", '"127.0.0.1:8082"', '«"127.0.0.1:8080"', "taken by listener `routes`"),
    (
        "metrics at a listener's address",
        "store:",
        'metrics: {listen: «"127.0.0.1:8080"}\nstore:',
        "taken by listener `routes`",
    ),
    ("metrics at the console's", "store:", 'metrics: {listen: «"127.0.0.1:8082"}\nstore:', "taken by the console"),
    (
        "metrics by plain HTTP",
        "store:",
        'metrics: {listen: «"192.0.2.1:9464"}\nstore:',
        "plain HTTP is for loopback only",
    ),
    ("collector by plain HTTP", "store:", 'otlp: {endpoint: «"http://192.0.2.1:4318"}\nstore:', "loopback"),
    (
        "more than all traces",
        "store:",
        "otlp: {endpoint: https://c.example, sample: «1.5}\nstore:",
        "between 0 (none) and 1",
    ),
    ("sample that is no number", "store:", "otlp: {endpoint: https://c.example, sample: «half}\nstore:", "number"),
    ("console's issuer", "issuer: corp", "issuer: «crop", "no issuer is named `crop`"),
    ("console by plain HTTP", '"127.0.0.1:8082"', '«"192.0.2.1:8082"', "plain HTTP is for loopback only"),
    (
        "console under a listener's url",
        '"127.0.0.1:8082"',
        '«"127.0.0.1:8082"\n  url: http://127.0.0.1:8080',
        "a URL of its own",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_mistake_is_refused_where_it_stands(tmp_path: Path, old: str, new: str, message: str) -> None:
    changes = [(old, new)]
    if "leads to the console" in message:
        changes.append((WEB_URL, "http://localhost:8082"))
    file = write_gateway(tmp_path, *changes)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, ENVIRON, check_machine=False)
    assert message in str(caught.value)
    if "«" in new:
        assert caught.value.where == marked_place(file, (old, new))
    assert caught.value.where.startswith(f"{file}:")
    assert "s3cr3t" not in str(caught.value)
    assert "\n" not in str(caught.value)


OPEN = '"*:8443"\n    url: https://gw.example.com\n    tls: {certificate: c.pem, key: k.pem}'


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param([('"127.0.0.1:8081"', '"127.0.0.1:8443"')], "taken by listener `routes`", id="its port elsewhere"),
        pytest.param([(WEB_URL, "https://localhost:8443")], "leads back to listener `routes`", id="by loopback"),
        pytest.param([(WEB_URL, "https://gw.example.com")], "leads back to listener `routes`", id="by its url"),
    ],
)
def test_listener_on_every_interface_is_on_each(tmp_path: Path, changes: list[tuple[str, str]], message: str) -> None:
    file = write_gateway(tmp_path, ('"127.0.0.1:8080"', OPEN), *changes)
    with pytest.raises(ConfigError, match=message):
        load_settings(file, ENVIRON, check_machine=False)


def test_upstream_that_is_a_host_of_another_target_is_refused(tmp_path: Path) -> None:
    hosts = (f"url: {FILES_URL}\n", f"url: {FILES_URL}\n    hosts: [web.example.com]\n")
    file = write_gateway(tmp_path, hosts, (WEB_URL, "https://web.example.com"))
    with pytest.raises(ConfigError, match="could not tell them apart"):
        load_settings(file, ENVIRON, check_machine=False)


def test_target_without_a_road_is_refused(tmp_path: Path) -> None:
    proxy = '  - name: proxy\n    mode: forward\n    listen: "127.0.0.1:8081"\n'
    file = write_gateway(tmp_path, (proxy, ""), ("[/web]", "[]"))
    with pytest.raises(ConfigError, match="no road leads to target `web`"):
        load_settings(file, ENVIRON, check_machine=False)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("https://u:s3cr3t@h.example", "no user or password", id="user"),
        pytest.param("https://@h.example", "no user or password", id="empty user"),
        pytest.param("https://h.example?", "neither query nor fragment", id="empty query"),
        pytest.param("https://h.example#", "neither query nor fragment", id="empty fragment"),
        pytest.param("https://", "host of it is missing", id="no host"),
        pytest.param("https://:443", "host of it is missing", id="port alone"),
        pytest.param("https:///x", "host of it is missing", id="three slashes"),
        pytest.param("https:h.example", "neither", id="no slashes"),
        pytest.param("HTTPS://h.example", "neither", id="capitals"),
        pytest.param("https://h.example:0", "port", id="port 0"),
        pytest.param("https://h.example:65536", "port", id="port too large"),
        pytest.param("https://h.example:", "port", id="colon alone"),
        pytest.param("https://h.example:8o", "port", id="no number"),
        pytest.param("https://h.example/a//b", "ambiguous", id="two slashes"),
        pytest.param("https://h.example/a/../b", "ambiguous", id="dot segment"),
        pytest.param("https://h.example/%61", "ambiguous", id="encoded"),
        pytest.param("https://h.example/a;b", "ambiguous", id="parameter"),
        pytest.param("https://h.example\\@evil.example", "character outside URLs", id="backslash"),
        pytest.param("https://h.example /", "character outside URLs", id="blank"),
        pytest.param("https://h.example\t/", "character outside URLs", id="tab"),
        pytest.param("https://hölle.example", "punycode", id="not ASCII"),
        pytest.param("https://h_.-.example", "no host name", id="host name"),
        pytest.param("https://h.example./", "no host name", id="dot at the end"),
        pytest.param("https://127.1", "no IPv4 address", id="short address"),
        pytest.param("https://2130706433", "no IPv4 address", id="address as one number"),
        pytest.param("https://0x7f.0.0.1", "no IPv4 address", id="hexadecimal address"),
        pytest.param("https://127.0.0.01", "no IPv4 address", id="octal address"),
        pytest.param("https://[::1", "in brackets", id="open bracket"),
        pytest.param("https://[fe80::1%25eth0]", "zone|no IPv6|brackets", id="zone"),
        pytest.param("https://[::ffff:127.0.0.1]", "write the IPv4 address `127.0.0.1`", id="mapped address"),
        pytest.param("http://h.example", "plain HTTP is for loopback only", id="plain HTTP"),
        pytest.param("http://127.0.0.1.example", "plain HTTP is for loopback only", id="loopback as a label"),
        pytest.param("http://localhost.example", "plain HTTP is for loopback only", id="localhost as a label"),
        pytest.param("http://0.0.0.0", "plain HTTP is for loopback only", id="any address"),
    ],
)
def test_url_that_could_be_misread_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_url(scalar(url), what="it")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "listen",
    [
        "8080",
        ":8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:080",
        "127.0.0.1:80-90",
        "::1:8080",
        "[::1]",
        "[127.0.0.1]:80",
        "[fe80::1%1]:80",
        "example.com:80",
        "127.1:80",
        "**:80",
        " *:80",
        "[]:80",
    ],
)
def test_listening_address_that_is_none_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError):
        read_listen(scalar(listen))


@pytest.mark.parametrize("host", ["", "a..b", "-a", "a b", "[::1", "1.2.3", "a/b", "a:80", "[::1]:80", "x" * 254])
def test_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ConfigError):
        read_host(scalar(host))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40) | st.from_regex(r"https?://[\[\]:@%.a-f0-9/?#]*"))
def test_address_is_read_or_refused_and_nothing_else(text: str) -> None:
    for read in (lambda v: read_url(v, what="it"), read_listen, read_host):
        try:
            read(scalar(text))
        except ConfigError as error:
            assert str(error).startswith("x.yaml:1:1: ")  # noqa: PT017  # both outcomes are right


def scalar(text: str) -> Located:
    quoted = "".join(f"\\U{ord(c):08X}" if not c.isalnum() or not c.isascii() else c for c in text)
    return parse_all(f'"{quoted}"'.encode(), Path("x.yaml"))[0]


def test_one_upstream_under_two_authorities_is_refused(tmp_path: Path) -> None:
    other = "https://files.example.com/other\n    ca_file: ca.pem"
    file = write_gateway(tmp_path, ("mode: forward", "mode: reverse"), (WEB_URL, other))
    with pytest.raises(ConfigError, match="target `files` has the same upstream and another `ca_file`"):
        load_settings(file, ENVIRON, check_machine=False)
