"""Request bodies of tracking SDKs: unpacked by header, split into messages, whatever the content
type says."""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from service.core.parsing import Problem

_GZIP = 16 + zlib.MAX_WBITS
_BOM = b"\xef\xbb\xbf"

Headers = Iterable[tuple[bytes, bytes]]


class Unreadable(ValueError):
    """A body that is no request. `status`: what to answer."""

    def __init__(self, status: int, code: str, detail: str, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.problem = Problem(pointer or "", code, detail)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request: its messages as they came, and what all of them share."""

    messages: list[bytes]
    context: Mapping[str, Any]
    sent_at: Any
    write_key: str | None


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    context: Any = None
    sentAt: Any = None  # noqa: N815 - the specification's own names
    writeKey: Any = None  # noqa: N815


class _Single(msgspec.Struct):
    writeKey: Any = None  # noqa: N815


_batch = msgspec.json.Decoder(_Batch)
_single = msgspec.json.Decoder(_Single)


def unpacked(body: bytes, headers: Headers, limit: int) -> bytes:
    """A body without its `Content-Encoding`, `limit` bytes at most: what is larger is never made.
    Raises Unreadable 400, 413, 415."""
    encoding = b",".join(value for name, value in headers if name == b"content-encoding")
    kind = encoding.strip().lower()
    if kind in (b"", b"identity"):
        return body
    if kind not in (b"gzip", b"x-gzip"):
        raise Unreadable(415, "unsupported", "the body may be packed by gzip only")
    parts: list[bytes] = []
    room = limit + 1
    while body and room:  # a file may have several members, one after the other
        inflating = zlib.decompressobj(_GZIP)
        try:
            parts.append(inflating.decompress(body, room))
        except zlib.error as error:
            raise _not_gzip("the body is not gzip, as its header says") from error
        room -= len(parts[-1])
        if room and not inflating.eof:
            raise _not_gzip("the body's gzip ends before its end")
        body = inflating.unused_data
    if not room:
        raise too_large(limit)
    return b"".join(parts)


def _not_gzip(detail: str) -> Unreadable:
    return Unreadable(400, "not_gzip", detail)


def too_large(limit: int) -> Unreadable:
    """A body of more than so many bytes."""
    return Unreadable(413, "too_large", f"the body may have {limit:,} bytes at most, unpacked")


def envelope(body: bytes, *, batch: bool) -> Envelope:
    """A body taken apart: `batch`, a batch's, else of a single message. Raises Unreadable 400,
    422."""
    body = body.removeprefix(_BOM)
    try:
        return _batch_of(_batch.decode(body)) if batch else _single_of(_single.decode(body), body)
    except msgspec.ValidationError as error:
        raise _misshapen(body, batch) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        rewritten = _rewritten(body, batch)
        if rewritten is None:
            raise Unreadable(400, "not_json", "the body is not JSON in UTF-8") from error
        return rewritten


def _batch_of(whole: _Batch) -> Envelope:
    if whole.batch is msgspec.UNSET:
        raise Unreadable(422, "required", "a batch has its messages in the list batch", "/batch")
    messages = [bytes(raw) for raw in whole.batch]
    context = whole.context if isinstance(whole.context, dict) else {}
    return Envelope(messages, context, whole.sentAt, _key(whole.writeKey))


def _single_of(whole: _Single, body: bytes) -> Envelope:
    return Envelope([body], {}, None, _key(whole.writeKey))


def _kept(context: Any) -> Mapping[str, Any]:
    """A context, or nothing where it holds what can't be kept."""
    try:
        return msgspec.json.decode(json.dumps(context), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _key(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _misshapen(body: bytes, batch: bool) -> Unreadable:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Unreadable(400, "not_json", "the body is not JSON in UTF-8")
    if not isinstance(document, dict):
        return Unreadable(422, "type", "the body has to be an object")
    assert batch  # noqa: S101 - of a single message everything else is taken as it is
    return Unreadable(422, "type", "a batch's messages are a list", "/batch")


def _rewritten(body: bytes, batch: bool) -> Envelope | None:
    """A body with what some JSON writers write and JSON has no word for (NaN, half of a surrogate
    pair) somewhere in it: only the message that holds it will be refused."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    if not batch:
        return Envelope([json.dumps(document).encode()], {}, None, _key(document.get("writeKey")))
    messages = document.get("batch")
    if not isinstance(messages, list):
        return None
    return Envelope(
        [json.dumps(message).encode() for message in messages],
        _kept(document.get("context")),
        document.get("sentAt"),
        _key(document.get("writeKey")),
    )
