"""What a path says: whose mailbox and which service it counts against, and its name without ids."""

import pytest

from shared.graph.paths import is_outlook, mailbox, service, template


@pytest.mark.parametrize(
    ("path", "outlook"),
    [
        ("/me/events", True),
        ("/me/events?$top=1", True),
        ("/me/events/abc/cancel", True),
        ("/me/calendarView?start=1", True),
        ("/me/calendars/1/events", True),
        ("/users/1/messages/2", True),
        ("/me/mailFolders/inbox/messages/delta", True),
        ("/me/contactFolders/1/contacts", True),
        ("/ME/Contacts", True),
        ("/me/onlineMeetings/1/recordings/2/content", False),
        ("/me/drive/root", False),
        ("/me", False),
        ("/users/events", False),
        ("/subscriptions", False),
        ("/sites/me/events", False),
        ("/$batch", False),
    ],
)
def test_which_paths_count_against_a_mailbox(path: str, *, outlook: bool) -> None:
    assert is_outlook(path) is outlook


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/me/events/AAMkAGI2/cancel", "/me/events/{id}/cancel"),
        ("/me/events?$filter=subject eq 'secret'", "/me/events"),
        ("/users/anna@acme.example/messages", "/users/{id}/messages"),
        ("/users/1/onlineMeetings/getAllRecordings(meetingOrganizerUserId='1')/delta", None),
        ("/drives/b!x/items/1:/Anna Berg/Board.mp4:/content", "/drives/{id}/items/{id}/content"),
        ("/drives/b!x/root:/Anna:/createUploadSession", "/drives/{id}/root/{id}/createUploadSession"),
        ("/", "/"),
    ],
)
def test_a_name_in_traces_has_no_ids(path: str, name: str | None) -> None:
    assert template(path) == (name or "/users/{id}/onlineMeetings/getAllRecordings/delta")


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/me/events", "outlook"),
        ("/users/1/messages", "outlook"),
        ("/me/onlineMeetings/1/recordings", "teams"),
        ("/communications/onlineMeetings/1", "teams"),
        ("/teams/1/channels/2/filesFolder", "teams"),
        ("/me/joinedTeams", "teams"),
        ("/me/drive/root", "files"),
        ("/drives/1/items/2:/a:/content", "files"),
        ("/sites/a.example:/sites/b", "files"),
        ("/groups/1/drive", "files"),
        ("/users/1/onlineMeetings/getAllRecordings(meetingOrganizerUserId='1')/delta", "teams"),
        ("/subscriptions", "subscriptions"),
        ("/organization", "directory"),
        ("/me", "directory"),
    ],
)
def test_which_service_throttles_a_path(path: str, named: str) -> None:
    assert service(path) == named


@pytest.mark.parametrize(
    ("path", "user", "whose"),
    [
        ("/me/events", "anna", "anna"),
        ("/me/drive", "anna", None),
        ("/users/A%40B/events", None, "users/a@b"),
        ("/users/a@b/events", "anna", "users/a@b"),
        ("/users/1/onlineMeetings", None, None),
    ],
)
def test_whose_mailbox_a_path_counts_against(path: str, user: str | None, whose: str | None) -> None:
    assert mailbox(path, user) == whose
