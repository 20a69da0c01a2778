"""Decompression of message bodies (celery-protocol §1.4), with a limit on what comes out."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable

from penstock.core.errors import BadMessage

_LZMA_MEMORY = 256 * 1024 * 1024  # bytes a decoder may take; its own strongest preset needs 65 MiB


def _gzip(body: bytes, limit: int) -> tuple[bytes, bool]:
    # "application/x-gzip" is a raw zlib stream, despite its name
    decoder = zlib.decompressobj()
    return decoder.decompress(body, limit + 1), decoder.eof


def _bz2(body: bytes, limit: int) -> tuple[bytes, bool]:
    decoder = bz2.BZ2Decompressor()
    return decoder.decompress(body, limit + 1), decoder.eof


def _lzma(body: bytes, limit: int) -> tuple[bytes, bool]:
    decoder = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    return decoder.decompress(body, limit + 1), decoder.eof


#: content type → decompress(body, limit) -> (at most limit + 1 bytes, whether the stream ended)
_KINDS: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "application/x-gzip": _gzip,
    "application/x-bz2": _bz2,
    "application/x-lzma": _lzma,
}


def decompress(body: bytes, kind: object, limit: int) -> bytes:
    """The body of a message whose `compression` header is `kind`.

    Raises BadMessage for an unknown compression, a damaged stream, and more than `limit` bytes.
    """
    decoder = _KINDS.get(kind) if isinstance(kind, str) else None
    if decoder is None:
        raise BadMessage(f"compression {kind!r} is not supported (supported: {', '.join(_KINDS)})", "compression")
    try:
        plain, complete = decoder(body, limit)
    except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
        raise BadMessage(f"the body is not valid {kind}: {error}", "compression") from error
    if len(plain) > limit:
        raise BadMessage(f"the decompressed body has more than {limit} bytes", "compression")
    if not complete:
        raise BadMessage(f"the {kind} body is cut short", "compression")
    return plain
