"""The chart rendered by Helm itself: ``PROSPO_HELM``, or ``helm`` on the path."""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

Json = dict[str, Any]
CHART = Path(__file__).resolve().parents[2] / "deploy/helm/prospo-m365"
HELM = os.environ.get("PROSPO_HELM") or shutil.which("helm")
SMALLEST = CHART / "ci/smallest-values.yaml"
EVERYTHING = CHART / "ci/everything-values.yaml"


class Rendered:
    """The objects of one rendering."""

    def __init__(self, text: str) -> None:
        self.objects: list[Json] = [one for one in yaml.safe_load_all(text) if one]

    def of(self, kind: str) -> list[Json]:
        return [one for one in self.objects if one["kind"] == kind]

    def named(self, kind: str, end: str) -> Json:
        (found,) = (one for one in self.of(kind) if one["metadata"]["name"] == f"prospo-prospo-m365{end}")
        return found

    def pods(self) -> Iterator[tuple[Json, Json]]:
        """Each object that makes pods, and what its pods are."""
        for one in self.objects:
            if one["kind"] in {"Deployment", "Job"}:
                yield one, one["spec"]["template"]["spec"]
            elif one["kind"] == "Pod":
                yield one, one["spec"]


Render = Callable[..., Rendered]


@functools.cache
def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(HELM), *arguments], capture_output=True, text=True)


@pytest.fixture
def refused() -> Callable[..., str]:
    """``refused("a.b=c")``: what Helm says instead of rendering."""

    def render(*given: str, values: Path = SMALLEST) -> str:
        said = helm(*_arguments("prospo", values, given))
        assert said.returncode != 0, "it was rendered"
        return said.stderr

    return render


@pytest.fixture
def render() -> Render:
    """``render("a.b=c")``: with the smallest values and these."""

    def made(*given: str, values: Path = SMALLEST, release: str = "prospo") -> Rendered:
        said = helm(*_arguments(release, values, given))
        assert said.returncode == 0, said.stderr
        return Rendered(said.stdout)

    return made


def _arguments(release: str, values: Path, given: tuple[str, ...]) -> list[str]:
    more = [part for one in given for part in ("--set", one)]
    return ["template", release, str(CHART), "--namespace", "there", "--values", str(values), *more]
