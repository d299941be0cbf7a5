from dev.generate import stale


def test_the_generated_files_are_current() -> None:
    assert stale() == []
