"""Whatever stands on the callback's address: a problem with a support code, nothing stored, nobody led elsewhere."""

from typing import Any
from urllib.parse import urljoin, urlsplit

from hypothesis import example, given, settings
from hypothesis import strategies as st

BOUNDED = settings(max_examples=25)
FEW = settings(BOUNDED, max_examples=8)
OURS = "https://prospo.example"
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(), max_size=20),
    st.sampled_from(
        ["", "\x00", "\ud800", "%00", "a" * 4096, "a" * 4097, "AADSTS65001", "AADSTS" + "9" * 5000, "{}", "'--", "٣"]
    ),
)
NAMES = ["state", "browser_key", "code", "client_info", "session_state", "error", "error_description", "error_subcode"]
ANSWERS = st.dictionaries(st.sampled_from([*NAMES, "return_to", "tenant"]), TEXTS, max_size=8)
MORE = st.dictionaries(st.sampled_from(NAMES[2:]), TEXTS, min_size=1, max_size=6)
EVIL = ["//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example", "/%2f/evil", "/\t/evil.example"]
PATHS = st.one_of(
    st.text(max_size=40),
    st.text(max_size=40).map("/".__add__),
    st.text("/\\.:@?#%2f\t\r\n evil", max_size=20),
    st.sampled_from(EVIL),
)


def check_refusal(answer: Any) -> None:
    assert answer.status_code in {409, 422, 503}, answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"]
    assert problem["code"] not in {"unexpected", "http_error"}


@BOUNDED
@given(answer=ANSWERS)
@example(answer={"state": "\ud800", "code": "c"})
@example(answer={"state": "\x00", "browser_key": "\x00", "error": "\x00"})
async def test_an_answer_nobody_asked_for_stores_nothing(house: Any, answer: Any) -> None:
    check_refusal(await house.call_json("/v1/connection/complete", answer))
    assert house.microsoft.door.grants == []
    assert await house.rows("connection") == []
    assert {line["action"] for line in await house.rows("audit")} <= {"sign_in"}


@FEW
@given(more=MORE)
@example(more={"code": "\ud800"})
@example(more={"error": "access_denied", "error_description": "AADSTS" + "9" * 4000})
@example(more={"error": "x", "error_description": "AADSTS٣"})
async def test_a_sign_in_of_our_own_with_a_wrong_answer_is_refused(house: Any, more: Any) -> None:
    started = (await house.start(return_to="/meetings/new")).json()
    query = dict(part.split("=", 1) for part in urlsplit(started["authorize_url"]).query.split("&"))
    refused = await house.call_json(
        "/v1/connection/complete", {"state": query["state"], "browser_key": started["browser_key"]} | more
    )
    check_refusal(refused)
    assert refused.json().get("return_to", "/meetings/new") == "/meetings/new"
    assert await house.rows("connection") == []
    assert await house.published("user.state") == []
    await house.disconnect()


@BOUNDED
@given(path=PATHS)
async def test_a_way_back_is_on_our_site_or_refused(house: Any, path: str) -> None:
    answer = await house.call_json("/v1/connection/sign-in", {"return_to": path})
    if answer.status_code == 422:
        assert answer.json()["errors"][0]["field"] in {"return_to", "body"}
        return
    assert answer.status_code == 201
    there = urlsplit(urljoin(f"{OURS}/integrations/microsoft/callback", path.replace("\\", "/")))
    assert f"{there.scheme}://{there.netloc}" == OURS
    assert not {*"\\\t\r\n\x00"} & {*path}
