"""Bringing deliveries of Outlook into a contact, and taking them back."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts.merging import (
    absorb,
    adopt,
    changes_of_new,
    dismiss,
    drop,
    edit,
    merge,
    put,
    reading_in,
    record_of,
    withdraw,
)
from contacts.reading import Item, Reading
from contacts.records import Record, empty, is_empty, shown, typed
from contacts.undoing import undo

AT, LATER = "2026-11-29T10:00:00Z", "2026-11-29T11:00:00Z"
OUTLOOK, OTHER, ANNA = "s1", "s2", "anna"


def item(key: str, label: str = "primary") -> Item:
    return Item(key=key, value={"address": key, "label": label}, valid=True)


def reading(version: str = "v1", emails: tuple[str, ...] = (), **fields: str) -> Reading:
    kept = {"emails": [item(key) for key in emails]} if emails else {}
    return Reading("AAMk", version, "f", "valid", {name: value for name, value in fields.items() if value}, kept)


def given_by(*deliveries: tuple[str, Reading]) -> Record:
    record = empty()
    for source, delivered in deliveries:
        record = merge(record, delivered, source=source, at=AT).record
    return record


def value(record: Record, name: str = "company") -> str | None:
    return shown(record)["fields"].get(name)


def test_a_first_delivery_is_kept_with_its_origin() -> None:
    """Exactly so: the undo of an earlier run makes the record again, and keeps what is another."""
    merged = merge(empty(), reading(company="Contoso", emails=("a@x.example",)), source=OUTLOOK, at=AT)
    assert merged.record["fields"]["company"] == {
        "value": "Contoso",
        "by": "import",
        "source": OUTLOOK,
        "version": "v1",
        "at": AT,
        "base": {OUTLOOK: "Contoso"},
        "conflicts": {},
    }
    (element,) = merged.record["sets"]["emails"]
    assert element["origins"] == {OUTLOOK: {"version": "v1", "at": AT, "by": "import"}}
    assert [(change["field"], change["key"]) for change in merged.changes] == [
        ("company", ""),
        ("emails", "a@x.example"),
    ]


# What Outlook delivered before, what a person typed then, what Outlook delivers now → what is shown, what is offered.
THREE_WAYS = {
    "Outlook changed it": ("old", None, "new", "new", None),
    "a person changed it": ("old", "mine", "old", "mine", None),
    "both changed it": ("old", "mine", "new", "mine", "new"),
    "both to the same": ("old", "mine", "mine", "mine", None),
    "Outlook emptied it": ("old", None, "", None, None),
    "Outlook emptied what a person typed": ("old", "mine", "", "mine", None),
    "Outlook filled it": ("", None, "new", "new", None),
    "Outlook filled what a person typed": ("", "mine", "new", "mine", "new"),
    "a person emptied it": ("old", "", "old", None, None),
    "a person emptied it, Outlook changed it": ("old", "", "new", None, "new"),
    "nobody touched it": ("old", None, "old", "old", None),
}


@pytest.mark.parametrize(("before", "typed_in", "now", "kept", "offered"), THREE_WAYS.values(), ids=THREE_WAYS)
def test_a_field_is_merged_three_ways(
    before: str, typed_in: str | None, now: str, kept: str | None, offered: str | None
) -> None:
    record = given_by((OUTLOOK, reading(company=before)))
    if typed_in is not None:
        record = edit(record, "company", typed_in, person=ANNA, at=LATER).record
    merged = merge(record, reading("v2", company=now), source=OUTLOOK, at=LATER)
    assert value(merged.record) == kept
    field = merged.record["fields"].get("company")
    assert (field["conflicts"].get(OUTLOOK, {}).get("value") if field else None) == offered
    assert merged.conflicts == (["company"] if offered else [])
    assert (typed(merged.record) == {"company"}) is (typed_in is not None)


def test_a_person_adopts_or_dismisses_what_outlook_offers() -> None:
    record = edit(given_by((OUTLOOK, reading(company="old"))), "company", "mine", person=ANNA, at=LATER).record
    record = merge(record, reading("v2", company="new"), source=OUTLOOK, at=LATER).record
    adopted = adopt(record, "company", OUTLOOK, at=LATER).record
    assert (value(adopted), adopted["fields"]["company"]["conflicts"]) == ("new", {})
    assert value(merge(adopted, reading("v3", company="newer"), source=OUTLOOK, at=LATER).record) == "newer"
    kept = dismiss(record, "company", OUTLOOK).record
    assert (value(kept), kept["fields"]["company"]["conflicts"]) == ("mine", {})
    assert merge(kept, reading("v2", company="new"), source=OUTLOOK, at=LATER).changes == []
    assert merge(kept, reading("v3", company="newer"), source=OUTLOOK, at=LATER).conflicts == ["company"]
    assert adopt(kept, "company", OUTLOOK, at=LATER).changes == []


def test_what_another_source_gave_stays() -> None:
    record = given_by((OUTLOOK, reading(company="Contoso")), (OTHER, reading(company="Litware", department="Sales")))
    assert (value(record), value(record, "department")) == ("Contoso", "Sales")
    assert record["fields"]["company"]["conflicts"][OTHER]["value"] == "Litware"
    emptied = merge(record, reading("v2"), source=OTHER, at=LATER).record
    assert (value(emptied), value(emptied, "department")) == ("Contoso", None)
    other_way = merge(record, reading("v2"), source=OUTLOOK, at=LATER).record
    assert (value(other_way), other_way["fields"]["company"]["source"]) == ("Litware", OTHER)
    both = given_by((OUTLOOK, reading(company="Contoso")), (OTHER, reading(company="Contoso")))
    assert value(withdraw(both, source=OUTLOOK, at=LATER).record) == "Contoso"
    assert value(merge(both, reading("v2", company="Fabrikam"), source=OTHER, at=LATER).record) == "Fabrikam"


def test_sets_keep_an_element_while_anybody_gives_it() -> None:
    record = given_by((OUTLOOK, reading(emails=("a@x", "b@x"))), (OTHER, reading(emails=("b@x", "c@x"))))
    record = put(record, "emails", item("d@x"), person=ANNA, at=AT).record
    left = merge(record, reading("v2", emails=("a@x",)), source=OUTLOOK, at=LATER).record
    assert shown(left)["email_keys"] == ["a@x", "b@x", "c@x", "d@x"]
    assert list(left["sets"]["emails"][1]["origins"]) == [OTHER]
    gone = withdraw(withdraw(left, source=OTHER, at=LATER).record, source=OUTLOOK, at=LATER).record
    assert shown(gone)["email_keys"] == ["d@x"]


def test_an_element_that_a_person_removed_does_not_come_back() -> None:
    record = drop(given_by((OUTLOOK, reading(emails=("a@x", "b@x")))), "emails", "a@x", person=ANNA, at=AT).record
    assert shown(record)["email_keys"] == ["b@x"]
    for version in ("v2", "v3"):
        record = merge(record, reading(version, emails=("a@x", "b@x")), source=OUTLOOK, at=LATER).record
    assert shown(record)["email_keys"] == ["b@x"]
    assert typed(record) == {"emails"}
    own = put(record, "emails", item("c@x"), person=ANNA, at=AT).record
    assert shown(drop(own, "emails", "c@x", person=ANNA, at=LATER).record)["email_keys"] == ["b@x"]


def test_two_contacts_become_one_and_come_apart_again() -> None:
    one = given_by((OUTLOOK, reading(company="Contoso", emails=("a@x",))))
    two = given_by((OTHER, reading(company="Litware", job_title="Clerk", emails=("a@x", "b@x"))))
    two = edit(two, "job_title", "Head", person=ANNA, at=AT).record
    joined = absorb(one, two, at=LATER)
    assert (value(joined.record), value(joined.record, "job_title")) == ("Contoso", "Head")
    assert joined.record["fields"]["company"]["conflicts"][OTHER]["value"] == "Litware"
    assert shown(joined.record)["email_keys"] == ["a@x", "b@x"]
    assert undo(joined.record, joined.changes).record == one


def test_a_reading_that_is_invalid_changes_nothing() -> None:
    record = given_by((OUTLOOK, reading(company="Contoso")))
    merged = merge(record, Reading("AAMk", "v2", "f", "invalid"), source=OUTLOOK, at=LATER)
    assert (merged.record, merged.changes) == (record, [])


def test_undo_names_what_it_reversed_kept_and_could_not_read() -> None:
    record = given_by((OUTLOOK, reading(company="old", department="Sales", emails=("a@x",))))
    merged = merge(
        record, reading("v2", company="new", department="IT", office="1", emails=("b@x",)), source=OUTLOOK, at=AT
    )
    later = edit(merged.record, "company", "mine", person=ANNA, at=LATER).record
    later = merge(
        later, reading("v3", company="new", department="HR", emails=("b@x",)), source=OUTLOOK, at=LATER
    ).record
    later = drop(later, "emails", "b@x", person=ANNA, at=LATER).record
    broken: Any = {"field": "shoe size", "key": "", "index": 0, "before": None, "after": None}
    undone = undo(later, [*merged.changes, broken])
    said = {(one["field"], one["key"]): (one["outcome"], one["code"]) for one in undone.outcomes}
    assert said == {
        ("company", ""): ("kept", "edited_since"),
        ("department", ""): ("kept", "imported_since"),
        ("office", ""): ("kept", "imported_since"),
        ("emails", "a@x"): ("reversed", ""),
        ("emails", "b@x"): ("kept", "edited_since"),
        ("shoe size", ""): ("failed", "unreadable"),
    }
    assert (value(undone.record), value(undone.record, "department")) == ("mine", "HR")
    assert shown(undone.record)["email_keys"] == ["a@x"]


def test_an_undo_says_who_changed_a_value_since() -> None:
    """Taking or refusing what Outlook offers is a person's deed, though the value is Outlook's."""
    typed = edit(given_by((OUTLOOK, reading(company="old"))), "company", "mine", person=ANNA, at=AT).record
    run = merge(typed, reading("v2", company="new"), source=OUTLOOK, at=AT)
    taken = adopt(run.record, "company", OUTLOOK, at=LATER).record
    later = merge(taken, reading("v3", company="newer"), source=OUTLOOK, at=LATER).record
    since = {"taken": taken, "refused": dismiss(run.record, "company", OUTLOOK).record, "imported": later}
    codes = {name: undo(record, run.changes).outcomes[0]["code"] for name, record in since.items()}
    assert codes == {"taken": "edited_since", "refused": "edited_since", "imported": "imported_since"}


def test_the_undo_of_a_first_import_leaves_nothing() -> None:
    merged = merge(empty(), reading(company="Contoso", emails=("a@x",)), source=OUTLOOK, at=AT)
    assert is_empty(undo(merged.record, merged.changes).record)
    edited = edit(merged.record, "notes", "met at the fair", person=ANNA, at=LATER).record
    assert not is_empty(undo(edited, merged.changes).record)


VALUES = st.sampled_from(("", "", "one", "two", "three"))
KEYS = st.lists(st.sampled_from(("a@x", "b@x", "c@x", "d@x")), unique=True, max_size=4).map(tuple)
SOURCES = st.sampled_from((OUTLOOK, OTHER))
READINGS = st.builds(
    lambda version, company, notes, emails: reading(version, emails, company=company, notes=notes),
    st.sampled_from(("v1", "v2", "v3")),
    VALUES,
    VALUES,
    KEYS,
)
STEPS = st.one_of(
    st.tuples(st.just("merge"), SOURCES, READINGS),
    st.tuples(st.just("withdraw"), SOURCES),
    st.tuples(st.just("edit"), st.sampled_from(("company", "notes")), VALUES),
    st.tuples(st.just("put"), st.sampled_from(("a@x", "e@x"))),
    st.tuples(st.just("drop"), st.sampled_from(("a@x", "b@x", "e@x"))),
    st.tuples(st.just("adopt"), st.sampled_from(("company", "notes")), SOURCES),
    st.tuples(st.just("dismiss"), st.sampled_from(("company", "notes")), SOURCES),
    st.tuples(st.just("absorb"), SOURCES, READINGS),
)


def step(record: Record, name: str, *with_: Any) -> Any:
    match name, with_:
        case "merge", (source, delivered):
            return merge(record, delivered, source=source, at=LATER)
        case "withdraw", (source,):
            return withdraw(record, source=source, at=LATER)
        case "edit", (field, text):
            return edit(record, field, text, person=ANNA, at=LATER)
        case "put", (key,):
            return put(record, "emails", item(key, "typed"), person=ANNA, at=LATER)
        case "drop", (key,):
            return drop(record, "emails", key, person=ANNA, at=LATER)
        case "adopt", (field, source):
            return adopt(record, field, source, at=LATER)
        case "dismiss", (field, source):
            return dismiss(record, field, source)
        case _, (source, delivered):
            return absorb(record, given_by((f"{source}b", delivered)), at=LATER)


@given(SOURCES, READINGS)
def test_a_new_contact_is_what_a_merge_into_nothing_makes(source: str, delivered: Reading) -> None:
    """An undo takes the journal of a new contact from its record; a merge with another takes the reading from there."""
    made = record_of(delivered, source=source, at=AT)
    merged = merge(empty(), delivered, source=source, at=AT)
    assert (made, changes_of_new(made)) == (merged.record, merged.changes)
    read = reading_in(made, version=delivered.change_key)
    assert (read.fields, read.sets, read.status) == (delivered.fields, delivered.sets, "valid")
    assert merge(empty(), read, source=source, at=AT) == merged


@given(st.lists(STEPS, max_size=8), SOURCES, READINGS)
def test_the_same_delivery_twice_changes_nothing(steps: list[Any], source: str, delivered: Reading) -> None:
    record = empty()
    for one in steps:
        record = step(record, *one).record
    once = merge(record, delivered, source=source, at=AT)
    again = merge(once.record, delivered, source=source, at=LATER)
    assert (again.changes, again.conflicts, again.record) == ([], [], once.record)


@given(st.lists(STEPS, max_size=8), STEPS)
def test_undo_gives_the_former_record_when_nobody_touched_it(steps: list[Any], last: Any) -> None:
    record = empty()
    for one in steps:
        record = step(record, *one).record
    before = copy.deepcopy(record)
    done = step(record, *last)
    undone = undo(done.record, done.changes)
    assert record == before, "the record that was given stays as it is"
    assert undone.record == before
    assert {outcome["outcome"] for outcome in undone.outcomes} <= {"reversed"}
    assert undo(undone.record, done.changes).record == before, "an undo that is repeated changes nothing more"


@given(st.lists(STEPS, max_size=10))
def test_what_a_person_typed_survives_every_delivery(steps: list[Any]) -> None:
    record = edit(empty(), "company", "mine", person=ANNA, at=AT).record
    for one in steps:
        if one[0] not in ("edit", "adopt"):
            record = step(record, *one).record
    assert value(record) == "mine"


@given(st.lists(st.tuples(SOURCES, READINGS), max_size=6))
def test_without_people_the_newest_delivery_of_a_lone_source_shows(deliveries: list[tuple[str, Reading]]) -> None:
    record = empty()
    for source, delivered in deliveries:
        record = merge(record, delivered, source=source, at=AT).record
    alone = withdraw(record, source=OTHER, at=LATER).record
    last = next((delivered for source, delivered in reversed(deliveries) if source == OUTLOOK), reading())
    assert shown(alone)["fields"] == last.fields
    assert sorted(shown(alone)["email_keys"]) == sorted(item["key"] for item in last.sets.get("emails", ()))
