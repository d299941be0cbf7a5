"""What the board may not do: show another organisation's rows, forbid what is not red, follow Microsoft for ever."""

from typing import Any

from m365_simulator.directory import CONTOSO
from m365_simulator.testing import held

TABLES = ("readiness", "readiness_check", "readiness_person")


async def test_no_query_reads_another_organisations_board(board: Any) -> None:
    await board.checked()
    for org, rows in (("acme", [13, 1, 2]), ("globex", [0, 0, 0])):
        assert [len(await board.sql(f"SELECT 1 FROM {name}", org=org)) for name in TABLES] == rows, org


async def test_what_waits_for_microsoft_after_the_consent_forbids_nothing(board: Any) -> None:
    await board.sql("UPDATE readiness_check SET patience_until = clock_timestamp() + interval '50 min'")
    board.take_away("OnlineMeetingRecording.Read.All")
    assert (await board.checked())["permissions"]["verdict"] == "waiting"
    assert (await board.switch({"auto_recording": True})).status_code == 200


async def test_asking_for_a_check_is_no_way_past_what_is_red(board: Any) -> None:
    board.take_away("OnlineMeetingRecording.Read.All")
    await board.checked()
    board.service.settings.readiness_propagation_s = 3_000
    for _ in range(2):
        assert (await board.checked())["permissions"]["verdict"] == "waiting"
        assert (await board.switch({"auto_recording": True})).json()["code"] == "feature_not_ready"


async def test_a_probe_that_lasts_too_long_brought_no_answer(board: Any) -> None:
    before = await board.checked()
    board.service.settings.readiness_probe_timeout_s = 0.5
    async with held(board.simulator, "getAllTranscripts"):
        row = (await board.checked())["transcript_access"]
    assert (row["verdict"], row["failure"]) == (
        before["transcript_access"]["verdict"],
        "Microsoft could not be asked just now: there was no answer in time.",
    )


async def test_nothing_of_a_persons_is_read_or_sent(board: Any) -> None:
    await board.checked()
    for word in ("/me/", "sendMail", "/messages", "/events", "/content"):
        assert board.asked(word) == [], word


async def test_a_refusal_in_other_words_is_not_taken_for_the_switch(board: Any) -> None:
    await board.microsoft.fault("server_error", status=403, match={"path": "*getAllTranscripts*"}, times=9)
    row = (await board.checked())["transcript_access"]
    assert (row["verdict"], "says nothing about the answer" in row["reason"]) == ("unknown", True)
    assert row["evidence"][0]["status"] == 403


async def test_a_person_unknown_to_microsoft_does_not_stand_for_the_tenant(board: Any) -> None:
    await board.know("anna", "ben", version=2, connected=False)
    await board.know("aaron", "anna", version=3)
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    assert (await board.checked())["transcript_access"]["verdict"] == "action_needed"
