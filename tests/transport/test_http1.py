"""The HTTP/1.1 response parser, on hand-written responses and on any splitting of their bytes."""

from __future__ import annotations

import gzip
import time
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.transport.http1 import (
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    BodyCutOff,
    HTTPViolation,
    ResponseParser,
)
from deepseek_async.transport.received_fields import HeaderFields


def parsed(*pieces: bytes, end: bool = False) -> tuple[ResponseParser, bytes]:
    parser = ResponseParser()
    body = b"".join([parser.feed(piece) for piece in pieces])
    if end:
        parser.feed_end()
    return parser, body


def head(*fields: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    return "\r\n".join([f"HTTP/{version} {status}", *fields, "", ""]).encode()


CHUNKED = head("Transfer-Encoding: chunked")


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


def test_a_response_with_a_length_is_read_whole():
    parser, body = parsed(head("Content-Length: 5", "X-Ds-Trace-Id:  abc ") + b"hello")
    assert (parser.status, body, parser.complete, parser.reusable) == (200, b"hello", True, True)
    assert parser.headers["x-ds-trace-id"] == "abc"


def test_headers_are_a_mapping_without_regard_to_case():
    parser, _ = parsed(head("Content-Length: 0", "Retry-After: 3", "retry-after: 4"))
    assert parser.headers.get("RETRY-AFTER") == "3"
    assert parser.headers.get("absent") is None
    assert list(parser.headers) == ["content-length", "retry-after"]
    assert len(parser.headers) == 2


def test_a_header_name_inside_a_value_is_not_that_header():
    parser, _ = parsed(head("X-Note: retry-after: 9", "Content-Length: 0"))
    assert "retry-after" not in parser.headers


@pytest.mark.parametrize("status", ["100 Continue", "103 Early Hints"])
def test_interim_responses_are_passed_over(status: str):
    parser, body = parsed(head("Link: </a>", status=status) * 3 + head("Content-Length: 2") + b"ok")
    assert (parser.status, body) == (200, b"ok")


def test_a_body_without_any_length_ends_with_the_connection():
    parser, body = parsed(head() + b"some", b" text", end=True)
    assert (body, parser.complete, parser.reusable) == (b"some text", True, False)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_body_is_complete_with_its_head(status: str):
    parser, _ = parsed(head(status=status))
    assert parser.complete


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(head("Content-Length: 5") + b"hell", id="short body"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n", id="no last chunk"),
        pytest.param(CHUNKED + b"5\r\nhel", id="middle of a chunk"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n0\r\n", id="no end after the last chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-", id="middle of the head"),
        pytest.param(b"", id="nothing"),
        pytest.param(head("Content-Encoding: gzip") + gzip.compress(b"text")[:-4], id="cut-off gzip until close"),
    ],
)
def test_an_early_end_of_the_connection_is_told(wire: bytes):
    with pytest.raises(BodyCutOff):
        parsed(wire, end=True)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 2OO OK\r\n\r\n", id="a status that is no number"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", id="bare line feeds"),
        pytest.param(b"HTTP/1.1 200 OK\nX: a\r\nContent-Length: 0\r\n\r\n", id="a bare line feed in the status line"),
        pytest.param(b"HTTP/1.1 200 OK\rX: a\r\nContent-Length: 0\r\n\r\n", id="a carriage return in the status line"),
        pytest.param(b"\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", id="a bare line feed before the head"),
        pytest.param(head("Content-Length: 5", "Content-Length: 6"), id="two lengths"),
        pytest.param(head("Content-Length: -5"), id="a negative length"),
        pytest.param(head("Content-Length: 5_0"), id="a length that only Python reads"),
        pytest.param(head("Transfer-Encoding: gzip, chunked"), id="an unknown transfer coding"),
        pytest.param(head("Content-Encoding: br", "Content-Length: 1"), id="an unknown content coding"),
        pytest.param(head("Content-Length: 9", "Transfer-Encoding: chunked"), id="two framings"),
        pytest.param(head("Content-Length: 5, 6"), id="two lengths in one field"),
        pytest.param(head("Content-Length: +5"), id="a signed length"),
        pytest.param(head("Content-Length:"), id="an empty length"),
        pytest.param(head("Content-Length: " + "9" * 16), id="a length beyond all measure"),
        pytest.param(head("Transfer-Encoding:"), id="an empty transfer coding"),
        pytest.param(head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), id="chunks of chunks"),
        pytest.param(head("Transfer-Encoding: \x0bchunked"), id="a transfer coding that only looks like chunks"),
        pytest.param(head("Content-Length: 5, 6", status="204 No Content"), id="two lengths of no body"),
        pytest.param(head("no colon here"), id="a line that is no field"),
        pytest.param(head("X : a"), id="a space before the colon"),
        pytest.param(head(status="200 " + "O" * MAX_FIELD_BYTES), id="a reason that is too long"),
        pytest.param(head("X-Folded: a\r\n b"), id="a folded line"),
        pytest.param(head("X: a\nY: b"), id="a line feed in a field"),
        pytest.param(head("X: a\rb"), id="a carriage return in a field"),
        pytest.param(head("X: a\0b"), id="a NUL in a field"),
        pytest.param(head("X: " + "a" * MAX_FIELD_BYTES), id="a field that is too long"),
        pytest.param(head(*["X: a"] * (MAX_FIELDS + 1)), id="too many fields"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * MAX_HEAD_BYTES, id="a head without end"),
        pytest.param(head(status="101 Switching Protocols"), id="another protocol from here on"),
        pytest.param(head(status="100 Continue") * 17, id="interim responses without end"),
        pytest.param(CHUNKED + b"xyz\r\n", id="a chunk size that is no number"),
        pytest.param(CHUNKED + b"-5\r\n", id="a negative chunk size"),
        pytest.param(CHUNKED + b"ffffffffffffffffffff\r\n", id="a chunk size beyond all measure"),
        pytest.param(CHUNKED + b"5\r\nhelloworld\r\n", id="a chunk longer than its size"),
        pytest.param(CHUNKED + b"5;" + b"x" * 5000, id="a chunk extension without end"),
        pytest.param(CHUNKED + b"5;a\nb\r\nhello\r\n", id="a line feed in a chunk extension"),
        pytest.param(CHUNKED + b"5;a\rb\r\nhello\r\n", id="a carriage return in a chunk extension"),
        pytest.param(CHUNKED + b"5\nhello\n", id="a chunk size that ends with a line feed"),
        pytest.param(CHUNKED + b"0\r\n" + b"X: a\r\n" * 1000, id="trailers without end"),
        pytest.param(CHUNKED + b"0\r\n" + b"X: a\r\n" * 1000 + b"\r\n", id="trailers that are too long"),
        pytest.param(CHUNKED + b"0\r\nHTTP/1.1 200 OK\r\n\r\n", id="another head in the place of trailers"),
        pytest.param(CHUNKED + b"0\r\nX: a\nY: b\r\n\r\n", id="a line feed in a trailer"),
        pytest.param(head("Content-Encoding: gzip", "Content-Length: 4") + b"text", id="gzip that is none"),
        pytest.param(
            head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + chunked(gzip.compress(b"a" * 50_000_000)),
            id="a compression bomb",
        ),
        pytest.param(
            head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + chunked(gzip.compress(b"text")[:-3]),
            id="gzip cut off inside whole chunks",
        ),
    ],
)
def test_what_is_no_response_is_a_violation(wire: bytes):
    with pytest.raises(HTTPViolation):
        parsed(wire)


@pytest.mark.parametrize("size", ["+5", "-5", " 5", "\t5", "\n5", "0_5", "0x5", "\x0b5", "5\x0c", "", "0" * 15 + "5"])
@pytest.mark.parametrize("more", [b"", b"3\r\nabc\r\n"], ids=["alone", "before another"])
def test_a_chunk_size_is_read_by_hexadecimal_digits_only_however_it_comes(size: str, more: bytes):
    chunks = size.encode() + b"\r\nhello\r\n" + more
    for pieces in ([CHUNKED, chunks], [CHUNKED + chunks], [CHUNKED, chunks[:1], chunks[1:]]):
        with pytest.raises(HTTPViolation):
            parsed(*pieces)


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
def test_a_compressed_body_is_read_as_what_it_holds(encode, framing: str):
    packed = encode(b"text " * 1000)
    fields = ["Content-Encoding: " + ("gzip" if encode is gzip.compress else "deflate")]
    wire = {
        "length": head(*fields, f"Content-Length: {len(packed)}") + packed,
        "chunks": head(*fields, "Transfer-Encoding: chunked") + chunked(packed[:10], packed[10:]),
        "close": head(*fields) + packed,
    }[framing]
    parser, body = parsed(wire, end=True)
    assert (body, parser.complete) == (b"text " * 1000, True)


@pytest.mark.parametrize(
    ("wire", "reusable"),
    [
        pytest.param(head("Content-Length: 0"), True, id="by default"),
        pytest.param(head("Content-Length: 0", "Connection: Close"), False, id="the server closes"),
        pytest.param(head("Content-Length: 0", version="1.0"), False, id="HTTP/1.0"),
        pytest.param(head("Content-Length: 0", "Connection: keep-alive", version="1.0"), True, id="1.0, kept alive"),
        pytest.param(head("Content-Length: 2") + b"okay", False, id="more than the length"),
        pytest.param(head("Content-Length: 0") + b"x", False, id="more than nothing"),
        pytest.param(CHUNKED + chunked(b"a") + b"x", False, id="more than the last chunk"),
        pytest.param(head("Content-Length: 0", "Connection: keep-alive, close", version="1.0"), False, id="1.0, both"),
        pytest.param(head("Content-Length: 0", "Connection: no-keep-alive", version="1.0"), False, id="another word"),
        pytest.param(
            head("Transfer-Encoding: chunked", "Connection: keep-alive", version="1.0") + chunked(b"a"),
            False,
            id="1.0, which knows no chunks",
        ),
        pytest.param(head("Content-Length: 5", status="204 No Content"), False, id="no body, with a length"),
        pytest.param(head("Content-Length: 0", status="204 No Content"), True, id="no body, of no length"),
        pytest.param(head("Transfer-Encoding: chunked", status="304 Not Modified"), False, id="no body, in chunks"),
    ],
)
def test_a_connection_serves_again_only_if_nothing_is_doubtful(wire: bytes, reusable: bool):
    parser, _ = parsed(wire)
    assert parser.complete
    assert parser.reusable is reusable


def test_empty_lines_before_the_head_are_passed_over():
    assert parsed(b"\r\n", b"\r\n\r\n" + head("Content-Length: 2") + b"ok")[1] == b"ok"


def test_extensions_and_trailers_are_passed_over():
    wire = CHUNKED + b'5;name="a;b"\r\nhello\r\n0;x\r\nX-Sum: 1\r\nY: 2\r\n\r\n'
    parser, body = parsed(wire)
    assert (body, parser.complete, parser.reusable) == (b"hello", True, True)


@given(st.text("\r\n015f;-", max_size=10).map(str.encode))
def test_few_odd_bytes_in_the_place_of_a_chunk_are_read_alike_in_one_piece_and_byte_by_byte(wire: bytes):
    outcomes = set()
    for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
        try:
            parser, body = parsed(CHUNKED, *pieces)
        except HTTPViolation:
            outcomes.add("violation")
        else:
            outcomes.add((body, parser.complete, parser.reusable))
    assert len(outcomes) == 1


@pytest.mark.parametrize("size", [b"0", b"00", b"0000000000", b"0;last"])
def test_a_last_chunk_is_one_however_its_zero_is_written(size: bytes):
    wire = b"5\r\nhello\r\n" + size + b"\r\n\r\n"
    for pieces in ([CHUNKED, wire], [CHUNKED + wire], [CHUNKED, wire[:10], wire[10:]]):
        parser, body = parsed(*pieces)
        assert (body, parser.complete, parser.reusable) == (b"hello", True, True)


def test_bytes_after_the_end_of_a_compressed_body_are_a_violation():
    packed = gzip.compress(b"hello")
    start = head("Transfer-Encoding: chunked", "Content-Encoding: gzip")
    for pieces in ([packed, b"x"], [packed + b"x"]):
        with pytest.raises(HTTPViolation, match="after the end"):
            parsed(start, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces))


def test_a_large_chunk_in_small_pieces_is_not_held_back():
    parser = ResponseParser()
    parser.feed(CHUNKED + b"100000\r\n")
    assert [len(parser.feed(b"x" * 1000)) for _ in range(5)] == [1000] * 5


def test_a_read_that_begins_and_ends_inside_chunks_takes_time_with_its_length_only():
    parser, wire = ResponseParser(), chunked(*[b"x" * 290] * 20_000)
    parser.feed(CHUNKED + wire[:7])

    began = time.process_time()
    body = parser.feed(wire[7:-9])

    # 30 ms; copying the rest at each chunk, a minute.
    assert time.process_time() - began < 3
    assert len(body) + len(parser.feed(wire[-9:])) + 2 == 290 * 20_000


PIECES = st.lists(st.one_of(st.binary(min_size=1, max_size=40), st.sampled_from([b"\r\n", b"0\r\n\r\n", b"5\r\n"])))


@given(PIECES, st.lists(st.integers(0, 400)), st.sampled_from([b"", b"X: y\r\n"]))
def test_chunks_give_the_same_body_however_the_bytes_are_split(pieces: list[bytes], cuts: list[int], trailers: bytes):
    wire = CHUNKED + chunked(*pieces, trailers=trailers)
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    parser, body = parsed(*(wire[a:b] for a, b in pairwise(edges)))
    assert body == b"".join(pieces)
    assert parser.complete
    assert parser.reusable


@given(st.binary(max_size=60), st.lists(st.integers(0, 200)))
def test_a_body_with_a_length_is_the_same_however_the_bytes_are_split(content: bytes, cuts: list[int]):
    wire = head(f"Content-Length: {len(content)}") + content
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    parser, body = parsed(*(wire[a:b] for a, b in pairwise(edges)))
    assert (body, parser.complete) == (content, True)


PACKED = gzip.compress(b"hello", mtime=0)
LINES = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 100 Continue", b"HTTP/1.1 204 No Content", b"HTTP/2 200"),
        *(b"Transfer-Encoding: chunked", b"transfer-encoding:\tChunked ", b"Content-Length: 5", b"Content-Length: 0"),
        *(b"Content-Length: 5, 5", b"Content-Length: 6", b"Connection: close", b"Connection: keep-alive", b"X: y"),
        *(b"Content-Encoding: gzip", b" folded", b"no field", b"X : y", b"", b"0", b"00", b"5", b"0;a", b'5 ;b="c"'),
        *(b"+5", b"0x5", b"0_5", b" 5", b"-0", b"5\r", b"hello", b"hello\n", b"hel\r\n", PACKED),
    ]
)
ENDS = st.sampled_from([b"\r\n"] * 30 + [b"\n", b"\r", b"", b"\0"])
RESPONSES = st.builds(
    lambda begin, lines: begin + b"".join(line + end for line, end in lines),
    st.sampled_from([b"", b"\r\n", CHUNKED, head("Content-Length: 5"), b"HTTP/1.1 200 OK\r\n"]),
    st.lists(st.tuples(st.one_of(LINES, st.binary(max_size=8)), ENDS), max_size=12),
)


def outcome(pieces: list[bytes]) -> object:
    """What a response comes to: all that its reader and the pool of connections are told."""
    try:
        parser, body = parsed(*pieces, end=True)
    except HTTPViolation:
        return "violation"
    return parser.status, dict(parser.headers), body, parser.complete, parser.reusable


@given(RESPONSES, st.lists(st.integers(0, 200), max_size=6))
def test_whatever_comes_is_the_same_or_a_violation_however_its_bytes_are_split(wire: bytes, cuts: list[int]):
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    whole = outcome([wire])
    assert outcome([wire[a:b] for a, b in pairwise(edges)]) == whole
    assert outcome([wire[at : at + 1] for at in range(len(wire))]) == whole


@pytest.mark.parametrize("spare", [-1, 0, 1])
@pytest.mark.parametrize("bound", ["head", "size", "trailers"])
def test_bounds_are_the_same_however_the_bytes_are_split(bound: str, spare: int):
    start = {
        "head": b"HTTP/1.1 200 OK\r\nContent-Length: 0",
        "size": CHUNKED + b"0;",
        "trailers": CHUNKED + b"0\r\nX:",
    }[bound]
    if bound == "head":
        filled = start + (b"\r\nX: " + b"a" * 995) * 65
        wire = filled + b"\r\nX:" + b"b" * (MAX_HEAD_BYTES - spare - len(filled) - 4) + b"\r\n\r\n"
    else:
        wire = start + b"x" * (4096 - (4 if bound == "trailers" else 2) - spare) + b"\r\n\r\n"
    assert (outcome([wire]) == "violation") is (spare < 0)
    for at in range(len(wire) - 6, len(wire)):
        assert outcome([wire[:at], wire[at:]]) == outcome([wire])


@given(
    st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([CHUNKED, head("Content-Length: 3"), b"3\r\nabc\r\n"])))
)
def test_garbage_raises_a_violation_and_nothing_else(pieces: list[bytes]):
    parser = ResponseParser()
    try:
        for piece in pieces:
            parser.feed(piece)
        parser.feed_end()
    except HTTPViolation:
        pass


@given(st.lists(st.tuples(st.sampled_from(["x-a", "X-A", "x-b", "Content-Type"]), st.text("ab: \t", max_size=5))))
def test_the_header_fields_listed_are_those_found_one_by_one(fields: list[tuple[str, str]]):
    raw = b"HTTP/1.1 200 OK" + b"".join(f"\r\n{name}:{value}".encode() for name, value in fields)
    found = HeaderFields(raw, raw.lower())
    assert dict(found.items()) == {name: found.get(name) for name in found}
    assert {name for name, _ in found.items()} == {name.lower() for name, _ in fields}
