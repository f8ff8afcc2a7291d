"""Whatever a stranger or a careless issuer writes into a token, the answer is a refusal, never a crash."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from libs.events.access import Staff, Verifier, open_access
from libs.events.clock import FixedClock
from libs.events.refusal import Refused

NOW = datetime(2020, 4, 17, 9, 0, tzinfo=UTC)
ISSUER = "http://issuer.test"
KEY = ECKey.generate_key("P-256", {"kid": "k1"})

words = st.sampled_from(["", "k1", "ES256", "EdDSA", "none", "HS256", "gelombang", ISSUER, "maker"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
headers = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("alg", "kid", "crit", "b64", "typ", "zip", "jwk", "x5c", "jku"), values),
).map(lambda odd: {"alg": "ES256", "kid": "k1"} | odd)
claims = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("iss", "aud", "sub", "exp", "nbf", "iat", "person", "roles"), values)
)

MINUTE = int(NOW.timestamp()) + 60
PROPER: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "gelombang",
    "sub": "a",
    "person": "p",
    "roles": ["maker"],
    "exp": MINUTE,
}


def encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def properly_signed(header: dict[str, Any], payload: object) -> str:
    """A token whose signature is right, whatever its header and payload say."""
    signed = f"{encode(header)}.{encode(payload)}"
    algorithm = jws.JWSRegistry.algorithms["ES256"]
    signature = algorithm.sign(signed.encode(), KEY)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.fixture(scope="module")
def jwks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    path.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    return path


async def identify(jwks: Path, token: str) -> Staff | str:
    try:
        return await open_access(ISSUER, jwks, jwks, FixedClock(NOW)).staff_of(token)
    except Refused as refused:
        return refused.refusals[0].code


async def test_the_token_of_this_page_is_accepted_when_nothing_is_odd(jwks: Path) -> None:
    told = await identify(jwks, properly_signed({"alg": "ES256", "kid": "k1"}, PROPER))
    assert told == Staff("a", "p", frozenset({"maker"}))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=headers, odd=claims)
async def test_an_odd_header_or_claim_is_refused_or_does_not_matter(
    jwks: Path, header: dict[str, Any], odd: dict[str, Any]
) -> None:
    told = await identify(jwks, properly_signed(header, PROPER | odd))
    if isinstance(told, Staff):
        said = PROPER | odd
        assert (told.account, told.person) == (said["sub"], said["person"])
        assert said["iss"] == ISSUER
        assert said["aud"] == "gelombang" or "gelombang" in said["aud"]
        assert said["exp"] > NOW.timestamp() - 60
        assert header["alg"] == "ES256"
    else:
        assert told in {"token-refused", "token-expired"}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.text(max_size=60) | st.builds("{}.{}.{}".format, *[st.text("AZaz09-_=+/", max_size=20)] * 3))
async def test_noise_is_refused(jwks: Path, token: str) -> None:
    verifier = Verifier(ISSUER, jwks, "gelombang", FixedClock(NOW))
    with pytest.raises(Refused, match="token-refused"):
        await verifier.claims(token)


async def test_a_payload_that_is_no_object_is_refused(jwks: Path) -> None:
    payloads: list[object] = [[], 1, "x", None]
    for payload in payloads:
        assert await identify(jwks, properly_signed({"alg": "ES256", "kid": "k1"}, payload)) == "token-refused"
