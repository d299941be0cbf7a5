"""What every integration event shares."""

from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema


def known(values: Any) -> WithJsonSchema:
    """The values of a ``Literal`` as an open enumeration: the schema lists them and takes any other string too.

    The emitter's code is typed by the ``Literal``, so it can publish no other; a consumer reads ``str``, so that a
    value that is added later does not stop it.
    """
    return WithJsonSchema({"anyOf": [{"type": "string", "enum": list(get_args(values))}, {"type": "string"}]})


def personal(how: str) -> Any:
    """Marks a field that is about a person: ``direct`` names or quotes them, ``pseudonym`` is an id of theirs."""
    return Field(json_schema_extra={"x-personal-data": how})


def schema_id(topic: str) -> str:
    """The ``$id`` of the JSON Schema of a topic's data, which ``ce_dataschema`` names."""
    return f"urn:prospo:m365:{topic}:v1"


Direct = Annotated[str, personal("direct")]
Pseudonym = Annotated[str, personal("pseudonym")]


class Part(BaseModel):
    """A part of an event's data. Unknown fields are ignored, so an older model reads newer events."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)


class Event(Part):
    """A past-tense fact about one aggregate of one organisation.

    ``topic`` is the Kafka topic and the last part of the CloudEvents type; ``emitter`` the one service that adds it to
    its outbox.
    """

    topic: ClassVar[str] = ""
    emitter: ClassVar[str] = ""

    org_id: str
    """The organisation in Prospo."""
    aggregate_version: int
    """Grows with each change of the aggregate, not always by one. Of the events of one emitter under one key the one
    with the higher version is the newer state; two that tell of one change have the same."""

    @property
    def key(self) -> str:
        """The Kafka key: the aggregate's id. Order is promised per key within a topic."""
        return self.org_id
