"""Unfolds compressed answers piece by piece, so that a small one cannot become a huge one."""

from __future__ import annotations

import zlib

from core.clients.call import Failure

# Both gzip and zlib, which "deflate" means; and deflate as some servers understand it.
_EITHER, _BARE = 47, -15
_STEP = 256 * 1024


class Body:
    """The body of one answer; more than `most` bytes are refused, before they are unfolded."""

    def __init__(self, encoding: str, most: int | None) -> None:
        layers = [name for name in encoding.lower().replace(" ", "").split(",") if name]
        layers = [name for name in layers if name != "identity"]
        if layers and layers not in (["gzip"], ["x-gzip"], ["deflate"]):
            raise undecompressed()
        self._most = most
        self._unfold = zlib.decompressobj(_EITHER) if layers else None
        self._begun = False
        self._chunks: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        """Take what came over the wire. Raises Failure."""
        while data:
            data = self._unfolded(data) if self._unfold else self._keep(data)

    def content(self) -> bytes:
        """Return what came, unfolded. Raises Failure."""
        if self._unfold:
            self._keep(self._unfold.flush())
        return b"".join(self._chunks)

    def _unfolded(self, data: bytes) -> bytes:
        """Unfold a piece and return the rest."""
        assert self._unfold is not None
        again = self._unfold.eof
        if again:
            # What follows a gzip member is another one, or padding.
            self._unfold = zlib.decompressobj(_EITHER)
        try:
            piece = self._unfold.decompress(data, _STEP)
        except zlib.error:
            if again:
                return b""
            if self._begun:
                raise undecompressed() from None
            self._begun, self._unfold = True, zlib.decompressobj(_BARE)
            return data
        self._begun = True
        self._keep(piece)
        return self._unfold.unconsumed_tail or self._unfold.unused_data

    def _keep(self, piece: bytes) -> bytes:
        self._size += len(piece)
        if self._most is not None and self._size > self._most:
            raise too_large(self._most)
        self._chunks.append(piece)
        return b""


def undecompressed() -> Failure:
    """Return the failure of an answer that cannot be unfolded."""
    return Failure("an answer that cannot be decompressed", passing=False)


def too_large(most: int) -> Failure:
    """Return the failure of an answer that is larger than allowed."""
    return Failure(f"an answer of more than {most} bytes", passing=False)


def check_length(text: str, most: int | None) -> None:
    """Refuse an answer whose announced length is too large. Raises Failure."""
    digits = text.lstrip("0")
    if most is None or not (digits.isascii() and digits.isdigit()):
        return
    if len(digits) > len(str(most)) or int(digits) > most:
        raise too_large(most)
