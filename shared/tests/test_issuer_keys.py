"""The signing keys of an issuer: how often they are fetched, and what goes on while they cannot be."""

import asyncio
from collections.abc import AsyncIterator, Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from shared.problems import Unavailable
from shared.testing.fixtures import PlatformKeys
from shared.testing.scripted import Reply, ScriptedServer, client_settings, scripted_server
from shared.web.issuer_keys import MAX_AGE_S, MIN_AGE_S, RETRY_S, IssuerKeys

AWAY = Reply(503)
NO_KEYS = [Reply(json={"keys": []}), Reply(json={"keys": [{"kty": "unknown"}]}), Reply(json=[]), Reply(body=b"<html>")]


@pytest.fixture
async def issuer(made_keys: PlatformKeys) -> AsyncIterator[ScriptedServer]:
    """Its key is called ``test``."""
    async with scripted_server() as running:
        running.otherwise = of(made_keys)
        yield running


@pytest.fixture
def keys(issuer: ScriptedServer, made_keys: PlatformKeys) -> IssuerKeys:
    away = ("issuer_away", "The issuer is away.")
    return IssuerKeys(client_settings(made_keys), f"{issuer.url}/jwks", timeout_s=5, away=away)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """``passes(seconds)``: time goes on by so much, and by nothing else."""
    now = [0.0]
    monkeypatch.setattr("shared.web.issuer_keys.monotonic", lambda: now[0])

    def go_on(seconds: float) -> None:
        now[0] += seconds

    return go_on


def of(platform: PlatformKeys, kid: str = "test") -> Reply:
    [key] = platform.jwks()["keys"]
    return Reply(json={"keys": [key | {"kid": kid}]})


async def test_keys_are_fetched_once_for_all_who_want_one(issuer: ScriptedServer, keys: IssuerKeys) -> None:
    found = await asyncio.gather(*(keys.key("test") for _ in range(20)))
    assert {key.key_id for key in found if key} == {"test"}
    await keys.ready()
    assert len(issuer.seen) == 1


async def test_a_flood_of_unknown_key_ids_asks_the_issuer_seldom(
    issuer: ScriptedServer, keys: IssuerKeys, made_keys: PlatformKeys, passes: Callable[[float], None]
) -> None:
    await keys.ready()
    for made_up in range(50):
        assert await keys.key(str(made_up)) is None
    assert len(issuer.seen) == 1
    issuer.otherwise = of(made_keys, "next")
    passes(MIN_AGE_S + 1)
    assert await keys.key("next") is not None
    assert await asyncio.gather(*(keys.key(str(made_up)) for made_up in range(50))) == [None] * 50
    assert len(issuer.seen) == 2


async def test_an_issuer_that_does_not_answer_is_asked_seldom(
    issuer: ScriptedServer, keys: IssuerKeys, made_keys: PlatformKeys, passes: Callable[[float], None]
) -> None:
    issuer.otherwise = AWAY
    for wanted in (keys.key("test"), keys.key("another"), keys.ready()):
        with pytest.raises(Unavailable, match="The issuer is away") as refused:
            await wanted
        assert refused.value.code == "issuer_away"
    assert len(issuer.seen) == 1
    issuer.otherwise = of(made_keys)
    passes(RETRY_S + 1)
    assert await keys.key("test") is not None
    assert await keys.key("another") is None


async def test_known_keys_go_on_while_the_issuer_does_not_answer(
    issuer: ScriptedServer, keys: IssuerKeys, passes: Callable[[float], None]
) -> None:
    await keys.ready()
    issuer.otherwise = AWAY
    passes(MAX_AGE_S + 1)
    for _ in range(5):
        assert await keys.key("test") is not None
        await keys.ready()
    assert len(issuer.seen) == 2
    with pytest.raises(Unavailable):
        await keys.key("another")


async def test_a_withdrawn_key_is_dropped_after_a_day(
    issuer: ScriptedServer, keys: IssuerKeys, made_keys: PlatformKeys, passes: Callable[[float], None]
) -> None:
    assert await keys.key("test") is not None
    issuer.otherwise = of(made_keys, "next")
    passes(MAX_AGE_S - 1)
    assert await keys.key("test") is not None
    passes(2)
    assert await keys.key("test") is None


@pytest.mark.parametrize("answer", NO_KEYS)
async def test_what_is_no_list_of_keys_is_no_answer(
    issuer: ScriptedServer, keys: IssuerKeys, passes: Callable[[float], None], answer: Reply
) -> None:
    await keys.ready()
    issuer.otherwise = answer
    passes(MAX_AGE_S + 1)
    assert await keys.key("test") is not None
    with pytest.raises(Unavailable):
        await keys.key("another")
    assert len(issuer.seen) == 2


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_a_token_is_signed_by_the_kind_of_key_that_its_issuer_has(
    keys: IssuerKeys, issuer: ScriptedServer, algorithm: str
) -> None:
    """A token that names the key of another kind is a bad one like any other, not an error of ours."""
    curve, plain = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    jwks = {
        "RS256": ECAlgorithm.to_jwk(curve.public_key(), as_dict=True),
        "ES256": RSAAlgorithm.to_jwk(plain.public_key(), as_dict=True),
    }
    issuer.otherwise = Reply(json={"keys": [jwks[algorithm] | {"kid": "test"}]})
    signing = plain if algorithm == "RS256" else curve
    token = jwt.encode({"sub": "anna"}, signing, algorithm, {"kid": "test"})
    with pytest.raises(jwt.InvalidTokenError):
        await keys.claims(token, "RS256", "ES256")
