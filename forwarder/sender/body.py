"""Bodies that are all there, for the streams that httpx's requests and responses want."""

from collections.abc import AsyncIterator

import httpx


class Whole(httpx.AsyncByteStream):
    """Bytes as a stream; who knows the class takes them without going through an iterator."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content


async def first_bytes(response: httpx.Response, *, limit: int) -> bytes:
    """
    The start of an answer's body as it was on the wire: a content-encoding is the receiver's, and not undone.
    """
    stream = response.stream
    if isinstance(stream, Whole):
        return stream.content[:limit]
    start = b""
    if isinstance(stream, httpx.AsyncByteStream):
        async for piece in stream:
            start += piece
            if len(start) >= limit:
                break
    return start[:limit]


async def all_bytes(request: httpx.Request) -> bytes:
    """A request's body."""
    stream = request.stream
    return stream.content if isinstance(stream, Whole) else await request.aread()
