"""Join tokens: their text, and what the cloud checks."""

import base64
import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.model.errors import BadRequest, Unauthorized
from shoal.node.tokens import Token, check_token, create_token, parse_token

HOUR = 3_600_000_000_000
NOW = 1_000 * HOUR


def new(lifetime: int = HOUR) -> Token:
    return create_token(("10.0.0.1:7440", "[fd00::1]:7440"), bytes(32), now=NOW, lifetime=lifetime)[
        0
    ]


def test_tokens_survive_copying() -> None:
    token = new()
    assert parse_token(f"  {token}\n") == token
    assert str(token).startswith("shoal1.")


def test_the_secret_shows_in_no_representation_and_is_not_in_the_record() -> None:
    token, record = create_token(("a:1",), bytes(32), now=NOW, lifetime=0)
    assert repr(token.secret) not in repr(token)
    assert token.secret not in msgspec.msgpack.encode(record)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_token_is_refused_or_unknown(position: int, change: int) -> None:
    token, record = create_token(("10.0.0.1:7440",), bytes(32), now=NOW, lifetime=HOUR)
    text = bytearray(str(token).encode())
    text[position % len(text)] ^= change
    with contextlib.suppress(BadRequest):
        parsed = parse_token(text.decode("latin-1"))
        if parsed.secret != token.secret:
            with pytest.raises(Unauthorized):
                check_token(record, parsed.secret, now=NOW)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "should begin with `shoal1.`"),
        ("SWMTKN-1-abc", "should begin with `shoal1.`"),
        ("shoal2.abc", "made by a newer version"),
        ("shoal1.", "the token is damaged"),
        ("shoal1.!!!", "the token is damaged"),
        (str(new())[:-10], "the token is damaged"),
        ("shoal1." + "A" * 5000, "too long"),
        (
            "shoal1." + base64.urlsafe_b64encode(b"\x94\x90\xc4\x00\xa0\xc4\x00").decode(),
            "parts are missing",
        ),
    ],
)
def test_errors_say_what_is_wrong(text: str, match: str) -> None:
    with pytest.raises(BadRequest, match=match):
        parse_token(text)


def test_the_cloud_checks_secret_expiry_and_revocation() -> None:
    token, record = create_token(("a:1",), bytes(32), now=NOW, lifetime=HOUR)
    check_token(record, token.secret, now=NOW + HOUR - 1)
    cases = [
        (None, token.secret, NOW, "does not know this token"),
        (record, bytes(32), NOW, "does not know this token"),
        (record, token.secret, NOW + 4 * HOUR, "token expired 3 h ago; make a new one"),
        (record, token.secret, NOW + HOUR, "token expired 0 s ago"),
        (msgspec.structs.replace(record, revoked=True), token.secret, NOW, "was revoked"),
    ]
    for known, secret, now, match in cases:
        with pytest.raises(Unauthorized, match=match):
            check_token(known, secret, now=now)
    endless, unlimited = create_token(("a:1",), bytes(32), now=NOW, lifetime=0)
    check_token(unlimited, endless.secret, now=NOW * 1000)
