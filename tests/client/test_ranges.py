"""Ranged reads: every form of the header, in plaintext's offsets, verified by default."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import s3ec
from s3ec import AesKeyring
from s3ec.client.calls.verified_ranges import VerifiedObject, VerifiedTable
from s3ec.crypto.own.mac import ChunkMac
from s3ec.errors import AuthenticationError, KeyUnwrapError, S3ECError, UnauthenticatedRangeError
from s3ec.s3.range_header import ByteRange, parse_content_range, parse_range

from support.cbc import cbc_object, cbc_options
from support.counting import CountingManager
from support.lying_s3 import LyingS3, Stored

KiB = 1024
CHUNK = 64 * KiB
DATA = random.Random(2).randbytes(300_000)
FORMS = [
    "bytes=0-0",
    "bytes=0-",
    "bytes=0-15",
    "bytes=1-16",
    "bytes=7-99",
    "bytes=-1",
    "bytes=-16",
    "bytes=-17",
    "bytes=-70000",
    "bytes=-0",
    "bytes=-99999999",
    "bytes=65535-65536",
    "bytes=65536-",
    "bytes=100-99999999",
    "bytes=199999-",
    "bytes=199999-199999",
    "bytes=200000-",
    "bytes=200015-",
    "bytes=200016-",
    "bytes=99999999-",
    "bytes= 3-9",
    "bytes=9-3",
    "bytes=0-1,5-6",
    "bytes=x-y",
    "items=0-4",
    "bytes=-",
    "",
]
HUGE = "bytes=5-" + "9" * 5000
MODES: dict[str, dict[str, Any]] = {
    "verified": {},
    "unverified": {"enable_unauthenticated_ranges": True},
    "delayed": {"enable_delayed_authentication": True},
    "spooled": {"buffer_size": 1},
}


def expected(header: str, data: bytes) -> tuple[int, int] | str:
    """What RFC 9110 and S3 answer: first and last offset, ``"whole"`` for what is ignored, or ``"416"``."""
    match = re.fullmatch(r"bytes= *(\d*)-(\d*)", header)
    if match is None or not any(match.groups()):
        return "whole"
    first, last = match.groups()
    if not first:
        return (max(len(data) - int(last), 0), len(data) - 1) if int(last) and data else "416"
    if last and int(last) < int(first):
        return "whole"
    if int(first) >= len(data):
        return "416"
    return int(first), min(int(last), len(data) - 1) if last else len(data) - 1


def put(client: Any, body: bytes = DATA) -> None:
    """Puts the object."""
    client.put_object(Bucket="b", Key="k", Body=body)


def get(client: Any, header: str, **more: Any) -> Any:
    """A range of the object."""
    return client.get_object(Bucket="b", Key="k", Range=header, **more)


def read(client: Any, header: str) -> bytes:
    """The bytes of a range."""
    data: bytes = get(client, header)["Body"].read()
    return data


def check_form(client: Any, header: str, data: bytes) -> None:
    """Hold one range against the slice of the plaintext."""
    wanted = expected(header, data)
    if wanted == "416":
        with pytest.raises(ClientError) as refusal:
            get(client, header)
        assert refusal.value.response["Error"]["Code"] == "InvalidRange"
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 416
        return
    answer = get(client, header)
    if isinstance(wanted, str):
        assert "ContentRange" not in answer
        assert answer["ContentLength"] == len(data)
        assert answer["Body"].read() == data
        return
    first, last = wanted
    assert answer["ContentRange"] == f"bytes {first}-{last}/{len(data)}"
    assert answer["ContentLength"] == last - first + 1
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["Body"].read() == data[first : last + 1]


class TestForms:
    """What a range means."""

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("size", [0, 1, 17, CHUNK, CHUNK + 1, 200_000])
    def test_against_a_slice(self, make: Callable[..., Any], size: int, mode: str) -> None:
        """Each form gives the slice of the plaintext, S3's own 416, or the whole object."""
        client = make(**MODES[mode])
        put(client, DATA[:size])
        for header in FORMS:
            check_form(client, header, DATA[:size])

    @pytest.mark.slow
    @pytest.mark.parametrize("mode", ["verified", "unverified"])
    def test_any_range_of_any_size(self, make: Callable[..., Any], mode: str) -> None:
        """Random ranges of random sizes, read in random pieces."""
        client = make(**MODES[mode])
        edge = st.sampled_from([0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
        number = edge | st.integers(0, 150_000)

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(size=number, first=st.none() | number, last=st.none() | number)
        def property_holds(size: int, first: int | None, last: int | None) -> None:
            put(client, DATA[:size])
            check_form(client, f"bytes={'' if first is None else first}-{'' if last is None else last}", DATA[:size])

        property_holds()

    def test_reading_in_pieces(self, make: Callable[..., Any]) -> None:
        """A range's body has the whole surface."""
        client = make()
        put(client)
        body = get(client, "bytes=1000-199999")["Body"]
        pieces = [body.read(1), body.read(CHUNK), body.readline(), *body.iter_chunks(1234)]
        assert b"".join(pieces) == DATA[1000:200_000]
        assert body.tell() == 199_000

    def test_no_such_key(self, make: Callable[..., Any]) -> None:
        """S3's own errors stay S3's."""
        client = make()
        with pytest.raises(client.exceptions.NoSuchKey):
            get(client, "bytes=0-1")

    @pytest.mark.parametrize("text", ["", "bytes 0-4", "bytes 5-4/9", "bytes 0-9/9", "bytes */9", "bytes 0-4/*"])
    def test_senseless_content_range(self, text: str) -> None:
        """An answer that says nothing sensible about itself is not trusted."""
        with pytest.raises(AuthenticationError, match="makes no sense"):
            parse_content_range(text)

    def test_widened(self) -> None:
        """What is asked for covers the whole chunks, and the tag in case the end is near."""
        assert str(ByteRange(20, 20).widened(16, 16)) == "bytes=16-47"
        assert str(ByteRange(20).widened(16, 16)) == "bytes=16-"
        assert str(ByteRange(None, suffix=1).widened(16, 16)) == "bytes=-32"
        assert parse_range("bytes=٣-٤") is None

    @pytest.mark.parametrize("header", ["bytes=5-9223372036854775807", f"bytes={2**63}-", f"bytes=-{2**64}", HUGE])
    @pytest.mark.parametrize("granularity", [16, CHUNK])
    def test_numbers_on_the_wire(self, header: str, granularity: int) -> None:
        """No server has to count further than objects reach: beyond it an end is left open, and a suffix is all."""
        wanted = parse_range(header)
        assert wanted is not None
        sent = str(wanted.widened(granularity, 16))
        assert all(int(number) <= 2**46 for number in re.findall(r"[0-9]+", sent)), sent


class TestVerified:
    """No byte of a range is handed out that the object's tag did not cover."""

    def test_one_pass_for_all_ranges(
        self, http_liar: LyingS3, make: Callable[..., Any], counting: CountingManager
    ) -> None:
        """The object is read once; from then on each range is one request and no key operation."""
        client = make()
        put(client)
        http_liar.state.requests.clear()
        assert read(client, "bytes=5-9") == DATA[5:10]
        assert [header for _, _, header in http_liar.state.requests] == ["bytes=0-65551", None, "bytes=0-65551"]
        assert counting.decryptions == 1
        http_liar.state.requests.clear()
        for first in range(0, 250_000, 50_000):
            assert read(client, f"bytes={first}-{first + 9}") == DATA[first : first + 10]
        assert len(http_liar.state.requests) == 5
        assert counting.decryptions == 1

    def test_answer_says_authenticated(self, make: Callable[..., Any]) -> None:
        """By default yes, with the option that gives it up no."""
        put(make())
        for mode, told in (("verified", True), ("unverified", False)):
            answer = get(make(**MODES[mode]), "bytes=5-9")
            assert answer["ResponseMetadata"]["ClientSideEncryption"]["authenticated"] is told
            assert answer["Metadata"] == {}

    @pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-299999", "bytes=-300000", "bytes=0-99999999"])
    def test_whole_object_by_its_tag(self, http_liar: LyingS3, make: Callable[..., Any], header: str) -> None:
        """A range that covers the object needs no second request, is above no limit, and is verified by the tag."""
        client = make(verified_range_limit=0)
        put(client)
        http_liar.state.requests.clear()
        assert read(client, header) == DATA
        assert len(http_liar.state.requests) == 1
        _flip(http_liar, -1)
        with pytest.raises(AuthenticationError):
            read(client, header)

    @pytest.mark.parametrize("position", [0, 150_000, 299_999, -1])
    def test_flipped_bit_anywhere(self, http_liar: LyingS3, make: Callable[..., Any], position: int) -> None:
        """A bit turned over anywhere in the object refuses every range of it, at the call."""
        client = make()
        put(client)
        _flip(http_liar, position)
        for _ in range(2):
            with pytest.raises(AuthenticationError, match="s3://b/k"):
                get(client, "bytes=5-9")

    def test_tampered_after_the_pass(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """Later changes, under the very same ETag, are found chunk by chunk; sound chunks are still read."""
        client = make()
        put(client)
        assert read(client, "bytes=5-9") == DATA[5:10]
        http_liar.lies.tamper = lambda body: bytes([body[0] ^ 1]) + body[1:]
        body = get(client, "bytes=5-9")["Body"]
        for _ in range(2):
            with pytest.raises(AuthenticationError, match=r"altered.*s3://b/k"):
                body.read(1)
        assert read(client, "bytes=65536-65540") == DATA[CHUNK : CHUNK + 5]

    def test_chunks_swapped_after_the_pass(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A genuine chunk in another place is not that place's."""
        client = make()
        put(client)
        assert read(client, "bytes=5-9") == DATA[5:10]
        http_liar.lies.tamper = lambda body: body[CHUNK : 2 * CHUNK] + body[:CHUNK] + body[2 * CHUNK :]
        with pytest.raises(AuthenticationError):
            read(client, "bytes=5-9")

    def test_replaced_object_is_verified_anew(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """Another object under the same name takes a pass of its own."""
        client = make()
        put(client)
        assert read(client, "bytes=5-9") == DATA[5:10]
        put(client, DATA[::-1])
        assert read(client, "bytes=5-9") == DATA[::-1][5:10]
        put(client, b"short")
        assert read(client, "bytes=1-2") == b"ho"
        _flip(http_liar, 0)
        with pytest.raises(AuthenticationError):
            read(client, "bytes=1-2")

    @pytest.mark.parametrize("request_number", [2, 3])
    @pytest.mark.parametrize("times", [1, 2])
    @pytest.mark.parametrize("condition", [False, True])
    def test_replaced_in_between(
        self, http_liar: LyingS3, make: Callable[..., Any], request_number: int, times: int, *, condition: bool
    ) -> None:
        """An object replaced between the requests of one read is read again, once; never is it a mixture."""
        client = make()
        put(client, DATA[::-1])
        others = [http_liar.state.objects["b/k"]]
        put(client)
        others.insert(0, http_liar.state.objects["b/k"])
        conditions = {"IfMatch": others[0].etag} if condition else {}
        http_liar.state.gets = 0

        def replace(number: int) -> None:
            if number in [request_number * time for time in range(1, times + 1)]:
                http_liar.state.objects["b/k"] = others[number // request_number % 2]

        http_liar.lies.on_get = replace
        if times == 1 and not condition:
            assert get(client, "bytes=5-9")["Body"].read() == DATA[::-1][5:10]
            return
        with pytest.raises(ClientError, match="PreconditionFailed"):
            get(client, "bytes=5-9", **conditions)

    @pytest.mark.slow
    @pytest.mark.parametrize("mode", MODES)
    def test_server_that_ignores_ranges(self, http_liar: LyingS3, make: Callable[..., Any], mode: str) -> None:
        """The whole object arrives, is verified, and the range is cut from it."""
        client = make(**MODES[mode])
        put(client)
        http_liar.lies.ignore_ranges = True
        for header in FORMS:
            check_form(client, header, DATA)
        _flip(http_liar, 150_000)
        with pytest.raises(AuthenticationError):
            read(client, "bytes=-9" if mode == "delayed" else "bytes=5-9")
        with pytest.raises(ClientError if mode == "unverified" else AuthenticationError):
            get(client, "bytes=300000-")

    def test_server_that_ignores_the_second_range(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A server that answers with a range once and with everything then is not believed."""
        client = make()
        put(client)
        http_liar.state.gets = 0

        def forget(number: int) -> None:
            http_liar.lies.ignore_ranges = number == 3

        http_liar.lies.on_get = forget
        with pytest.raises(AuthenticationError, match="makes no sense"):
            get(client, "bytes=5-9")

    @pytest.mark.parametrize("mode", ["verified", "unverified"])
    @pytest.mark.parametrize("shift", [1, 16, CHUNK])
    @pytest.mark.parametrize("header", ["bytes=5-9", "bytes=70000-80000", "bytes=100-", "bytes=-80000"])
    def test_server_that_answers_another_range(
        self, http_liar: LyingS3, make: Callable[..., Any], header: str, shift: int, mode: str
    ) -> None:
        """Bytes of another place are an error or the right bytes, never other bytes."""
        client = make(**MODES[mode])
        put(client)
        right = read(make(), header)
        http_liar.lies.wrong_range = shift
        try:
            assert read(client, header) == right
        except AuthenticationError:
            pass
        else:
            assert header == "bytes=-80000"

    def test_key_of_another_is_refused(self, make: Callable[..., Any]) -> None:
        """Ranges go through the same gate."""
        put(make())
        with pytest.raises(KeyUnwrapError):
            get(make(keyring=AesKeyring(bytes(32))), "bytes=0-4")

    def test_cut_connection(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A connection that ends early is botocore's own error."""
        client = make()
        put(client)
        assert read(client, "bytes=5-9") == DATA[5:10]
        http_liar.lies.cut_answers, http_liar.lies.cut_by = 1, 60_000
        with pytest.raises((IncompleteReadError, ResponseStreamingError)):
            read(client, "bytes=5-60000")

    @pytest.mark.parametrize("left", [1, 15])
    def test_object_shorter_than_a_tag(self, http_liar: LyingS3, make: Callable[..., Any], left: int) -> None:
        """What cannot even hold a tag was cut off."""
        client = make()
        put(client)
        http_liar.state.objects["b/k"].body = http_liar.state.objects["b/k"].body[:left]
        with pytest.raises(AuthenticationError, match="cut off"):
            get(client, "bytes=0-0")

    def test_parallel_ranges_make_one_pass(
        self, http_liar: LyingS3, make: Callable[..., Any], counting: CountingManager
    ) -> None:
        """Ten threads that ask at once wait for one of them to verify."""
        client = make()
        put(client)
        http_liar.state.requests.clear()
        with ThreadPoolExecutor(10) as threads:
            answers = list(threads.map(lambda n: read(client, f"bytes={n * 1000}-{n * 1000 + 99}"), range(10)))
        assert answers == [DATA[n * 1000 : n * 1000 + 100] for n in range(10)]
        assert [header for _, _, header in http_liar.state.requests].count(None) == 1
        assert counting.decryptions == 1


class TestForgedLengths:
    """What is handed out of a verified range comes from what was verified, never from a header."""

    CHUNKS = (CHUNK + 16, 3 * CHUNK + 16, 199_016, 16, 20)

    @pytest.mark.parametrize("warm", [False, True])
    @pytest.mark.parametrize("answers", [1, 1_000_000])
    @pytest.mark.parametrize(
        "header", ["bytes=10-", "bytes=10-199999", "bytes=-100", "bytes=150000-150009", "bytes=0-"]
    )
    @pytest.mark.parametrize("more", [False, True])
    def test_total(
        self, http_liar: LyingS3, make: Callable[..., Any], header: str, answers: int, *, warm: bool, more: bool
    ) -> None:
        """A total that is a lie, once or always, is an error or changes nothing."""
        client = make()
        put(client)
        span = expected(header, DATA)
        assert isinstance(span, tuple)
        for total in (len(DATA) + 16 + 70_000, len(DATA) + 17) if more else self.CHUNKS:
            http_liar.lies.total = None
            if warm:
                read(client, "bytes=5-9")
            else:
                client = make()
            http_liar.lies.total, http_liar.lies.total_answers = total, answers
            try:
                answer = get(client, header)
                data = answer["Body"].read()
            except AuthenticationError:
                continue
            assert data == DATA[span[0] : span[1] + 1], total
            assert answer["ContentRange"] == f"bytes {span[0]}-{span[1]}/{len(DATA)}"

    @pytest.mark.parametrize("warm", [False, True])
    @pytest.mark.parametrize("refusals", [1, 2, 1_000_000])
    def test_forged_416(self, http_liar: LyingS3, make: Callable[..., Any], refusals: int, *, warm: bool) -> None:
        """That nothing is there is believed only of an object whose length was verified."""
        client = make()
        put(client)
        if warm:
            read(client, "bytes=5-9")
        http_liar.lies.refuse_ranges = refusals
        if refusals == 1:
            assert read(client, "bytes=150000-150009") == DATA[150_000:150_010]
        else:
            with pytest.raises(AuthenticationError, match="lies behind the end"):
                get(client, "bytes=150000-150009")

    @pytest.mark.parametrize("warm", [False, True])
    def test_forged_416_and_forged_length(self, http_liar: LyingS3, make: Callable[..., Any], *, warm: bool) -> None:
        """Not even where everything says so."""
        client = make()
        put(client)
        if warm:
            read(client, "bytes=5-9")
        http_liar.lies.total = CHUNK + 16
        with pytest.raises(AuthenticationError):
            get(client, "bytes=150000-150009")

    @pytest.mark.parametrize("warm", [False, True])
    def test_forged_416_and_forged_head(self, http_liar: LyingS3, make: Callable[..., Any], *, warm: bool) -> None:
        """The 416 fits the HEAD, and neither fits the object."""
        client = make()
        put(client)
        if warm:
            read(client, "bytes=5-9")
        http_liar.lies.refuse_ranges, http_liar.lies.head_total = 10, CHUNK + 16
        with pytest.raises(AuthenticationError, match="forged"):
            get(client, "bytes=150000-150009")

    @pytest.mark.parametrize(
        "headers", [{"ETag": '"other"'}, {"Content-Range": "bytes 0-9/300016"}, {"Content-Length": "300015"}]
    )
    def test_the_verifying_answer(self, http_liar: LyingS3, make: Callable[..., Any], headers: dict[str, str]) -> None:
        """The answer that is verified is of the whole object that was asked for."""
        client = make()
        put(client)
        http_liar.state.gets = 0

        def pass_off(number: int) -> None:
            http_liar.lies.headers = headers if number == 2 else {}

        http_liar.lies.on_get = pass_off
        with pytest.raises(AuthenticationError):
            get(client, "bytes=5-9")

    def test_a_length_of_another_object(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """The object that is verified for a 416 is the one that the HEAD was about."""
        client = make()
        put(client)
        http_liar.state.gets = 0

        def pass_off(number: int) -> None:
            http_liar.lies.headers = {"ETag": '"other"'} if number == 2 else {}

        http_liar.lies.on_get = pass_off
        with pytest.raises(AuthenticationError, match="pinned to its ETag"):
            get(client, "bytes=400000-")

    def test_a_body_of_another_length(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """An answer whose length is not its range's is refused at the call."""
        client = make()
        put(client)
        http_liar.lies.headers = {"Content-Length": "5"}
        with pytest.raises(AuthenticationError, match="has 5 bytes, and says"):
            get(client, "bytes=5-9")

    def test_honest_416(self, http_liar: LyingS3, make: Callable[..., Any], counting: CountingManager) -> None:
        """The length is verified once; refusals cost no key operation from then on."""
        client = make()
        put(client)
        for header in ["bytes=400000-", f"bytes={2**63}-", "bytes=300000-400000", "bytes=300015-", "bytes=-0"]:
            with pytest.raises(ClientError) as refusal:
                get(client, header)
            error = refusal.value.response["Error"]
            assert (error["Code"], error["ActualObjectSize"], error["RangeRequested"]) == (
                "InvalidRange",
                "300000",
                header,
            )
            assert refusal.value.operation_name == "GetObject"
        assert counting.decryptions == 1
        _flip(http_liar, 7)
        with pytest.raises(AuthenticationError):
            get(make(), "bytes=400000-")

    @pytest.mark.parametrize("shift", [1, 16, CHUNK])
    @pytest.mark.parametrize("header", ["bytes=5-9", "bytes=70000-80000", "bytes=100-", "bytes=-80000", "bytes=0-"])
    @pytest.mark.parametrize("warm", [False, True])
    def test_bytes_of_another_place(
        self, http_liar: LyingS3, make: Callable[..., Any], header: str, shift: int, *, warm: bool
    ) -> None:
        """The right headers over other bytes."""
        client = make()
        put(client)
        if warm:
            read(client, "bytes=5-9")
        http_liar.lies.shifted_bytes = shift
        with pytest.raises(AuthenticationError):
            read(client, header)

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("ETag", None),
            ("Content-Length", None),
            ("Content-Range", None),
            ("Content-Length", "9" * 5000),
            ("Content-Length", "-5"),
            ("Content-Length", "five"),
            ("Content-Range", f"bytes 0-65551/{'9' * 5000}"),
            ("Content-Range", "bytes 0-9/*"),
            ("x-amz-mp-parts-count", "9" * 5000),
        ],
    )
    def test_answers_that_are_no_answers(
        self, http_liar: LyingS3, make: Callable[..., Any], header: str, value: str | None
    ) -> None:
        """A header that every answer has, missing or without a meaning, is an error of ours at every door."""
        client = make()
        put(client)
        if value is None:
            http_liar.lies.without = (header,)
        else:
            http_liar.lies.headers = {header: value}
        with pytest.raises(AuthenticationError, match="s3://b/k"):
            get(client, "bytes=5-9")
        doors: list[Callable[[], Any]] = []
        if header != "Content-Range":
            doors += [lambda: s3ec.open(client, Bucket="b", Key="k")]
            doors += [lambda: client.download_fileobj("b", "k", io.BytesIO())]
        if header not in ("Content-Range", "ETag"):
            doors += [lambda: client.get_object(Bucket="b", Key="k"), lambda: client.head_object(Bucket="b", Key="k")]
            doors += [lambda: s3ec.inspect(client, Bucket="b", Key="k")]
        for door in doors:
            with pytest.raises(AuthenticationError):
                door()


class TestLimit:
    """How much a range may cost."""

    def test_above_it(self, http_liar: LyingS3, make: Callable[..., Any], counting: CountingManager) -> None:
        """Refused before the object is read or a key is touched; the text names each way out."""
        put(make())
        client = make(verified_range_limit=len(DATA) + 15)
        http_liar.state.requests.clear()
        with pytest.raises(UnauthenticatedRangeError, match=r"s3ec\.open.*enable_unauthenticated_ranges") as refusal:
            get(client, "bytes=5-9")
        assert refusal.value.setting == "verified_range_limit"
        assert len(http_liar.state.requests) == 1
        assert counting.decryptions == 0

    def test_up_to_it(self, make: Callable[..., Any]) -> None:
        """The limit counts stored bytes, itself included; unverified ranges know none."""
        put(make())
        assert read(make(verified_range_limit=len(DATA) + 16), "bytes=5-9") == DATA[5:10]
        assert read(make(verified_range_limit=0, enable_unauthenticated_ranges=True), "bytes=5-9") == DATA[5:10]


class TestUnverified:
    """Ranges that nobody checks, asked for by name."""

    def test_one_small_request(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """Only what is needed is fetched."""
        client = make(enable_unauthenticated_ranges=True)
        put(client)
        http_liar.state.requests.clear()
        assert read(client, "bytes=100-109") == DATA[100:110]
        assert http_liar.state.requests == [("GET", "b/k", "bytes=96-127")]

    def test_is_what_it_says(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A changed bit comes through, which is why it has to be asked for."""
        client = make(enable_unauthenticated_ranges=True)
        put(client)
        _flip(http_liar, 100)
        assert read(client, "bytes=100-109") == bytes([DATA[100] ^ 1]) + DATA[101:110]


class TestCbc:
    """Content without a tag."""

    SIZES = (1, 15, 16, 17, 31, 32, 33, 5000, 200_000)

    @pytest.mark.parametrize("size", SIZES)
    def test_against_a_slice(self, http_liar: LyingS3, make: Callable[..., Any], size: int) -> None:
        """With every opt-in, each form gives the slice of the plaintext; padding is never part of it."""
        http_liar.state.objects["b/k"] = cbc_object(DATA[:size])
        client = make(**cbc_options(enable_unauthenticated_ranges=True))
        for header in [form for form in FORMS if expected(form, DATA[:size]) != "whole"]:
            wanted = expected(header, DATA[:size])
            if isinstance(wanted, str):
                with pytest.raises(ClientError, match="InvalidRange"):
                    get(client, header)
                continue
            answer = get(client, header)
            assert answer["Body"].read() == DATA[wanted[0] : wanted[1] + 1], header
            assert answer["ContentRange"] == f"bytes {wanted[0]}-{wanted[1]}/{size}"
            assert answer["ResponseMetadata"]["ClientSideEncryption"]["authenticated"] is False

    @pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-999999999", "bytes=-999999999"])
    def test_the_whole_object_is_no_more_than_without_a_range(
        self, http_liar: LyingS3, make: Callable[..., Any], header: str
    ) -> None:
        """A range that takes in everything needs the same opt-in as reading without one, and that is all."""
        http_liar.state.objects["b/k"] = cbc_object(DATA)
        answer = get(make(**cbc_options()), header)
        assert answer["Body"].read() == DATA
        assert answer["ContentRange"] == f"bytes 0-{len(DATA) - 1}/{len(DATA)}"
        assert answer["ResponseMetadata"]["ClientSideEncryption"]["authenticated"] is False
        with pytest.raises(S3ECError, match="enable_legacy_unauthenticated_modes"):
            get(make(**cbc_options(enable_legacy_unauthenticated_modes=False)), header)

    @pytest.mark.parametrize("header", ["bytes=3-9", "bytes=1-", "bytes=-5", f"bytes=0-{len(DATA) - 1}"])
    def test_refused_without_leave(self, http_liar: LyingS3, make: Callable[..., Any], header: str) -> None:
        """Without the opt-in no unverified range is given, not even one that lacks only the padding of the whole."""
        http_liar.state.objects["b/k"] = cbc_object(DATA)
        with pytest.raises(UnauthenticatedRangeError, match="CBC") as refusal:
            get(make(**cbc_options()), header)
        assert refusal.value.setting == "enable_unauthenticated_ranges"

    def test_refused_without_the_leave_for_cbc(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """The opt-in for ranges is not one for CBC."""
        http_liar.state.objects["b/k"] = cbc_object(DATA)
        options = cbc_options(enable_unauthenticated_ranges=True, enable_legacy_unauthenticated_modes=False)
        with pytest.raises(S3ECError, match="enable_legacy_unauthenticated_modes"):
            get(make(**options), "bytes=3-9")

    def test_another_range_is_noticed(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A server that answers another range would give rubbish."""
        http_liar.state.objects["b/k"] = cbc_object(DATA)
        client = make(**cbc_options(enable_unauthenticated_ranges=True))
        http_liar.state.gets = 0

        def shift(number: int) -> None:
            http_liar.lies.wrong_range = 16 if number == 3 else 0

        http_liar.lies.on_get = shift
        with pytest.raises(AuthenticationError, match="another range"):
            get(client, "bytes=3-9")
        http_liar.state.gets = 0

    @pytest.mark.parametrize("ignored", [(1, 2, 3), (2,), (3,)])
    def test_server_that_ignores_ranges(
        self, http_liar: LyingS3, make: Callable[..., Any], ignored: tuple[int, ...]
    ) -> None:
        """The range is cut from the whole object."""
        client = make(**cbc_options(enable_unauthenticated_ranges=True))

        def forget(number: int) -> None:
            http_liar.lies.ignore_ranges = number in ignored

        http_liar.lies.on_get = forget
        for size in (1, 32, 5000):
            http_liar.state.objects["b/k"] = cbc_object(DATA[:size])
            for header in ["bytes=0-0", "bytes=3-9", "bytes=-20", "bytes=16-", "bytes=5000-", "bytes=0-"]:
                http_liar.state.gets = 0
                check_form(client, header, DATA[:size])

    @pytest.mark.parametrize("request_number", [2, 3])
    @pytest.mark.parametrize("lie", [{"ETag": '"other"'}, {"Content-Range": "bytes 0-15/320000"}])
    def test_another_object_is_noticed(
        self, http_liar: LyingS3, make: Callable[..., Any], request_number: int, lie: dict[str, str]
    ) -> None:
        """All answers are about the object of the first."""
        http_liar.state.objects["b/k"] = cbc_object(DATA)

        def pass_off(number: int) -> None:
            http_liar.lies.headers = lie if number == request_number else {}

        http_liar.lies.on_get = pass_off
        with pytest.raises(AuthenticationError):
            get(make(**cbc_options(enable_unauthenticated_ranges=True)), "bytes=3-9")

    @pytest.mark.parametrize("cut", [1, 16])
    def test_cut_object(self, http_liar: LyingS3, make: Callable[..., Any], cut: int) -> None:
        """An end that does not fit its padding is the one error of CBC."""
        found = cbc_object(b"x" * 200)
        http_liar.state.objects["b/k"] = Stored(found.body[:-cut], found.metadata)
        with pytest.raises(KeyUnwrapError):
            get(make(**cbc_options(enable_unauthenticated_ranges=True)), "bytes=3-9")


class TestParts:
    """``PartNumber``: parts of a multipart object, in plaintext."""

    SIZES = (100_000, 200_000, 16)

    def test_parts_make_the_object(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """Parts one after another are the plaintext; the part that holds the tag alone is empty."""
        client = make()
        put(client)
        http_liar.state.objects["b/k"].part_sizes = self.SIZES
        answers = [client.get_object(Bucket="b", Key="k", PartNumber=number) for number in (1, 2, 3)]
        assert [answer["ContentLength"] for answer in answers] == [100_000, 200_000, 0]
        assert [answer["PartsCount"] for answer in answers] == [3, 3, 3]
        assert b"".join(answer["Body"].read() for answer in answers) == DATA
        assert answers[0]["ContentRange"] == "bytes 0-99999/300000"
        assert answers[2]["ContentRange"] == "bytes */300000"
        assert answers[0]["ResponseMetadata"]["ClientSideEncryption"]["authenticated"] is True
        with pytest.raises(ClientError, match="InvalidPartNumber"):
            client.get_object(Bucket="b", Key="k", PartNumber=4)

    def test_an_empty_part_needs_proof(
        self, http_liar: LyingS3, make: Callable[..., Any], counting: CountingManager
    ) -> None:
        """Only the last of several parts can hold the tag alone, and only where that is the object's end."""
        client = make()
        put(client)
        stored = http_liar.state.objects["b/k"]
        stored.part_sizes = (100_000, 200_000, 16)
        whole = stored.body

        def part(number: int) -> Any:
            return client.get_object(Bucket="b", Key="k", PartNumber=number)

        # Part 2 is answered as if it were the tag: of three parts, of two, of two in an object cut to its first part.
        for sizes, count in (((300_000, 16, 0), 3), ((300_000, 16), 2)):
            stored.part_sizes = sizes
            if count == 3:
                with pytest.raises(AuthenticationError, match="behind the content"):
                    part(2)
            else:
                assert part(2)["ContentLength"] == 0
        client = make()
        stored.body = whole[: 100_000 + 16]
        stored.part_sizes = (100_000, 16)
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                part(2)
        stored.part_sizes = (100_016,)
        with pytest.raises(AuthenticationError):
            part(1)["Body"].read()

    def test_a_server_that_does_not_know_parts(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """The whole object is its first part, and no other: joined they would give the content twice."""
        client = make()
        put(client)
        assert client.get_object(Bucket="b", Key="k", PartNumber=1)["Body"].read() == DATA
        with pytest.raises(AuthenticationError, match="part 2"):
            client.get_object(Bucket="b", Key="k", PartNumber=2)

    def test_another_length_in_the_next_answer(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """What the answers for a part say of the object has to agree."""
        client = make()
        put(client)
        http_liar.state.objects["b/k"].part_sizes = self.SIZES
        http_liar.lies.total, http_liar.lies.total_answers = 400_000, 1
        with pytest.raises(AuthenticationError):
            client.get_object(Bucket="b", Key="k", PartNumber=1)

    @pytest.mark.parametrize("cbc", [False, True])
    def test_unverified_parts(self, http_liar: LyingS3, make: Callable[..., Any], *, cbc: bool) -> None:
        """With the option for unverified ranges parts are such, the empty one too; padding is not content."""
        options = {"enable_unauthenticated_ranges": True}
        client = make(**cbc_options(**options)) if cbc else make(**options)
        if cbc:
            http_liar.state.objects["b/k"] = cbc_object(DATA)
        else:
            put(client)
        http_liar.state.objects["b/k"].part_sizes = self.SIZES
        answers = [client.get_object(Bucket="b", Key="k", PartNumber=number) for number in (1, 2, 3)]
        assert [answer["ContentLength"] for answer in answers] == [100_000, 200_000, 0]
        assert answers[2]["ContentRange"] == "bytes */300000"
        assert b"".join(answer["Body"].read() for answer in answers) == DATA
        assert not answers[0]["ResponseMetadata"]["ClientSideEncryption"]["authenticated"]

    def test_tag_across_two_parts(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A part that ends within the tag gives the content that it has."""
        client = make()
        put(client)
        http_liar.state.objects["b/k"].part_sizes = (100_000, 200_003, 13)
        bodies = [client.get_object(Bucket="b", Key="k", PartNumber=number)["Body"].read() for number in (1, 2, 3)]
        assert [len(body) for body in bodies] == [100_000, 200_000, 0]
        assert b"".join(bodies) == DATA

    def test_altered_part(self, http_liar: LyingS3, make: Callable[..., Any]) -> None:
        """A part is verified like any range."""
        client = make()
        put(client)
        http_liar.state.objects["b/k"].part_sizes = self.SIZES
        _flip(http_liar, 250_000)
        with pytest.raises(AuthenticationError):
            client.get_object(Bucket="b", Key="k", PartNumber=1)

    def test_part_of_an_object_put_at_once(self, make_client: Callable[..., Any], bucket: str) -> None:
        """Its only part is the object."""
        client = make_client()
        client.put_object(Bucket=bucket, Key="k", Body=b"hello")
        assert client.get_object(Bucket=bucket, Key="k", PartNumber=1)["Body"].read() == b"hello"

    def test_part_of_an_unencrypted_object(self, make_client: Callable[..., Any], plain_s3: Any, bucket: str) -> None:
        """Refused by default, allowed where it is allowed."""
        plain_s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
        with pytest.raises(S3ECError, match="unencrypted_objects"):
            make_client().get_object(Bucket=bucket, Key="k", PartNumber=1)
        client = make_client(unencrypted_objects="allow")
        answer = client.get_object(Bucket=bucket, Key="k", PartNumber=1)
        assert answer["Body"].read() == b"hello"
        assert answer["ResponseMetadata"]["ClientSideEncryption"]["format"] is None


class TestPlaces:
    """What is verified is one version of one object."""

    def test_versions(self, make_client: Callable[..., Any], plain_s3: Any, bucket: str) -> None:
        """Ranges of two versions are told apart."""
        plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        client = make_client()
        versions = [client.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"first", b"other")]
        for _ in range(2):
            for version, right in zip(versions, (b"irs", b"the"), strict=True):
                answer = client.get_object(Bucket=bucket, Key="k", VersionId=version, Range="bytes=1-3")
                assert answer["Body"].read() == right
                assert answer["VersionId"] == version

    def test_instruction_file(self, make_client: Callable[..., Any], bucket: str) -> None:
        """Objects with an instruction file have ranges too."""
        client = make_client(instruction_file_writes=True)
        client.put_object(Bucket=bucket, Key="k", Body=b"hello")
        assert client.get_object(Bucket=bucket, Key="k", Range="bytes=1-3")["Body"].read() == b"ell"

    def test_callers_condition(self, make_client: Callable[..., Any], bucket: str) -> None:
        """The caller's own conditions hold."""
        client = make_client()
        etag = client.put_object(Bucket=bucket, Key="k", Body=b"hello")["ETag"]
        assert client.get_object(Bucket=bucket, Key="k", Range="bytes=1-3", IfMatch=etag)["Body"].read() == b"ell"
        with pytest.raises(ClientError, match="PreconditionFailed"):
            client.get_object(Bucket=bucket, Key="k", Range="bytes=1-3", IfMatch='"0"')

    def test_table_is_bounded(self) -> None:
        """Old entries make room for new ones; the newest always stays; replacing one frees its room."""
        nothing: Any = None

        def entry(count: int) -> VerifiedObject:
            return VerifiedObject('"e"', 0, nothing, nothing, ChunkMac(), (bytes(16),) * count)

        table = VerifiedTable(10_000)
        for number in range(3):
            table.put((str(number),), entry(200))
        assert [table.get((str(number),)) is not None for number in range(3)] == [False, True, True]
        table.put(("2",), entry(1))
        table.put(("3",), entry(100))
        assert table.get(("1",)) is not None
        table.put(("huge",), entry(5000))
        assert [table.get((name,)) is not None for name in ("1", "2", "3", "huge")] == [False, False, False, True]

    def test_no_secret_in_repr(self, make: Callable[..., Any]) -> None:
        """What the client remembers shows no key."""
        client = make()
        put(client)
        read(client, "bytes=5-9")
        (entry,) = client._s3ec_ranges._table._entries.values()
        assert not {"cipher", "mac", "macs"} & set(re.findall(r"(\w+)=", repr(entry)))


def _flip(server: LyingS3, position: int) -> None:
    body = bytearray(server.state.objects["b/k"].body)
    body[position] ^= 1
    server.state.objects["b/k"].body = bytes(body)
