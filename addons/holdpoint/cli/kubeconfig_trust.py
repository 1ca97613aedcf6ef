"""Which authority kubectl must trust to reach a listener."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from holdpoint.cli.common import Failure
from holdpoint.settings import Listener

GATEWAY_AUTHORITY = "mitmproxy-ca-cert.pem"
"""In `keys.ca.folder`: the certificate, without the key, that mitmproxy makes at first start."""


def authority_of_forward(folder: Path, listener: Listener, named: Path | None) -> bytes:
    """Return the PEM of the gateway's own authority, and of the listener's where it speaks TLS. Raises Failure."""
    try:
        own = _certificates(folder / GATEWAY_AUTHORITY)
    except FileNotFoundError:
        raise Failure(f"`{folder}` holds no authority yet: start the gateway once") from None
    return _pem(own) + (authority_of_reverse(listener, named) if listener.tls else b"")


def authority_of_reverse(listener: Listener, named: Path | None) -> bytes:
    """Return the PEM of who signed a listener's certificate, as far as its file says. Raises Failure.

    Empty where the file ends below the root, as those of public authorities do: intermediate ones change, and a
    client that trusts one of them alone stops working then.
    """
    if named is not None:
        try:
            return _pem(_certificates(named))
        except FileNotFoundError:
            raise Failure(f"`{named}` does not exist") from None
    if listener.tls is None:
        return b""
    try:
        chain = _certificates(listener.tls.certificate)
    except FileNotFoundError:
        raise Failure(
            f"the certificate of listener `{listener.name}` does not exist: `{listener.tls.certificate}`; copy it "
            "here, or name its authority with --ca"
        ) from None
    return _pem([each for each in chain if each.issuer == each.subject])


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Failure(f"`{file}` cannot be read: {error.strerror}") from error
    except ValueError:
        raise Failure(f"`{file}` holds no certificates in PEM form") from None


def _pem(certificates: list[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
