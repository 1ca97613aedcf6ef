"""Who asks for what: the only input of a decision.

Terms follow XACML and NIST SP 800-162 (subject, action, resource) and Kubernetes (verb, resource, subresource).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal
from unicodedata import normalize

from holdpoint.domain.values import JsonMapping, JsonValue


class Protocol(StrEnum):
    """What a target speaks."""

    HTTP = "http"
    MCP = "mcp"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True)
class Actor:
    """The agent that acts for a principal (the `act` claim, RFC 8693 section 4.1)."""

    subject: str
    issuer: str = ""
    chain: tuple[str, ...] = ()
    """Subjects of earlier actors, nearest first. For display only (RFC 8693 section 4.1)."""

    @property
    def id(self) -> str:
        """Issuer and subject as one string, for keys: the length tells where one ends, whatever they hold."""
        return f"{len(self.issuer)}:{self.issuer}#{self.subject}"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose token was verified."""

    issuer: str
    """The `iss` claim, exactly."""
    subject: str
    """The `sub` claim, exactly."""
    kind: Literal["human", "workload"]
    person: str | None = None
    """The human who is, or stands behind, this principal. None where nobody is known: then nobody may approve."""
    name: str = ""
    """What a reviewer reads. Never decides anything."""
    groups: frozenset[str] = frozenset()
    actor: Actor | None = None
    owners: frozenset[str] = frozenset()
    """Persons who answer for a workload, and who all count as requester."""
    client_id: str = ""
    scopes: frozenset[str] = frozenset()
    claims: JsonMapping = field(default_factory=dict[str, JsonValue])
    """Verified claims that the issuer's settings let policies see."""
    token_id: str = ""
    """SHA-256 of the token, hexadecimal: joins log lines, opens nothing."""
    expires_at: float = 0.0
    """Unix seconds after which the token no longer proves anything."""
    call: str = ""
    """Id of the exchange whose tools/call this request serves, by a token that the gateway gave for that very call."""
    legs: "tuple[Principal, ...]" = ()
    """Who else must be allowed what is asked: the agent and the server that such a call came through."""

    @property
    def id(self) -> str:
        """Issuer and subject as one string, for keys and logs."""
        return f"{self.issuer}#{self.subject}"

    @property
    def requesters(self) -> frozenset[str]:
        """Every person who counts as the requester, and so may not approve."""
        own = self.owners | ({self.person} if self.person else frozenset[str]())
        return own.union(*(leg.requesters for leg in self.legs)) if self.legs else own


@dataclass(frozen=True, slots=True)
class Action:
    """What is done, in the protocol's own word: `tools/call`, `get`, `deletecollection`."""

    protocol: Protocol
    verb: str


class PinState(StrEnum):
    """How what a server says of a tool compares with the definition that was approved."""

    NONE = ""
    """The target does not pin, or the server has not described the tool yet."""
    PINNED = "pinned"
    """As approved."""
    CHANGED = "changed"
    """Description, schemas or annotations differ from what was approved."""
    RENAMED = "renamed"
    """New by name, and otherwise what another approved tool was."""
    DUPLICATE = "duplicate"
    """The server lists more than one tool of this name."""
    HIDDEN = "hidden"
    """Its definition holds text that a person does not see and a model reads."""
    UNKNOWN = "unknown"
    """Nobody approved a tool of this name."""


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool of an MCP server, by name (`tools/call`)."""

    name: str
    pin: PinState = PinState.NONE
    """Set by the gateway, never by the caller."""


@dataclass(frozen=True, slots=True)
class McpPrompt:
    """A prompt of an MCP server, by name (`prompts/get`)."""

    name: str


@dataclass(frozen=True, slots=True)
class McpResource:
    """A resource of an MCP server, by URI (`resources/read`, `resources/subscribe`)."""

    uri: str


@dataclass(frozen=True, slots=True)
class McpServerRequest:
    """What an MCP server asks of its client, by method (`sampling/createMessage`), and the client's answer to it."""

    method: str


@dataclass(frozen=True, slots=True)
class McpMethod:
    """Any other message of MCP: the verb says which."""


@dataclass(frozen=True, slots=True)
class HttpPath:
    """A path of a plain HTTP service."""

    host: str
    path: str
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class KubeOptions:
    """What a request to the Kubernetes API says beside the name of its object, as the API server reads it."""

    label_selector: str = ""
    field_selector: str = ""
    dry_run: bool = False
    """Whether the API server is asked to store nothing. Honoured for built-in kinds that are stored, and no others."""
    command: tuple[str, ...] = ()
    """`argv` of an exec, in order."""
    container: str = ""
    stdin: bool = False
    tty: bool = False
    ports: tuple[int, ...] = ()
    """Ports of a port-forward that are named in the query. One over SPDY names them later, stream by stream."""
    patch: str = ""
    """`json`, `merge`, `strategic` or `apply`, of a patch. One that is applied creates what is not there."""
    known: bool = True
    """Whether all of the body was understood. Where not, a rule that reads `object` cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class KubeObject:
    """An object or collection of the Kubernetes API, as RequestInfo names it."""

    group: str
    version: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    options: KubeOptions = KubeOptions()


@dataclass(frozen=True, slots=True)
class KubePath:
    """A non-resource path of the Kubernetes API (`/healthz`, `/version`)."""

    path: str


type Resource = McpTool | McpPrompt | McpResource | McpServerRequest | McpMethod | HttpPath | KubeObject | KubePath


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """The only input of a decision."""

    principal: Principal
    target: str
    action: Action
    resource: Resource
    arguments: JsonMapping = field(default_factory=dict[str, JsonValue])
    """Tool arguments, the JSON body of an HTTP request, or a Kubernetes object. Not masked: never log it."""
    unverified: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the caller says of itself (client name, protocol version, reason): for deny and display, never for allow."""
    at: float = 0.0
    """Unix seconds at which the request was decoded."""
    members: "tuple[AccessRequest, ...]" = ()
    """The messages of a batch (JSON-RPC 2.0 section 6), each decided by itself: all pass, or none does."""


def person_name(raw: str) -> str:
    """Return the one spelling under which a person is compared: an e-mail address in lower case, all else in its case.

    Identity providers differ in how they spell the case of an address, and in how they put letters with accents
    together (NFC and NFD look the same); two spellings must not be two reviewers.
    """
    name = normalize("NFC", raw)
    return normalize("NFC", name.lower()) if "@" in name else name


def describe_resource(resource: Resource) -> str:
    """Name a resource in one line, for reviewers and logs."""
    match resource:
        case McpTool(name=name):
            return f"tool {name}"
        case McpPrompt(name):
            return f"prompt {name}"
        case McpResource(uri):
            return f"resource {uri}"
        case McpServerRequest(method):
            return f"server request {method}"
        case McpMethod():
            return "message"
        case HttpPath(host, path):
            return f"{host}{path}"
        case KubeObject():
            kind = resource.resource + (f"/{resource.subresource}" if resource.subresource else "")
            where = f"{resource.namespace}/" if resource.namespace else ""
            return f"{kind} {where}{resource.name}".rstrip()
        case KubePath(path):
            return path
