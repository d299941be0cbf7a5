"""What a test, a scenario or a person can do to the simulated world: functions by name, with checked arguments."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

if TYPE_CHECKING:
    from .core import Simulator

F = TypeVar("F", bound=Callable[..., Any])


class Refused(ValueError):
    """It cannot be done as asked; the sentence says why and what can."""


@dataclass(frozen=True, slots=True)
class Verb:
    """``says`` is the first line of the function's docstring, ``arguments`` checks its keywords."""

    name: str
    says: str
    arguments: type[BaseModel]
    call: Callable[..., Any]

    @property
    def words(self) -> list[str]:
        return list(self.arguments.model_fields)


VERBS: dict[str, Verb] = {}


def verb(function: F) -> F:
    """Register ``function(simulator, *, …)`` under its name. What it returns is JSON, or None."""
    named = list(inspect.signature(function).parameters.values())[1:]
    fields: dict[str, Any] = {
        one.name: (one.annotation, ... if one.default is inspect.Parameter.empty else one.default) for one in named
    }
    arguments = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    says = (inspect.getdoc(function) or "").partition("\n")[0]
    VERBS[function.__name__] = Verb(function.__name__, says, arguments, function)
    return function


def perform(simulator: "Simulator", name: str, arguments: dict[str, Any]) -> Any:
    """Raises ``Refused`` with the known verbs or arguments, or with what the verb itself says."""
    known = VERBS.get(name)
    if known is None:
        raise Refused(f"There is no verb '{name}'. Known: {', '.join(sorted(VERBS))}.")
    try:
        checked = known.arguments(**arguments)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
        words = ", ".join(known.words) or "none"
        raise Refused(f"'{name}' cannot read its arguments. {'; '.join(faults)}. Arguments: {words}.") from error
    return known.call(simulator, **{word: getattr(checked, word) for word in known.words})
