from dev.generate import stale
from dev.generated.behaviours import numbered, proofs


def test_the_generated_files_are_current() -> None:
    assert stale() == []


def test_every_behaviour_of_the_simulator_is_proved_by_a_test() -> None:
    assert len(numbered()) == 67
    assert sorted(set(numbered()) - set(proofs())) == []
    assert sorted(set(proofs()) - set(numbered())) == []
