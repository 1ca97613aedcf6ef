"""The Merkle tree over the lines of the log (RFC 6962 section 2.1), as its frontier: all that an append needs."""

import hashlib
from collections.abc import Sequence

_LEAF = b"\x00"
_NODE = b"\x01"
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(line: bytes) -> bytes:
    """Return the hash of a leaf. The prefix keeps a leaf from passing as a node (RFC 6962 section 2.1)."""
    return hashlib.sha256(_LEAF + line).digest()


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


class Frontier:
    """The roots of the full subtrees, largest first: one for each bit that is set in the size."""

    __slots__ = ("_roots", "size")

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        if len(roots) != size.bit_count():
            raise ValueError("the number of subtree roots does not fit the size")
        self.size = size
        self._roots = list(roots)

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The subtree roots, largest first."""
        return tuple(self._roots)

    def copy(self) -> "Frontier":
        """Return one that can go its own way."""
        return Frontier(self.size, self._roots)

    def append(self, line: bytes) -> None:
        """Add a line as the next leaf."""
        node = leaf_hash(line)
        bits = self.size
        while bits & 1:
            node = _join(self._roots.pop(), node)
            bits >>= 1
        self._roots.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the Merkle tree hash of everything appended so far."""
        if not self._roots:
            return EMPTY_ROOT
        node = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            node = _join(left, node)
        return node
