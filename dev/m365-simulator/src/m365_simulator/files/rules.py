"""Switches of SharePoint's and OneDrive's behaviour, most because Microsoft's is not proven; ``files_rules`` sets them.

| rule | unproven |
|---|---|
| fragment_rule: a fragment that is no multiple of 320 KiB is refused at once, at the commit, or never | when it is |
| put_conflict: what an upload does without conflictBehavior | no, but rclone's updates rest on `replace` |
| extends: a fragment moves the session's expiry | yes |
| session_s, download_s: how long upload and download URLs live | yes |
| expired_download_status: what an expired download URL answers | yes |
| copy_s: world seconds until a copy is made | yes |
| session_keeps_name: a second upload session for a place is 409 while one is open there | users report it |
| url_token_s: the age at which the token within an upload URL is refused with 403 | users saw a day |
| lock_code: the code of the 423 for a file that somebody has open | users report both |
| office_rewrites: a library adds to Office and HTML files as it takes them in | no |
| rename_versions: a new name or folder makes another version of a file | yes |
| makes_folders: an upload by path makes missing folders | yes |
| keeps_content: bytes are stored; without, they are hashed and counted only, for very large uploads | ours |
"""

from typing import Any, Literal

from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb

DEFAULTS: Row = {
    "fragment_rule": "at_once",
    "put_conflict": "replace",
    "extends": True,
    "session_s": 3600,
    "session_keeps_name": True,
    "url_token_s": 86_400,
    "lock_code": "accessDenied",
    "office_rewrites": True,
    "download_s": 3600,
    "expired_download_status": 401,
    "copy_s": 0,
    "rename_versions": False,
    "makes_folders": True,
    "keeps_content": True,
}


def rule(simulator: Simulator, name: str) -> Any:
    return {**DEFAULTS, **(simulator.store.get("settings", "files_rules") or {})}[name]


@verb
def files_rules(
    simulator: Simulator,
    *,
    fragment_rule: Literal["at_once", "at_commit", "never"] | None = None,
    put_conflict: Literal["fail", "replace", "rename"] | None = None,
    extends: bool | None = None,
    session_s: int | None = None,
    session_keeps_name: bool | None = None,
    url_token_s: int | None = None,
    lock_code: Literal["accessDenied", "resourceLocked"] | None = None,
    office_rewrites: bool | None = None,
    download_s: int | None = None,
    expired_download_status: Literal[401, 403, 404, 410] | None = None,
    copy_s: int | None = None,
    rename_versions: bool | None = None,
    makes_folders: bool | None = None,
    keeps_content: bool | None = None,
) -> Row:
    """Set how SharePoint and OneDrive behave where tenants differ or Microsoft's behaviour is not proven."""
    given = {
        "fragment_rule": fragment_rule,
        "put_conflict": put_conflict,
        "extends": extends,
        "session_s": session_s,
        "session_keeps_name": session_keeps_name,
        "url_token_s": url_token_s,
        "lock_code": lock_code,
        "office_rewrites": office_rewrites,
        "download_s": download_s,
        "expired_download_status": expired_download_status,
        "copy_s": copy_s,
        "rename_versions": rename_versions,
        "makes_folders": makes_folders,
        "keeps_content": keeps_content,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    if any(isinstance(value, int) and value < 0 for value in changed.values()):
        raise Refused("Seconds are not below 0.")
    kept = simulator.store.get("settings", "files_rules") or {}
    return DEFAULTS | simulator.store.put("settings", "files_rules", kept | changed)
