"""Clients that say anything, byte by byte, and read answers strictly: a torn answer is an error."""

import contextlib
import datetime as dt
import http.client
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h2.config
import h2.connection
import h2.events
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Answer:
    """What came back: status 0 if the connection ended without an answer, `torn` if it ended within one."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    torn: bool = False
    timed_out: bool = False

    @property
    def text(self) -> str:
        """Head and body, to search for what must not be there."""
        return "\n".join(f"{n}: {v}" for n, v in self.headers) + "\n\n" + self.body.decode("utf-8", "replace")

    def header(self, name: str) -> str:
        """One header, or nothing."""
        return ", ".join(v for n, v in self.headers if n.lower() == name)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class _Kept:
    """A file that is closed by nobody but its owner."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.read1, self.readinto, self.readline = file.read, file.read1, file.readinto, file.readline  # type: ignore[attr-defined]
        self.flush, self.peek = file.flush, file.peek  # type: ignore[attr-defined]

    def close(self) -> None:
        """Do nothing."""


class Wire:
    """One connection to a listener."""

    def __init__(self, port: int, *, timeout: float = 10) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        self.socket.close()

    def makefile(self, *_: object) -> "_Kept":
        """What is read of this connection: one file, so that nothing of a later answer is lost with an earlier one."""
        if self._file is None:
            self._file = self.socket.makefile("rb")
        return _Kept(self._file)

    def tls(self, *, alpn: tuple[str, ...] = (), sni: str | None = "localhost") -> "Wire":
        """Speak TLS from now on; who the other side is does not matter here."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        plain = self.socket
        try:
            self.socket = context.wrap_socket(plain, server_hostname=sni)
        except OSError:
            plain.close()
            raise
        return self

    def connect(self, authority: str) -> bytes:
        """Send a CONNECT; return the status line."""
        self.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head and (more := self.socket.recv(1)):
            head += more
        return head.partition(b"\r\n")[0]

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def read(self, method: str = "POST") -> Answer:
        """Read one whole answer."""
        answer = Answer()
        response = http.client.HTTPResponse(self, method=method)  # type: ignore[arg-type]
        try:
            response.begin()
            answer.status, answer.headers = response.status, response.getheaders()
            answer.body = response.read()
        except TimeoutError:
            answer.timed_out = True
        except http.client.IncompleteRead as error:
            answer.body, answer.torn = error.partial, True
        except (http.client.HTTPException, OSError):
            answer.torn = bool(answer.status)
        finally:
            response.close()
        return answer

    def ask(self, data: bytes, method: str = "POST") -> Answer:
        """Send, then read one answer. A side that stops listening before all is sent may still have answered."""
        with contextlib.suppress(ConnectionError):
            self.send(data)
        return self.read(method)

    def rest(self) -> bytes:
        """Everything until the end of the connection."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while more := self.socket.recv(65536):
                data += more
        return data


def request(
    method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b"", *, length: bool = True
) -> bytes:
    """An HTTP/1.1 request."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in headers)]
    if length and (body or method == "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class H2Wire:
    """One HTTP/2 connection over TLS, with as many streams as are wanted."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="latin-1",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.state = h2.connection.H2Connection(config)
        self.state.initiate_connection()
        self.answers: dict[int, Answer] = {}
        self.ended: set[int] = set()
        self.reset: set[int] = set()
        self.closed = False
        self.flush()

    def flush(self) -> None:
        """Send what is to be sent."""
        self._wire.send(self.state.data_to_send())

    def ask(self, headers: Iterable[tuple[str, str]], body: bytes = b"", *, end: bool = True) -> int:
        """Start a stream; return its number."""
        stream = self.state.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.state.send_headers(stream, list(headers), end_stream=end and not body)
        while body:
            piece, body = body[:16384], body[16384:]
            self.state.send_data(stream, piece, end_stream=end and not body)
        self.flush()
        return stream

    def pump(self) -> None:
        """Take in what arrived."""
        data = self._wire.socket.recv(65536)
        if not data:
            self.closed = True
            return
        for event in self.state.receive_data(data):
            match event:
                case h2.events.ResponseReceived():
                    got = self.answers[event.stream_id]
                    got.headers = [(str(n), str(v)) for n, v in event.headers]
                    got.status = int(dict(got.headers)[":status"])
                case h2.events.DataReceived():
                    self.answers[event.stream_id].body += event.data
                    self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.TrailersReceived():
                    self.answers[event.stream_id].headers += [(str(n), str(v)) for n, v in event.headers]
                case h2.events.StreamEnded():
                    self.ended.add(event.stream_id)
                case h2.events.StreamReset():
                    self.reset.add(event.stream_id)
                    self.answers[event.stream_id].torn = True
                case h2.events.ConnectionTerminated():
                    self.closed = True
                case _:
                    pass
        with contextlib.suppress(OSError):
            self.flush()

    def wait(self, stream: int, *, seconds: float = 15) -> Answer:
        """Read until a stream ends."""
        until = time.monotonic() + seconds
        while stream not in self.ended and stream not in self.reset and not self.closed:
            assert time.monotonic() < until, f"stream {stream} did not end: {self.answers[stream]}"
            try:
                self.pump()
            except TimeoutError:
                self.answers[stream].timed_out = True
                break
            except ConnectionError:
                self.closed = True
        return self.answers[stream]


@contextlib.contextmanager
def h2_connection(port: int, *, timeout: float = 15) -> Iterator[H2Wire]:
    """HTTP/2 to a listener that speaks TLS."""
    with Wire(port, timeout=timeout) as wire:
        wire.tls(alpn=("h2",))
        yield H2Wire(wire)


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for loopback; return certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    key_file.chmod(0o600)
    cert_file.chmod(0o644)
    return cert_file, key_file
