from __future__ import annotations

import json
import math
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.errors import HandshakeError, HandshakeRefused
from nodepass.protocol.agreement import Agreement, Flow
from nodepass.protocol.client_handshake import RESPONSE_LIMIT, ClientHandshake
from nodepass.protocol.handshake import REQUEST_LIMIT, ServerHandshake, Verdict, bearer_token
from tests.unit.protocol.chunks import cut, cuts, every_byte
from tests.unit.protocol.test_signals import json_values
from tests.unit.protocol.vectors import examples, section, text

KEY = "mykey"
DATE = "Sun, 22 Nov 2026 13:29:22 GMT"
AGREEMENT = Agreement(Flow.REVERSE, max=1024, tls=0, type=0)
CAPTURED_REQUEST = text(section("captured"), "client_request").encode()
CAPTURED_RESPONSE = text(section("captured"), "server_response").encode()
TOKEN = bearer_token(KEY)


def verdict_of(pieces: list[bytes], *, upgrades: bool = False) -> Verdict | None:
    server = ServerHandshake(KEY, upgrades=upgrades)
    verdict = None
    for piece in pieces:
        verdict = server.receive(piece)
    return verdict


def status_of(data: bytes) -> int | None:
    verdict = verdict_of([data])
    return None if verdict is None else verdict.status


def request(line: str = "GET / HTTP/1.1", *headers: str) -> bytes:
    return "\r\n".join([line, "Host: none", *headers, "", ""]).encode()


Outcome = Agreement | tuple[int, str] | str | None


def answer_of(pieces: list[bytes], *, eof: bool = False) -> Outcome:
    """Give what the client makes of a server's answer."""
    client = ClientHandshake("none", bearer_token(KEY))
    answer = None
    try:
        for piece in pieces:
            answer = client.receive(piece)
        if eof:
            answer = client.receive_eof()
    except HandshakeRefused as refusal:
        return refusal.status, refusal.reason
    except HandshakeError as error:
        fit_to_show = str(error).isprintable() and len(str(error)) < 300
        return "error" if fit_to_show else "an error that cannot be shown"
    return None if answer is None else answer.agreement


def response(status_line: str, body: bytes, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status_line}", *headers, "", ""]).encode() + body


@pytest.mark.parametrize("row", examples("token"), ids=lambda row: text(row, "key")[:10])
def test_tokens_match_the_vectors(row: dict[str, object]) -> None:
    assert bearer_token(text(row, "key")) == text(row, "token")


class TestServer:
    def test_a_v1_request_is_accepted(self) -> None:
        verdict = verdict_of([CAPTURED_REQUEST])
        assert verdict is not None
        assert verdict.accepted

    def test_the_answer_is_that_of_v1_to_the_byte(self) -> None:
        assert ServerHandshake.accept(AGREEMENT, DATE) == CAPTURED_RESPONSE

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (request("GET / HTTP/1.1", f"Authorization: Bearer {TOKEN}"), 200),
            (request("GET /?later=1 HTTP/1.1", f"authorization: bearer  {TOKEN} "), 200),
            (request("GET / HTTP/1.1", f"Authorization: Bearer {TOKEN}", "NodePass-Extension: 1 AAAA"), 200),
            (request("GET / HTTP/1.1", f"Authorization: Bearer {TOKEN}") + b"\x00 and more", 200),
            (request("GET / HTTP/1.1", f"Authorization: Bearer {TOKEN[:-1]}0"), 401),
            (request("GET / HTTP/1.1", f"Authorization: Bearer {TOKEN.upper()}"), 401),
            (request("GET / HTTP/1.1", f"Authorization: Basic {TOKEN}"), 401),
            (request("GET / HTTP/1.1", f"Authorization: {TOKEN}"), 401),
            (request("GET / HTTP/1.1", "Authorization: Bearer ü"), 401),
            (request("GET / HTTP/1.1"), 401),
            (request("GET /stream HTTP/1.1", f"Authorization: Bearer {TOKEN}"), 404),
            (request("POST / HTTP/1.1", f"Authorization: Bearer {TOKEN}"), 405),
            (request("POST /stream HTTP/1.1", "Content-Length: 5"), 405),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"\x16\x03\x01\x00\xc8", 400),
            (b"nonsense\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
            (request("GET / HTTP/1.1", f"Authorization: Bearer {TOKEN}")[:-1], None),
            (b"", None),
        ],
    )
    def test_verdicts(self, data: bytes, status: int | None) -> None:
        assert status_of(data) == status
        assert verdict_of(every_byte(data)) == verdict_of([data])

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (request("GET / HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"), 101),
            (request("GET /elsewhere HTTP/1.1", "upgrade: anything"), 101),
            (request("GET / HTTP/1.1", "Upgrade: websocket", f"Authorization: Bearer {TOKEN}"), 101),
            (request("GET / HTTP/1.1", "Connection: Upgrade", f"Authorization: Bearer {TOKEN}"), 200),
            (request("GET / HTTP/1.1", f"Authorization: Bearer {TOKEN}"), 200),
            (request("GET / HTTP/1.1"), 401),
            (request("GET / HTTP/1.1", "Upgrade: websocket")[:-1], None),
        ],
    )
    def test_where_websockets_are_taken_their_requests_are_told_apart(self, data: bytes, status: int | None) -> None:
        verdict = verdict_of([data], upgrades=True)
        assert (None if verdict is None else verdict.status) == status
        assert verdict_of(every_byte(data), upgrades=True) == verdict
        if status == 101:
            without = verdict_of([data])
            assert without is not None
            assert without.status != 101

    def test_the_limit_is_the_same_however_the_bytes_come(self) -> None:
        def padded(size: int) -> bytes:
            empty = len(request("GET / HTTP/1.1", f"Authorization: Bearer {TOKEN}", "Padding: "))
            return request("GET / HTTP/1.1", f"Authorization: Bearer {TOKEN}", "Padding: " + "x" * (size - empty))

        for data, status in (padded(REQUEST_LIMIT), 200), (padded(REQUEST_LIMIT + 1), 431):
            assert status_of(data) == status
            assert verdict_of(every_byte(data)) == verdict_of([data])
        assert status_of(b"A" * 1_000_000) == 431

    @pytest.mark.parametrize(
        ("status", "line", "header"),
        [
            (401, b"HTTP/1.1 401 Unauthorized\r\n", b"WWW-Authenticate: Bearer\r\n"),
            (405, b"HTTP/1.1 405 Method Not Allowed\r\n", b"Allow: GET\r\n"),
            (409, b"HTTP/1.1 409 Conflict\r\n", b"Content-Type: text/plain; charset=utf-8\r\n"),
        ],
    )
    def test_refusals_are_whole_responses(self, status: int, line: bytes, header: bytes) -> None:
        data = ServerHandshake.refuse(status, "another client is connected", DATE)
        assert data.startswith(line + b"Connection: close\r\n")
        assert header in data
        assert answer_of([data]) == (status, "another client is connected")

    @given(st.sampled_from([b"", CAPTURED_REQUEST[:-2], b"GET / HTTP/1.1\r\nHost: a\r\n"]), st.binary(), cuts)
    def test_any_bytes_in_any_chunks_have_one_outcome(self, start: bytes, rest: bytes, places: list[int]) -> None:
        data = start + rest
        assert verdict_of(cut(data, places)) == verdict_of([data])


class TestClient:
    def test_the_request_is_what_a_server_accepts(self) -> None:
        data = ClientHandshake("tunnel.example", TOKEN).request()
        assert data == f"GET / HTTP/1.1\r\nHost: tunnel.example\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        assert status_of(data) == 200

    @pytest.mark.parametrize("host", ["a\r\nX: y", "tünnel", "a\x00"])
    def test_a_host_that_is_no_header_value_is_refused(self, host: str) -> None:
        with pytest.raises(HandshakeError, match="Host header"):
            ClientHandshake(host, TOKEN)

    @pytest.mark.parametrize(
        "data",
        [
            CAPTURED_RESPONSE,
            CAPTURED_RESPONSE + b"trailing bytes",
            response("200 OK", b"2d\r\n" + AGREEMENT.encode() + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
            response("103 Early Hints", b"") + CAPTURED_RESPONSE,
        ],
    )
    def test_answers_that_tell_their_length(self, data: bytes) -> None:
        assert answer_of([data]) == answer_of(every_byte(data)) == AGREEMENT

    def test_an_answer_that_ends_with_the_connection(self) -> None:
        data = response("200 OK", AGREEMENT.encode())
        assert answer_of([data]) is None
        assert answer_of([data], eof=True) == AGREEMENT
        assert answer_of([CAPTURED_RESPONSE], eof=True) == AGREEMENT

    @pytest.mark.parametrize(
        ("data", "answer"),
        [
            (response("401 Unauthorized", b"Unauthorized\n", "Content-Length: 13"), (401, "Unauthorized")),
            (response("502 Bad Gateway", b"", "Content-Length: 0"), (502, "Bad Gateway")),
            (response("204 No Content", b""), (204, "No Content")),
            (response("404 Not Found", b"two\r\n lines\x1b[31m"), (404, "two lines?[31m")),
            (response("404 Not Found", b"\xff" + b"long " * 100_000), (404, ("�" + "long " * 99)[:200])),
            (response("500 Oops", b"cut sh", "Content-Length: 100"), (500, "cut sh")),
            (response("500 Oops", b"zz\r\n", "Transfer-Encoding: chunked"), (500, "Oops")),
            (response("200 OK", b"{}", "Content-Length: 2"), "error"),
            (response("200 OK", b"{", "Content-Length: 100"), "error"),
            (response("200 OK", b" " * 100_000), "error"),
            (response("101 Switching Protocols", b"", "Upgrade: websocket"), "error"),
            (b"\x00\x00\x00\x00", "error"),
            (b"SSH-2.0-OpenSSH\r\n\r\n", "error"),
            (b"SSH-2.0-" + b"long " * 1000 + b"\r\n\r\n", "error"),
            (b"", "error"),
            (b"HTTP/1.1 200 OK\r\nX: " + b"y" * RESPONSE_LIMIT + b"\r\n\r\n", "error"),
        ],
    )
    def test_refusals_and_broken_answers(self, data: bytes, answer: Outcome) -> None:
        assert answer_of([data], eof=True) == answer

    @given(
        st.sampled_from([b"", CAPTURED_RESPONSE[:-9], b"HTTP/1.1 401 No\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]),
        st.binary(),
        cuts,
        st.booleans(),
    )
    def test_any_bytes_in_any_chunks_have_one_outcome(
        self, start: bytes, rest: bytes, places: list[int], eof: bool
    ) -> None:
        data = start + rest
        assert answer_of(cut(data, places), eof=eof) == answer_of([data], eof=eof)


def strict_verdict(data: bytes) -> Verdict | None:
    return ServerHandshake(KEY, strict=True).receive(data)


class TestExtension:
    """What of the handshake is the extension's; what its messages hold is `test_extension`'s matter."""

    @pytest.mark.parametrize("strict", [False, True])
    @pytest.mark.parametrize("name", ["NodePass-Extension", "nodepass-extension", "NODEPASS-EXTENSION"])
    @pytest.mark.parametrize("token", ["", TOKEN, "0" * 64])
    def test_its_header_is_to_be_judged_whatever_the_token(self, name: str, token: str, strict: bool) -> None:
        headers = [f"Authorization: Bearer {token}"] if token else []
        data = request("GET / HTTP/1.1", *headers, f"{name}: 1 AAAA")
        assert ServerHandshake(KEY, strict=strict).receive(data) == Verdict(HTTPStatus.OK, extension="1 AAAA")

    @pytest.mark.parametrize("value", ["2 AAAA", "1", "", "11 AAAA", "AAAA"])
    def test_another_version_of_it_is_not_there(self, value: str) -> None:
        header = f"NodePass-Extension: {value}"
        assert status_of(request("GET / HTTP/1.1", header)) == 401
        token = request("GET / HTTP/1.1", f"Authorization: Bearer {TOKEN}", header)
        assert verdict_of([token]) == Verdict(HTTPStatus.OK)
        assert strict_verdict(token) == verdict_of([request()])

    def test_with_strict_a_token_does_not_suffice(self) -> None:
        verdict = strict_verdict(CAPTURED_REQUEST)
        assert verdict is not None
        assert (verdict.status, verdict.text) == (401, "wrong token")

    @pytest.mark.parametrize("line", ["POST / HTTP/1.1", "GET /elsewhere HTTP/1.1"])
    def test_it_makes_no_other_request_one(self, line: str) -> None:
        assert verdict_of([request(line, "NodePass-Extension: 1 AAAA")]) == verdict_of([request(line)])

    def test_where_it_stands_twice_the_first_counts(self) -> None:
        data = request("GET / HTTP/1.1", "NodePass-Extension: 1 first", "NodePass-Extension: 1 second")
        assert verdict_of([data]) == Verdict(HTTPStatus.OK, extension="1 first")

    def test_bytes_that_are_no_text_are_judged_as_text(self) -> None:
        verdict = verdict_of([b"GET / HTTP/1.1\r\nHost: none\r\nNodePass-Extension: 1 \xff\xfe\r\n\r\n"])
        assert verdict is not None
        assert verdict.extension == "1 \ufffd\ufffd"

    @pytest.mark.parametrize(
        ("token", "extension", "headers"),
        [
            (TOKEN, "", f"Authorization: Bearer {TOKEN}\r\n"),
            ("", "1 AAAA", "NodePass-Extension: 1 AAAA\r\n"),
            (TOKEN, "1 AAAA", f"Authorization: Bearer {TOKEN}\r\nNodePass-Extension: 1 AAAA\r\n"),
            ("", "", ""),
        ],
    )
    def test_a_client_shows_what_it_was_given_and_no_more(self, token: str, extension: str, headers: str) -> None:
        assert ClientHandshake("none", token, extension).request().decode() == (
            f"GET / HTTP/1.1\r\nHost: none\r\n{headers}\r\n"
        )

    def test_the_server_s_message_is_one_more_member(self) -> None:
        data = ServerHandshake.accept(AGREEMENT, DATE, "BBBB")
        assert data.endswith(b'"type":"0","extension":"BBBB"}\n')
        answer = ClientHandshake("none", "", "1 AAAA").receive(data)
        assert answer is not None
        assert (answer.agreement, answer.extension) == (AGREEMENT, "BBBB")

    @given(json_values)
    def test_the_member_may_be_anything(self, value: object) -> None:
        body = json.dumps(AGREEMENT.members() | {"extension": value}).encode()
        answer = ClientHandshake("none", "", "1 AAAA").receive(response("200 OK", body, f"Content-Length: {len(body)}"))
        assert answer is not None
        assert answer.agreement == AGREEMENT
        # As text, since one that is not a number is not itself.
        assert json.dumps(answer.extension) == json.dumps(value)

    def test_a_v1_server_s_answer_has_none(self) -> None:
        answer = ClientHandshake("none", TOKEN, "1 AAAA").receive(CAPTURED_RESPONSE)
        assert answer is not None
        assert answer.extension is None


class TestDateOfARefusal:
    """By it a client finds out that the clocks differ."""

    @staticmethod
    def date_of(data: bytes) -> float | None:
        with pytest.raises(HandshakeRefused) as caught:
            ClientHandshake("none").receive(data)
        return caught.value.date

    def test_it_is_that_of_the_server(self) -> None:
        # 22 November 2026, 13:29:22 UTC.
        assert self.date_of(ServerHandshake.refuse(401, "wrong token", DATE)) == 1_795_354_162.0

    @pytest.mark.parametrize(
        "date", ["", "now", "Sun, 99 Nov 2026 13:29:22 GMT", "1795354162", "Sun, 22 Nov 99999 1:1:1 GMT"]
    )
    def test_what_is_none_is_none(self, date: str) -> None:
        assert self.date_of(response("401 No", b"", "Content-Length: 0", f"Date: {date}")) is None

    def test_a_server_may_tell_none(self) -> None:
        assert self.date_of(response("401 No", b"", "Content-Length: 0")) is None

    @given(
        st.one_of(
            st.binary(max_size=40).map(lambda raw: bytes(byte | 0x20 for byte in raw)),
            st.from_regex(rb"\A\w{3}, \d{1,2} (Jan|Feb|Dec) \d{1,5} \d\d?:\d\d?:\d\d? ([+-]\d{4}|GMT|EST|)\Z"),
        )
    )
    def test_any_bytes_are_a_date_or_none(self, raw: bytes) -> None:
        date = self.date_of(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nDate: " + raw.replace(b"\x7f", b"") + b"\r\n\r\n")
        assert date is None or math.isfinite(date)


def test_a_verdict_tells_whether_it_accepts() -> None:
    assert Verdict(HTTPStatus.OK).accepted
    assert not Verdict(HTTPStatus.CONFLICT, "busy").accepted


def test_a_connection_closed_without_a_byte_is_told_as_that() -> None:
    # A v1 server under load loses its answer now and then.
    with pytest.raises(HandshakeError, match="without an answer"):
        ClientHandshake("none", TOKEN).receive_eof()
