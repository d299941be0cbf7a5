"""Which conversation of its mailbox a message belongs to.

By message ids first (its own, In-Reply-To, References), which mail programs keep all over the world; then by
Microsoft's conversation id, where somebody other than the owner takes part in both: it is given to unrelated mails too.
Never by the subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from shared.database.outbox import uuid7

Why = Literal["references", "conversation", "first"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message to be placed. ``keys`` are its message ids, ``others`` the addresses of it that are not the owner's."""

    id: str
    keys: Sequence[str]
    conversation_id: str
    others: frozenset[str]


@dataclass
class Threads:
    """``by_key``: message id → conversation. ``by_conversation``: Microsoft's id → conversation → its others."""

    by_key: dict[str, str] = field(default_factory=dict)
    by_conversation: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    placed: dict[str, tuple[str, Why]] = field(default_factory=dict)
    """Message → its conversation, and why."""
    made: list[str] = field(default_factory=list)
    merged: dict[str, str] = field(default_factory=dict)
    """Conversation that is no more → the one it became a part of; the older one stays."""

    def place(self, arrival: Arrival) -> None:
        found = sorted({self.now(self.by_key[key]) for key in arrival.keys if key in self.by_key})
        why: Why = "references"
        if not found:
            known = self.by_conversation.get(arrival.conversation_id, {})
            found = sorted(self.now(one) for one, others in known.items() if others & arrival.others)[:1]
            why = "conversation"
        if not found:
            found, why = [uuid7()], "first"
            self.made.append(found[0])
        for lost in found[1:]:
            self.merged[lost] = found[0]
        self.by_key |= dict.fromkeys(arrival.keys, found[0])
        if arrival.conversation_id:
            known = self.by_conversation.setdefault(arrival.conversation_id, {})
            known.setdefault(found[0], set()).update(arrival.others)
        self.placed[arrival.id] = found[0], why

    def now(self, conversation: str) -> str:
        """The conversation itself, or the one into which it was merged."""
        while conversation in self.merged:
            conversation = self.merged[conversation]
        return conversation
