"""The O365 package, unmodified: contacts, mail, calendars and files, as somebody's script would use them."""

import asyncio
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.signing import access_token

pytest.importorskip("O365", reason="needs the clients of others: make test fetches them")

from O365 import Account, MSGraphProtocol
from O365.utils.token import MemoryTokenBackend

# It leaves its connections to the garbage collector.
pytestmark = [pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]
ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
SCOPES = "User.Read Contacts.ReadWrite Mail.ReadWrite Mail.Send Calendars.ReadWrite Files.ReadWrite.All"
START = datetime.datetime(2030, 1, 1, 10, tzinfo=ZoneInfo("UTC"))
HOUR = datetime.timedelta(hours=1)
Of = Callable[[str], Account]


@pytest.fixture
def of(simulator: Simulator) -> Iterator[Of]:
    """The account of a person, by address."""
    made: list[Account] = []

    class Protocol(MSGraphProtocol):
        _protocol_url = f"{simulator.settings.http_base_url}/"

    def account(person: str) -> Account:
        user = find_user(simulator.store, person) or {}
        claims = {"tid": CONTOSO, "oid": user["id"], "appid": simulator.settings.client_id, "scp": SCOPES}
        token = access_token(simulator.entra, "https://sts.windows.net/", {**claims, "idtyp": "user"})
        found = Account(("id", "secret"), protocol=Protocol(timezone="UTC"), token_backend=MemoryTokenBackend())
        found.con.requests_delay = 0
        found.con.session = found.con.get_session()
        found.con.update_session_auth_header(access_token=token)
        made.append(found)
        return found

    yield account
    for one in made:
        for session in (one.con.session, one.con.naive_session):
            if session is not None:
                session.close()


async def script(work: Callable[[], Any]) -> Any:
    """Run blocking ``work`` beside the simulator, which answers on this loop."""
    return await asyncio.to_thread(work)


async def test_an_address_book_is_filled_paged_through_and_searched(of: Of) -> None:
    def work() -> None:
        book = of(ANNA).address_book()
        for number in range(12):
            contact = book.new_contact()
            contact.name, contact.surname, contact.company_name = f"Given{number:02}", "Sample", "Fabrikam"
            contact.emails.add(f"given{number:02}@fabrikam.example")
            assert contact.save()
        assert len(list(book.get_contacts(limit=None, batch=5))) == 12
        by_address = "emailAddresses/any(a:a/address eq 'given03@fabrikam.example')"
        (found,) = book.get_contacts(query=by_address)
        assert (found.name, found.surname, found.main_email) == ("Given03", "Sample", "given03@fabrikam.example")
        ask = book.new_query()
        query = ask.startswith("display_name", "Given1") & ask.equals("company_name", "Fabrikam")
        assert {one.name for one in book.get_contacts(query=query)} == {"Given10", "Given11"}
        assert found.delete()
        assert not list(book.get_contacts(query=by_address))

    await script(work)


async def test_mail_with_attachments_is_sent_read_moved_and_answered(
    of: Of, microsoft: SimulatorClient, tmp_path: Path
) -> None:
    small, large = tmp_path / "small.txt", tmp_path / "large.bin"
    small.write_text("hello")
    large.write_bytes(bytes(range(256)) * (3 * 4096 + 8))

    def send() -> None:
        message = of(ANNA).mailbox().new_message()
        message.to.add(BEN)
        message.subject, message.body = "Draft", "Here <b>it</b> is."
        message.attachments.add(str(small))
        assert message.save_draft()
        message.attachments.add(str(large))
        message.subject = "Offer"
        assert message.save_draft()
        assert message.send()

    def read() -> None:
        mailbox = of(BEN).mailbox()
        query = mailbox.new_query().equals("subject", "Offer")
        (message,) = mailbox.inbox_folder().get_messages(query=query, download_attachments=True)
        assert message.sender.address == ANNA
        assert message.get_body_text().strip() == "Here it is."
        names = {one.name: one for one in message.attachments}
        assert set(names) == {"small.txt", "large.bin"}
        assert names["large.bin"].save(str(tmp_path / "back"), "large.bin")
        assert message.save_as_eml(tmp_path / "offer.eml")
        assert message.mark_as_read()
        copied = message.copy(mailbox.drafts_folder())
        assert copied.folder_id != message.folder_id
        assert message.move(mailbox.archive_folder())
        assert [one.subject for one in mailbox.archive_folder().get_messages()] == ["Offer"]
        assert not list(mailbox.inbox_folder().get_messages())
        reply = message.reply()
        reply.body = "Thank you"
        assert reply.send()

    (tmp_path / "back").mkdir()
    await script(send)
    await microsoft.advance(60)
    await script(read)
    assert (tmp_path / "back/large.bin").read_bytes() == large.read_bytes()
    assert b"Subject: Offer" in (tmp_path / "offer.eml").read_bytes()
    await microsoft.advance(60)
    answers = await script(lambda: list(of(ANNA).mailbox().inbox_folder().get_messages()))
    assert [one.subject for one in answers] == ["RE: Offer"]


async def test_a_calendar_is_made_and_its_events_are_booked_moved_and_answered(of: Of, tmp_path: Path) -> None:
    agenda = tmp_path / "agenda.txt"
    agenda.write_text("1. Soup")

    def book() -> None:
        schedule = of(ANNA).schedule()
        assert schedule.new_calendar("Projects")
        assert [one.name for one in schedule.list_calendars()] == ["Calendar", "Projects"]
        projects = schedule.get_calendar(calendar_name="Projects")
        own = projects.new_event("Plan")
        own.start, own.end = START, START + HOUR
        assert own.save()
        assert [one.subject for one in projects.get_events(include_recurring=False)] == ["Plan"]
        calendar = schedule.get_default_calendar()
        event = calendar.new_event("Board")
        event.start, event.end, event.location, event.is_online_meeting = START, START + HOUR, "Hall", True
        event.body = "Agenda <i>below</i>"
        event.attendees.add(BEN)
        event.recurrence.set_daily(1, start=START.date(), occurrences=3)
        assert event.save()
        event.attachments.add(str(agenda))
        assert event.save()
        series = calendar.get_event(event.object_id)
        assert (series.subject, series.location["displayName"], len(series.attendees)) == ("Board", "Hall", 1)
        assert series.is_online_meeting
        each = list(series.get_occurrences(START - HOUR, START + 48 * HOUR))
        assert len(each) == 2
        each[1].start, each[1].end = START + 26 * HOUR, START + 27 * HOUR
        assert each[1].save()

    def answer() -> None:
        calendar = of(BEN).schedule().get_default_calendar()
        window = {"start_recurring": START - HOUR, "end_recurring": START + 100 * HOUR}
        events = list(calendar.get_events(include_recurring=True, **window))
        assert [one.start.hour for one in events] == [10, 12, 10]
        (invitation,) = calendar.get_events(include_recurring=False)
        invitation.attachments.download_attachments()
        assert [one.name for one in invitation.attachments] == ["agenda.txt"]
        assert invitation.accept_event("Gladly", tentatively=False)

    def cancel() -> None:
        (event,) = of(ANNA).schedule().get_default_calendar().get_events(include_recurring=False)
        assert [one.response_status.status.value for one in event.attendees] == ["accepted"]
        assert event.cancel_event("Not now")

    await script(book)
    await script(answer)
    await script(cancel)


async def test_files_are_uploaded_listed_copied_shared_and_downloaded(
    of: Of, microsoft: SimulatorClient, tmp_path: Path
) -> None:
    large = tmp_path / "film one.bin"
    large.write_bytes(bytes(range(256)) * 4096 * 5)
    small = tmp_path / "note.txt"
    small.write_text("hello")

    def work() -> None:
        drive = of(ANNA).storage().get_default_drive()
        folder = drive.get_root_folder().create_child_folder("films")
        note = folder.upload_file(small)
        film = folder.upload_file(large, chunk_size=327_680 * 4, file_last_modified_date_time="2020-03-04T05:06:07Z")
        assert (note.size, film.size, film.name) == (5, large.stat().st_size, "film one.bin")
        found = drive.get_item_by_path("/films/film one.bin")
        assert (found.object_id, found.hashes["quickXorHash"]) == (film.object_id, film.hashes["quickXorHash"])
        assert {one.name for one in folder.get_items()} == {"film one.bin", "note.txt"}
        assert [one.name for one in drive.search("film one")] == ["film one.bin"]
        copying = film.copy(drive.get_root_folder(), name="copy.bin")
        assert [*copying.check_status()] == []
        copied = copying.get_item()
        assert copied.download(tmp_path, name="back.bin")
        assert film.update(name="renamed.bin")
        assert film.move(drive.get_root_folder())
        link = copied.share_with_link("view", "organization")
        assert [one.object_id for one in copied.get_permissions()] == [link.object_id]
        assert link.delete()
        assert copied.delete()
        assert {one.name for one in drive.get_items()} == {"films", "renamed.bin"}

    await script(work)
    assert (tmp_path / "back.bin").read_bytes() == large.read_bytes()
