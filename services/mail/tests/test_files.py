"""Files of a mail: small ones inline, large ones by an upload session, once each, whatever is lost on the way."""

import base64
from typing import Any

import pytest

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
MB = 1024 * 1024
ROOMY = {"message_bytes": 150 * MB}


async def arrived(house: Any) -> dict[str, bytes]:
    """The files of the one mail that Ben has."""
    (mail,) = await house.folder(BEN, "inbox")
    found = (await house.at(BEN).get(f"/me/messages/{mail['id']}/attachments")).json()["value"]
    assert len({one["name"] for one in found}) == len(found), "each once"
    return {one["name"]: base64.b64decode(one["contentBytes"]) for one in found}


async def test_small_and_large_files_go_with_the_mail(house: Any) -> None:
    await house.microsoft.do("outlook_rules", **ROOMY)
    await house.connect()
    wanted = {"a.txt": b"small", "a (2).txt": b"second", "b.bin": bytes(range(256)) * 4096 * 5}
    files = [await house.uploaded("a.txt", b"small"), await house.uploaded("a.txt", b"second")]
    files.append(await house.uploaded("b.bin", wanted["b.bin"]))
    mail = await house.sent(files=files)
    assert [file["name"] for file in mail["files"]] == list(wanted)
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert await arrived(house) == wanted
    assert await house.rows("mail_file_part") == [], "the bytes are gone with the mail"
    again = await house.call("POST", "/v1/mail", **house.asks(files=files[:1]))
    assert again.json()["code"] == "file_not_found", "a file goes with one mail"


async def test_a_file_of_40_mb_is_sent_once(house: Any) -> None:
    """M11. Memory: a part of the file at a time, both ways."""
    await house.microsoft.do("outlook_rules", **ROOMY)
    await house.connect()
    content = b"0123456789abcdef" * (40 * MB // 16)
    mail = await house.sent(files=[await house.uploaded("large.bin", content)])
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert (await arrived(house))["large.bin"] == content
    assert await house.asked("POST", "createUploadSession") == 1


async def test_a_file_of_151_mb_is_refused_before_it_is_read(house: Any) -> None:
    """M11."""
    await house.connect()
    sent: list[int] = []

    async def bytes_of_it() -> Any:
        sent.append(1)
        yield b"x" * MB

    headers = {"Content-Length": str(151 * MB)}
    params = {"name": "film.mp4"}
    refused = await house.call("POST", "/v1/mail/files", params=params, headers=headers, content=bytes_of_it())
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["max_bytes"]) == (413, "file_too_large", 150 * MB)
    assert "150 MB" in problem["detail"]
    assert await house.rows("mail_file") == []


@pytest.mark.parametrize("settings", [{"mail_file_max_bytes": 2 * MB}])
async def test_a_file_that_turns_out_too_large_leaves_nothing(house: Any) -> None:
    await house.connect()

    async def bytes_of_it() -> Any:
        for _ in range(3):
            yield b"x" * MB

    refused = await house.call("POST", "/v1/mail/files", params={"name": "film.mp4"}, content=bytes_of_it())
    assert (refused.status_code, refused.json()["code"]) == (413, "file_too_large")
    empty = await house.upload("nothing.txt", b"")
    assert (empty.status_code, empty.json()["code"]) == (422, "file_empty")
    assert await house.rows("mail_file") == await house.rows("mail_file_part") == []


@pytest.mark.parametrize("settings", [{"mail_files_kept_bytes": MB}])
async def test_only_files_that_still_wait_count_against_a_persons_room(house: Any) -> None:
    await house.microsoft.do("outlook_rules", **ROOMY)
    await house.connect()
    waits = await house.uploaded("a.bin", b"x" * (MB + 1))
    refused = await house.upload("b.bin", b"x")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_files")
    await house.sent(files=[waits])
    assert (await house.upload("b.bin", b"x")).status_code == 201


async def test_a_picture_of_the_quoted_text_is_not_taken_for_a_file(house: Any) -> None:
    """An answer's draft holds the pictures of what it answers, and they are often named alike."""
    await house.connect()
    await house.microsoft.fault("server_error", match={"path": "*/attachments", "method": "POST"}, status=503)
    mail = await house.sent(files=[await house.uploaded("image001.png", b"of the person")])
    (draft,) = await house.folder(ANNA, "drafts")
    picture = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "image001.png", "isInline": True}
    picture |= {"contentId": "image001", "contentBytes": base64.b64encode(b"of the quote").decode()}
    put = await house.at(ANNA).post(f"/me/messages/{draft['id']}/attachments", json=picture)
    assert put.status_code == 201, put.text
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    (sent,) = await house.folder(BEN, "inbox")
    files = (await house.at(BEN).get(f"/me/messages/{sent['id']}/attachments")).json()["value"]
    assert sorted((one["isInline"], base64.b64decode(one["contentBytes"])) for one in files) == [
        (False, b"of the person"),
        (True, b"of the quote"),
    ]


async def test_a_mail_larger_than_the_organisation_allows_says_so(house: Any) -> None:
    await house.connect()
    await house.microsoft.do("outlook_rules", message_bytes=MB)
    mail = await house.sent(files=[await house.uploaded("a.bin", b"x" * MB)])
    assert (mail["status"], mail["problem"]["code"]) == ("failed", "too_large")
    await house.microsoft.do("outlook_rules", **ROOMY)
    assert (await house.act(mail, "send-again")).status_code == 200, "the file is kept for a day"
    await house.settle_down()
    assert (await arrived(house))["a.bin"] == b"x" * MB


async def test_after_a_day_a_failed_mail_is_written_again_with_its_files(house: Any) -> None:
    await house.connect()
    await house.microsoft.do("outlook_rules", message_bytes=MB)
    mail = await house.sent(files=[await house.uploaded("a.bin", b"x" * MB)])
    await house.uploaded("never.txt", b"taken by no mail")
    await house.pass_time(86_401)
    assert await house.rows("mail_file_part") == []
    assert [row["name"] for row in await house.rows("mail_file")] == ["a.bin"]
    assert (await house.act(mail, "send-again")).json()["code"] == "files_gone"


@pytest.mark.parametrize("path", ["*/attachments", "*/createUploadSession"])
async def test_a_lost_answer_to_a_file_leaves_it_there_once(house: Any, path: str) -> None:
    await house.microsoft.do("outlook_rules", **ROOMY)
    await house.connect()
    await house.microsoft.fault("done_but_reset", match={"path": path, "method": "POST"})
    files = [await house.uploaded("a.txt", b"small"), await house.uploaded("b.bin", b"y" * 5 * MB)]
    mail = await house.sent(files=files)
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert await arrived(house) == {"a.txt": b"small", "b.bin": b"y" * 5 * MB}


async def test_an_upload_that_was_cut_goes_on_where_it_stood(house: Any) -> None:
    await house.microsoft.do("outlook_rules", **ROOMY)
    await house.connect()
    mail = await house.send(files=[await house.uploaded("b.bin", b"y" * 9 * MB)])
    puts: list[str] = []

    async def lost(scope: Any, receive: Any, send: Any) -> None:
        raise ConnectionResetError("cut")

    def instead(method: str, path: str) -> Any:
        puts.extend([path] if method == "PUT" else [])
        return lost if method == "PUT" and len(puts) == 2 else None

    house.wire.instead = instead
    await house.work()
    house.wire.instead = None
    await house.settle_down()
    assert (await house.mail(mail))["status"] == "seen_in_sent"
    assert (await arrived(house))["b.bin"] == b"y" * 9 * MB
    assert await house.asked("POST", "createUploadSession") == 1
    starts = [one.split()[1].split("-")[0] for one in house.wire.accepted]
    assert len(starts) == len(set(starts)), "no byte was taken twice"
