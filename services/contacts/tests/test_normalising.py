"""What becomes of a contact of Graph, however odd it is."""

import json
import re
from typing import Any

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from contacts.normalising import email_key, is_role, normalise, phone_key, said, storable, stored
from contacts.reading import FIELDS, MOST_ITEMS, SETS

WHOLE = {
    "@odata.etag": 'W/"EQ"',
    "id": "AAMk1",
    "changeKey": "EQAA",
    "parentFolderId": "AAMkF",
    "lastModifiedDateTime": "2026-11-01T10:00:00Z",
    "displayName": "Garth Fort",
    "givenName": "Garth",
    "surname": "Fort",
    "generation": "Jr.",
    "companyName": "Contoso, Inc.",
    "birthday": "1974-07-22T00:00:00Z",
    "personalNotes": "first line\r\nsecond",
    "emailAddresses": [
        {"name": "Garth", "address": " Garth@Contoso.EXAMPLE "},
        {"name": "", "address": "garth@contoso.example"},
        {"name": "home", "address": "garth@bücher.example"},
    ],
    "mobilePhone": "+1 (918) 555-0101 x7",
    "businessPhones": ["030 901820"],
    "homePhones": [],
    "businessAddress": {"street": "10 Contoso Way\r\nHouse B", "city": "Redmond", "countryOrRegion": "USA"},
    "homeAddress": {},
    "categories": ["Client"],
    "imAddresses": ["sip:garth@contoso.example"],
    "children": [],
}


def odd(**values: Any) -> Any:
    return normalise({"id": "AAMk1", "displayName": "Garth", **values})


def test_a_contact_becomes_fields_and_sets_with_outlooks_own_text() -> None:
    reading = normalise(WHOLE, region="DE")
    assert (reading.source_id, reading.change_key, reading.folder_id) == ("AAMk1", "EQAA", "AAMkF")
    assert (reading.status, reading.issues) == ("valid", [])
    assert reading.fields == {
        "display_name": "Garth Fort",
        "given_name": "Garth",
        "surname": "Fort",
        "suffix": "Jr.",
        "company": "Contoso, Inc.",
        "birthday": "1974-07-22",
        "notes": "first line\nsecond",
    }
    emails = [(item["key"], item["value"]) for item in reading.sets["emails"]]
    assert emails == [
        ("garth@contoso.example", {"address": "Garth@Contoso.EXAMPLE", "label": "primary", "name": "Garth"}),
        ("garth@bücher.example", {"address": "garth@bücher.example", "label": "tertiary", "name": "home"}),
    ]
    phones = [(item["key"], item["value"]["label"]) for item in reading.sets["phones"]]
    assert phones == [("+19185550101;ext=7", "mobile"), ("+4930901820", "business")]
    (address,) = reading.sets["addresses"]
    assert address["value"]["street"] == "10 Contoso Way\nHouse B"
    assert {name: [item["value"]["text"] for item in reading.sets[name]] for name in ("categories", "messengers")} == {
        "categories": ["Client"],
        "messengers": ["sip:garth@contoso.example"],
    }


def test_the_digest_sees_values_and_not_keys_of_change() -> None:
    other = WHOLE | {"@odata.etag": "x", "changeKey": "EQAB", "lastModifiedDateTime": "2027-01-01T00:00:00Z"}
    assert normalise(other).digest == normalise(WHOLE).digest
    assert normalise(WHOLE | {"surname": "Ford"}).digest != normalise(WHOLE).digest


REFUSED = {
    "no object": (["x"], "invalid", "not_a_contact"),
    "no id": ({"displayName": "x"}, "invalid", "no_id"),
    "an id that is no text": ({"id": 5, "displayName": "x"}, "invalid", "no_id"),
    "nothing in it": ({"id": "a", "displayName": " ", "emailAddresses": []}, "skipped", "nothing_to_import"),
    "control characters only": ({"id": "a", "displayName": "\x00\x07"}, "skipped", "nothing_to_import"),
    "60 addresses": (
        {"id": "a", "displayName": "x", "emailAddresses": [{"address": f"a{n}@b.example"} for n in range(60)]},
        "invalid",
        "too_many",
    ),
}


@pytest.mark.parametrize(("payload", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_a_row_that_cannot_be_kept_says_why_and_keeps_nothing(payload: object, status: str, code: str) -> None:
    reading = normalise(payload)
    assert (reading.status, code in {issue["code"] for issue in reading.issues[:1]}) == (status, True)
    assert (reading.fields, reading.sets) == ({}, {})
    assert reading.issues[0]["sentence"].endswith(".")


REMARKS: dict[str, tuple[dict[str, Any], str | None]] = {
    "an address of Exchange": ({"emailAddresses": [{"address": "/o=ExchangeLabs/ou=x/cn=y"}]}, "email_not_smtp"),
    "another of Exchange": ({"emailAddresses": [{"address": "EX:/O=FIRM/CN=Y"}]}, "email_not_smtp"),
    "an address that is none": ({"emailAddresses": [{"address": "anna at home"}]}, "email_invalid"),
    "an entry without address": ({"emailAddresses": [{"name": "Anna", "address": None}]}, "email_missing"),
    "an entry without anything": ({"emailAddresses": [{}]}, None),
    "addresses as text": ({"emailAddresses": "anna@x.example"}, None),
    "NUL": ({"companyName": "Con\x00toso"}, "control_characters"),
    "a bell": ({"personalNotes": "a\x07b"}, "control_characters"),
    "half a surrogate pair": ({"surname": "x\ud800"}, None),
    "emoji": ({"surname": "👩‍👧 Meyer"}, None),
    "right-to-left marks": ({"surname": "\u202eMeyer"}, None),
    "a note of 1 MB": ({"personalNotes": "x" * 1_048_576}, "too_long"),
    "a name of 2,000 characters": ({"surname": "x" * 2_000}, "too_long"),
    "HTML in a name": ({"surname": "<b>Meyer</b><script>x</script>"}, "html"),
    "a number for a text": ({"jobTitle": 5}, "wrong_type"),
    "an address that is a text": ({"homeAddress": "Redmond"}, "wrong_type"),
    "a phone that is none": ({"mobilePhone": "ask"}, "phone_not_a_number"),
    "a phone with words": ({"mobilePhone": "030/901820 (office)"}, None),
    "the 30th of February": ({"birthday": "1974-02-30T00:00:00Z"}, "bad_birthday"),
    "no birthday": ({"birthday": "4501-01-01T00:00:00Z"}, None),
}


def can_be_stored(whole: Any) -> None:
    """No NUL and no half of a surrogate pair: PostgreSQL takes neither. A backslash before ``u0000`` is only text."""
    text = json.dumps(whole, ensure_ascii=False)
    assert "\\u0000" not in text.replace(r"\\", "")
    assert text.encode()


@pytest.mark.parametrize(("values", "code"), REMARKS.values(), ids=REMARKS)
def test_an_odd_value_is_a_remark_and_the_contact_is_imported(values: dict[str, Any], code: str | None) -> None:
    reading = odd(**values)
    assert (reading.status, [issue["code"] for issue in reading.issues]) == ("valid", [code] if code else [])
    assert reading.fields["display_name"] == "Garth"
    can_be_stored([reading.fields, reading.sets, reading.issues])
    assert all(len(issue["sentence"]) < 250 for issue in reading.issues)


SENTENCES: dict[str, dict[str, Any]] = {
    "The name had 2 control characters. Prospo removed them.": {"displayName": "Ga\x07r\x1bth"},
    "The notes had a control character. Prospo removed it.": {"personalNotes": "a\x07b"},
    "The notes have 1,048,576 characters; Prospo keeps 65,536. The contact is imported without the notes. "
    "Shorten them in Outlook.": {"personalNotes": "x" * 1_048_576},
    "The job title is not a text. The contact is imported without the job title.": {"jobTitle": 5},
    "The home address is not an address. The contact is imported without the home address.": {"homeAddress": "Ulm"},
    "The mobile number had a control character. Prospo removed it.": {"mobilePhone": "+49 30\x07 1234567"},
}


@pytest.mark.parametrize(("sentence", "values"), SENTENCES.items())
def test_a_remark_calls_things_as_people_do(sentence: str, values: dict[str, Any]) -> None:
    assert [issue["sentence"] for issue in odd(**values).issues] == [sentence]


@pytest.mark.parametrize("name", WHOLE)
def test_no_remark_names_a_property_of_graph(name: str) -> None:
    for value in ({"x": 1}, "\x07<b>x</b>" * 2, "\x07" * 70_000, [{"address": "a\x07b"}], ["\x07ab"]):
        for issue in normalise({"id": "a", "surname": "Ng"} | {name: value}).issues:
            assert not re.search(r"[a-z][A-Z]", issue["sentence"].split("“")[0]), issue


def test_no_value_is_kept_in_part() -> None:
    reading = odd(personalNotes="x" * 1_048_576, emailAddresses=[{"address": "/o=ExchangeLabs/cn=y"}])
    assert "notes" not in reading.fields
    assert reading.sets["emails"] == [
        {
            "key": "raw:/o=exchangelabs/cn=y",
            "value": {"address": "/o=ExchangeLabs/cn=y", "label": "primary"},
            "valid": False,
        }
    ]
    most = [{"address": f"a{n}@b.example"} for n in range(MOST_ITEMS)]
    assert len(odd(emailAddresses=most).sets["emails"]) == MOST_ITEMS


def test_a_contact_without_a_name_is_kept_for_its_address() -> None:
    reading = normalise({"id": "a", "emailAddresses": [{"address": "a@b.example"}]})
    assert (reading.status, reading.issues[0]["code"], reading.fields) == ("valid", "no_name", {})


def test_ranked_addresses_count_where_the_list_is_missing() -> None:
    reading = odd(emailAddresses=None, secondaryEmailAddress={"address": "two@b.example"})
    assert [(item["key"], item["value"]["label"]) for item in reading.sets["emails"]] == [
        ("two@b.example", "secondary")
    ]


def test_a_birthday_without_year_keeps_its_day() -> None:
    assert odd(birthday="1604-02-29T00:00:00Z").fields["birthday"] == "--02-29"


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.text("\x00\ud800<a>@+1/")
)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))
PROPERTIES = sorted({*WHOLE, "primaryEmailAddress", "personalNotes", "otherAddress", "title"})


@given(st.dictionaries(st.sampled_from(PROPERTIES), JSON))
def test_whatever_outlook_sends_is_read_and_can_be_stored(payload: dict[str, Any]) -> None:
    reading = normalise(payload, region="GB")
    assert reading.status == "valid" or reading.issues
    assert set(reading.fields) <= set(FIELDS)
    assert set(reading.sets) <= set(SETS)
    assert json.loads(stored(payload, said(payload))) == storable(payload)
    for whole in (reading.fields, reading.sets, reading.issues, [reading.source_id], storable(payload)):
        can_be_stored(whole)
    assert normalise(payload, region="GB") == reading


@given(st.emails() | st.text("aA1.-_+@é ", max_size=40).map(lambda text: f"{text}.example"))
def test_the_short_way_to_a_normal_form_agrees_with_the_library(text: str) -> None:
    try:
        wanted = validate_email(text.strip(), check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        wanted = None
    assert email_key(text) == wanted


def test_an_address_is_found_in_what_people_write_around_it() -> None:
    for text in ("mailto:Anna@x.example", "SMTP:anna@x.example", "Anna <anna@x.example>", " ANNA@X.EXAMPLE"):
        assert email_key(text) == "anna@x.example", text
    assert email_key("anna@XN--bcher-kva.example") == "anna@bücher.example"
    for text in ("anna", "anna@localhost", "a b@x.example", "anna@x@y.example", ""):
        assert email_key(text) is None, text


def test_numbers_are_equal_however_they_are_written() -> None:
    for text in ("+49 (0)30 1234567", "0049 30 1234567", "030/123 45 67", "+49-30-1234567", "tel:+49301234567"):
        assert phone_key(text, "DE") == "+49301234567", text
    assert phone_key("030 1234567") is None, "no country is known"
    assert phone_key("+49 30 1234567 ext. 12") == "+49301234567;ext=12"


def test_role_mailboxes_are_told_from_people() -> None:
    roles = (
        "info",
        "sales.emea",
        "no-reply",
        "noreply",
        "office2",
        "kontakt",
        "buchhaltung",
        "support+x",
        "hr",
        "vertrieb",
    )
    assert [local for local in roles if not is_role(f"{local}@x.example")] == []
    people = ("anna", "anna.info", "bill", "may.sales", "infante", "salesman", "a.postma", "hrabal")
    assert [local for local in people if is_role(f"{local}@x.example")] == []
