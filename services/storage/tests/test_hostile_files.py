"""Files and uploads that somebody means harm with."""

from pathlib import Path
from typing import Any

import pytest

from shared.testing.harness import Harness, StartService
from storage.main import create_service
from storage.settings import Settings

HTML = b"<script>alert(1)</script>"


@pytest.fixture
async def storage(start_service: StartService, platform_keys: Any, tmp_path: Path) -> Harness:
    limits = {"unfinished_uploads": 3, "unfinished_upload_bytes": 1000}
    service = await start_service(create_service, Settings, "storage", object_store_dir=tmp_path / "files", **limits)
    return Harness(service, platform_keys)


async def begin(storage: Harness, key: str, content_type: str = "video/mp4", size: int = len(HTML)) -> Any:
    settings = storage.service.settings.model_copy(
        update={"service_key_path": storage.keys.private / "recording-ingest.pem"}
    )
    token = type(storage.service.service_tokens)(settings, "recording-ingest").issue("storage")
    wanted = {"org_id": "acme", "dedupe_key": key, "path": "a", "content_type": content_type, "size_bytes": size}
    return await storage.http.post(
        "/internal/upload-sessions", json=wanted, headers={"Authorization": f"Bearer {token}"}
    )


async def test_a_page_among_the_files_runs_nothing_in_a_browser(storage: Harness) -> None:
    for content_type, shown in {
        "text/html": "attachment",
        "image/svg+xml": "attachment",
        "video/mp4": "inline",
    }.items():
        begun = (await begin(storage, content_type, content_type)).json()
        path = "/v1" + begun["upload_url"].partition("/v1")[2]
        whole = {"Content-Range": f"bytes 0-{len(HTML) - 1}/{len(HTML)}"}
        assert (await storage.http.put(path, content=HTML, headers=whole)).status_code == 201
        answer = await storage.call("GET", f"/v1/files/{begun['file_id']}/content")
        assert (answer.status_code, answer.content) == (200, HTML)
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["content-disposition"] == shown
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_a_file_that_could_not_be_read_again_is_not_taken(storage: Harness) -> None:
    for content_type in ["video/mp4\r\nX: y", "vidéo/mp4", "video", "video/mp4; a", "a/b, c/d", ""]:
        answer = await begin(storage, "k", content_type)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "content_type")
    assert (await begin(storage, "k", 'text/plain; charset=utf-8; a="b c"')).status_code == 200


async def test_an_organisations_unfinished_uploads_have_an_end(storage: Harness) -> None:
    assert [(await begin(storage, f"k{number}")).status_code for number in range(5)] == [200, 200, 200, 429, 429]
    assert (await begin(storage, "k0")).status_code == 200
    assert len(await storage.rows("stored_file")) == 3


async def test_an_organisations_unfinished_bytes_have_an_end(storage: Harness) -> None:
    assert (await begin(storage, "large", size=1001)).status_code == 429
    assert await storage.rows("stored_file") == []
