"""Switches that wait for what they need, and what waits for Microsoft."""

from typing import Any

from m365_simulator.directory import CONTOSO

CHECK = "check_readiness"


async def red_permissions(board: Any) -> None:
    board.take_away("OnlineMeetingRecording.Read.All")
    assert (await board.checked())["permissions"]["verdict"] == "action_needed"


def capability(found: Any, name: str) -> Any:
    return next(row for row in found["capabilities"] if row["capability"] == name)


def feature(found: Any, name: str) -> Any:
    return next(row for row in found["features"] if row["feature"] == name)


async def test_nothing_is_switched_on_while_what_it_needs_is_red(
    board: Any,
) -> None:
    await red_permissions(board)
    before = await board.tenant()
    refused = await board.switch({"auto_recording": True, "outlook_email": False})
    said = refused.json()
    assert (refused.status_code, said["code"]) == (409, "feature_not_ready")
    assert (said["feature"], said["capability"]) == ("auto_recording", "permissions")
    assert "OnlineMeetingRecording.Read.All" in said["reason"]
    assert (said["remedy"]["who"], said["remedy"]["text"] in said["detail"]) == ("microsoft_admin", True)
    assert await board.tenant() == before
    shown = feature(await board.read_board(), "auto_recording")
    assert (shown["can_be_switched_on"], shown["blocked_by"]) == (False, "permissions")
    board.take_away()
    await board.checked()
    assert (await board.switch({"auto_recording": True})).status_code == 200


async def test_off_is_never_refused_and_what_is_on_stays_on(board: Any) -> None:
    await red_permissions(board)
    assert (await board.switch({"contacts_import": True})).status_code == 200  # it is on already
    off = await board.switch({"contacts_import": False, "outlook_email": False})
    assert (off.status_code, off.json()["features"]["contacts_import"]) == (200, False)
    for name in ("contacts_import", "outlook_email"):
        assert (await board.switch({name: True})).json()["code"] == "feature_not_ready"


async def test_a_stale_etag_is_told_before_readiness(board: Any) -> None:
    await red_permissions(board)
    refused = await board.switch({"auto_recording": True}, '"0"')
    assert (refused.status_code, refused.json()["code"]) == (412, "tenant_changed")


async def test_what_is_unknown_forbids_nothing(board: Any) -> None:
    assert capability(await board.read_board(), "permissions")["verdict"] == "unknown"
    assert (await board.switch({"auto_recording": True})).status_code == 200


async def test_recording_works_without_transcripts_so_they_are_a_warning_only(board: Any) -> None:
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    await board.checked()
    shown = feature(await board.read_board(), "auto_recording")
    assert (shown["can_be_switched_on"], shown["blocked_by"]) == (True, None)
    assert "switched off in your tenant" in shown["warnings"][0]
    assert feature(await board.read_board(), "sharepoint_storage")["warnings"] == []
    assert (await board.switch({"auto_recording": True})).status_code == 200


async def test_sharepoint_needs_a_place_and_the_permission_to_write_there(board: Any) -> None:
    refused = await board.switch({"sharepoint_storage": True})
    assert refused.json()["code"] == "storage_location_required"
    await board.select_location()
    board.take_away("Sites.Selected")
    await board.checked()
    refused = await board.switch({"sharepoint_storage": True})
    assert (refused.json()["code"], refused.json()["capability"]) == ("feature_not_ready", "storage_write")
    assert (await board.switch({"auto_recording": True})).status_code == 200


async def test_a_switch_that_would_be_refused_is_not_shown_as_one_that_can_go_on(board: Any) -> None:
    shown = feature(await board.read_board(), "sharepoint_storage")
    assert (shown["can_be_switched_on"], shown["blocked_by"]) == (False, "storage_location_required")
    await board.select_location()
    assert feature(await board.read_board(), "sharepoint_storage")["can_be_switched_on"] is True
    await board.call("DELETE", "/v1/tenant")
    for shown in (await board.read_board())["features"]:
        assert (shown["can_be_switched_on"], shown["blocked_by"]) == (False, "tenant_not_connected")
    assert (await board.switch({"auto_recording": True})).json()["code"] == "tenant_not_connected"


async def test_the_board_follows_the_place_and_the_switch_of_storage_by_itself(board: Any) -> None:
    board.take_away("Sites.Selected")
    await board.checked()
    await board.select_location()
    await board.service.runner.drain()
    refused = await board.switch({"sharepoint_storage": True})
    assert (refused.json()["code"], refused.json()["capability"]) == ("feature_not_ready", "storage_write")
    board.take_away()
    await board.checked()
    assert (await board.switch({"sharepoint_storage": True})).status_code == 200
    await board.service.runner.drain()
    row = capability(await board.read_board(), "storage_write")
    assert (row["verdict"], "Choose Storage Location shows" in row["reason"]) == ("unknown", True)


async def test_red_at_one_organisation_forbids_nothing_at_another(board: Any) -> None:
    await red_permissions(board)
    await board.connect("globex")
    assert feature(await board.read_board(org="globex"), "auto_recording")["can_be_switched_on"] is True
    assert (await board.switch({"auto_recording": True}, org="globex")).status_code == 200


async def test_a_refusal_right_after_the_consent_waits_for_microsoft(house: Any, webhook: Any) -> None:
    house.service.settings.notification_base_url = webhook.place
    await house.connect()
    house.take_away("OnlineMeetingRecording.Read.All")
    await house.do_now(CHECK)
    row = capability(await house.read_board(), "permissions")
    assert (row["verdict"], "up to about 50 minutes" in row["reason"]) == ("waiting", True)
    assert row["until"] > row["checked_at"]
    events = await house.published("tenant.readiness_changed")
    (event,) = [one for one in events if one["capability"] == "permissions"]
    assert (event["verdict"], event["until"]) == ("waiting", row["until"])
    assert 200 < await house.next_in_s(CHECK) <= 240
    told = len(await house.told())
    await house.do_now(CHECK)
    assert len(await house.told()) == told
    await house.sql("UPDATE readiness_check SET patience_until = clock_timestamp()")
    await house.do_now(CHECK)
    row = capability(await house.read_board(), "permissions")
    assert (row["verdict"], row["until"]) == ("action_needed", None)
    assert (await house.told())[told:] == [("permissions", "waiting", "action_needed")]


async def test_a_transcript_switch_that_was_off_is_told_at_once_and_warned_of(house: Any, webhook: Any) -> None:
    house.service.settings.notification_base_url = webhook.place
    await house.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    await house.connect()
    await house.know("anna")
    await house.do_now(CHECK)
    found = await house.read_board()
    assert capability(found, "transcript_access")["verdict"] == "action_needed"
    shown = feature(found, "auto_recording")
    assert (shown["can_be_switched_on"], "switched off in your tenant" in shown["warnings"][0]) == (True, True)
    house.service.settings.readiness_check_pause_s = 0
    await house.checked()
    found = await house.read_board()
    assert capability(found, "transcript_access")["verdict"] == "waiting"
    assert "switched off in your tenant" in feature(found, "auto_recording")["warnings"][0]


async def test_only_what_was_red_when_a_check_was_asked_for_is_given_time(board: Any) -> None:
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    await board.checked()
    board.service.settings.readiness_propagation_s = 3_000
    await board.know("unlicensed")
    rows = await board.checked()
    assert (rows["transcript_access"]["verdict"], rows["licences"]["verdict"]) == ("waiting", "action_needed")
    assert (await board.checked())["licences"]["until"] > rows["transcript_access"]["until"]


async def test_the_speakers_names_wait_for_the_next_transcript_only(board: Any) -> None:
    await board.transcript()
    await board.service.runner.drain()
    board.service.settings.readiness_propagation_s = 3_000
    assert (await board.checked())["speaker_attribution"]["verdict"] == "action_needed"
    assert await board.next_in_s(CHECK) is None


async def test_who_has_it_checked_again_is_given_time_once(board: Any) -> None:
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    await board.checked()
    board.service.settings.readiness_propagation_s = 3_000
    first = (await board.checked())["transcript_access"]
    assert first["verdict"] == "waiting"
    second = (await board.checked())["transcript_access"]
    assert (second["verdict"], second["until"]) == ("waiting", first["until"])
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=True)
    await board.do_now(CHECK)
    row = capability(await board.read_board(), "transcript_access")
    assert (row["verdict"], row["until"], row["remedy"]) == ("ready", None, None)
    assert await board.next_in_s(CHECK) is None


async def test_asking_for_a_check_while_nothing_is_red_gives_no_time(board: Any) -> None:
    await board.checked()
    board.service.settings.readiness_propagation_s = 3_000
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    assert (await board.checked())["transcript_access"]["verdict"] == "action_needed"


async def test_waiting_ends_with_its_time_also_when_microsoft_cannot_be_asked(board: Any) -> None:
    await board.microsoft.do("tenant_change", tenant=CONTOSO, transcripts=False)
    await board.checked()
    board.service.settings.readiness_propagation_s = 3_000
    assert (await board.checked())["transcript_access"]["verdict"] == "waiting"
    board.service.settings.graph_base_url = "http://localhost:9/v1.0"
    board.service.settings.readiness_probe_timeout_s = 0.3
    await board.do_now(CHECK)
    assert capability(await board.read_board(), "transcript_access")["verdict"] == "waiting"
    await board.sql("UPDATE readiness SET until = clock_timestamp()  WHERE until IS NOT NULL")
    await board.do_now(CHECK)
    row = capability(await board.read_board(), "transcript_access")
    assert (row["verdict"], "could not be asked" in row["reason"]) == ("action_needed", True)
    assert row["remedy"]["who"] == "teams_admin"


async def test_an_outage_at_the_end_of_waiting_is_no_way_past_what_is_red(board: Any) -> None:
    await red_permissions(board)
    board.service.settings.readiness_propagation_s = 3_000
    assert (await board.checked())["permissions"]["verdict"] == "waiting"
    board.service.settings.entra_authority = "https://localhost:9"
    await board.sql("UPDATE readiness SET until = clock_timestamp() WHERE until IS NOT NULL")
    await board.do_now(CHECK)
    assert capability(await board.read_board(), "permissions")["verdict"] == "action_needed"
    assert (await board.switch({"auto_recording": True})).json()["code"] == "feature_not_ready"


async def test_waiting_that_was_never_proven_ends_in_unknown_in_an_outage(board: Any) -> None:
    await board.sql("UPDATE readiness_check SET patience_until = clock_timestamp() + interval '50 min'")
    board.take_away("OnlineMeetingRecording.Read.All")
    assert (await board.checked())["permissions"]["verdict"] == "waiting"
    board.service.settings.entra_authority = "https://localhost:9"
    await board.sql("UPDATE readiness SET until = clock_timestamp() WHERE until IS NOT NULL")
    await board.do_now(CHECK)
    assert capability(await board.read_board(), "permissions")["verdict"] == "unknown"


async def test_the_first_check_comes_by_itself_and_another_with_the_first_person(house: Any, webhook: Any) -> None:
    house.service.settings.readiness_first_check_s = 0
    house.service.settings.notification_base_url = webhook.place
    await house.connect()
    found = await house.read_board()
    assert capability(found, "consent")["verdict"] == "ready"
    row = capability(found, "transcript_access")
    assert (row["verdict"], "Nobody has connected" in row["reason"]) == ("unknown", True)
    await house.know("anna")
    await house.service.runner.drain()
    assert capability(await house.read_board(), "transcript_access")["verdict"] == "ready"
    checks = len(house.asked("/organization"))
    await house.know("ben")
    await house.service.runner.drain()
    assert len(house.asked("/organization")) == checks


async def test_what_a_failed_consent_lacked_is_shown_until_a_check_finds_it(board: Any) -> None:
    board.service.settings.proof_patience_s = 0
    back = await board.signed_in(await board.consent())
    board.take_away("OnlineMeetingRecording.Read.All")
    await board.sign_in(back)
    await board.service.runner.drain()
    tenant = await board.tenant()
    assert (tenant["status"], tenant["problem"]["code"]) == ("connected", "permissions_missing")
    await board.checked()
    assert (await board.tenant())["problem"]["code"] == "permissions_missing"
    board.take_away()
    assert (await board.checked())["permissions"]["verdict"] == "ready"
    after = await board.tenant()
    assert (after["problem"], after["version"]) == (None, tenant["version"] + 1)


async def test_mail_is_not_switched_on_without_the_consent_for_it(board: Any) -> None:
    """As people's tokens tell; another consent has it asked for anew, so it forbids nothing until that is known."""
    await board.switch({"outlook_email": False})
    await board.know("anna", version=7, mail_permitted=False)
    rows = await board.checked()
    assert (rows["mail_permissions"]["verdict"], rows["mail_permissions"]["affects"]) == ("action_needed", ["mail"])
    refused = (await board.switch({"outlook_email": True})).json()
    assert (refused["code"], refused["capability"]) == ("feature_not_ready", "mail_permissions")
    assert "Mail.Send" in refused["remedy"]["text"]
    assert (await board.switch({"auto_recording": True})).status_code == 200, "nothing else needs it"
    await board.know("anna", version=8, mail_permitted=True)
    await board.work()
    found = capability(await board.read_board(), "mail_permissions")
    assert found["verdict"] == "ready", "what tokens tell is looked at by itself"
    assert (await board.switch({"outlook_email": True})).status_code == 200
