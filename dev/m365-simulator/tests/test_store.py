"""What the simulator remembers is found by a field, whatever became of the rows since."""

from pathlib import Path

import pytest

from m365_simulator.store import Store


@pytest.fixture(params=[True, False], ids=["asked before", "asked after"])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    """The index is there before the rows, or is made of them."""
    found = Store(tmp_path / "state")
    if request.param:
        assert found.where("calls", "meeting", "m1") == []
    for number, meeting in enumerate(["m1", "m2", "m1"]):
        found.put("calls", f"c{number}", {"id": f"c{number}", "meeting": meeting})
    return found


def ids(store: Store, meeting: str | None) -> list[str]:
    return [row["id"] for row in store.where("calls", "meeting", meeting)]


def test_rows_are_found_by_a_field_in_their_order(store: Store) -> None:
    assert (ids(store, "m1"), ids(store, "m2"), ids(store, "m3")) == (["c0", "c2"], ["c1"], [])


def test_a_row_that_is_put_anew_is_found_as_it_is_now(store: Store) -> None:
    assert ids(store, "m1") == ["c0", "c2"]
    row = store.get("calls", "c0") or {}
    row["meeting"] = "m2"
    store.put("calls", "c0", row)
    store.put("calls", "c2", {"id": "c2", "meeting": "m1", "ended": "now"})
    assert (ids(store, "m1"), ids(store, "m2")) == (["c2"], ["c1", "c0"])
    assert store.where("calls", "meeting", "m1")[0]["ended"] == "now"


def test_a_row_that_is_gone_is_not_found(store: Store) -> None:
    assert ids(store, "m1") == ["c0", "c2"]
    store.delete("calls", "c0")
    store.delete("calls", "never there")
    store.put("calls", "c9", {"id": "c9"})
    assert (ids(store, "m1"), ids(store, None)) == (["c2"], ["c9"])


def test_after_a_restart_the_same_is_found(store: Store, tmp_path: Path) -> None:
    store.close()
    assert ids(Store(tmp_path / "state"), "m1") == ["c0", "c2"]
