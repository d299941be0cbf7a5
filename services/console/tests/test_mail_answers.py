"""The answers that the pages of mail are tested with are answers that the API can give: no field more, none less."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema

from services.console.tests.letters import BODY_STATES, LETTER_STATES

OPENAPI = json.loads((Path(__file__).parents[3] / "contracts/openapi/mail.json").read_text())
VERBS = re.compile(r"^(?:(GET|POST|PUT|PATCH|DELETE) )?(/v1/mail.*)$")


def exact(schema: Any) -> Any:
    """With every field asked for and no other allowed."""
    if isinstance(schema, list):
        return [exact(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: exact(one) for name, one in schema.items()}
    if isinstance(schema.get("properties"), dict):
        made |= {"additionalProperties": False, "required": sorted(schema["properties"])}
    return made


COMPONENTS = exact(OPENAPI["components"])


def operation(method: str, path: str) -> dict[str, Any]:
    """The operation at a path; the literal one before one with a parameter."""
    there = [known for known in OPENAPI["paths"] if re.fullmatch(re.sub(r"{[^}]*}", "[^/]+", known), path)]
    assert there, f"no route is {path}"
    found: dict[str, Any] = OPENAPI["paths"][min(there, key=lambda known: known.count("{"))][method]
    return found


def answers() -> list[tuple[str, str, str, Any]]:
    """State, method, path and answer; not refusals, which are problem documents."""
    found = []
    for name, state in (LETTER_STATES | BODY_STATES).items():
        for asked, answer in state.answers.items():
            match = VERBS.match(asked)
            status, body = answer if isinstance(answer, tuple) else (200, answer)
            if match and status < 300:
                found.append((name, (match[1] or "GET").lower(), match[2], body))
    return found


def test_every_answer_of_the_tests_is_one_that_the_api_can_give() -> None:
    wrong = []
    for name, method, path, body in answers():
        content = operation(method, path)["responses"]["200"]["content"]
        schema = exact(content["application/json"]["schema"]) | {"components": COMPONENTS}
        wrong += [
            f"{name}: {path}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(body)
        ]
    assert len(answers()) > 40
    assert wrong == []
