"""Reads streams of events as a caller does: joins deltas, honours retractions."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    id: str
    data: Any


def events_in(raw: str) -> list[Event]:
    """The events of a whole stream; comments are left out."""
    events: list[Event] = []
    for block in raw.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            events.append(Event(fields["event"], fields["id"], json.loads(fields["data"])))
    return events


@dataclass
class Reader:
    """What a caller has on its screen, and what it was told."""

    text: str = ""
    tool_calls: list[Any] = field(default_factory=list[Any])
    decision: dict[str, Any] | None = None
    done: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    def take(self, events: Iterable[Event]) -> "Reader":
        """Take more events, in the order of the contract."""
        for event in events:
            assert self.done is None, "nothing comes after the end"
            assert self.error is None, "nothing comes after the end"
            self._take(event)
        return self

    def _take(self, event: Event) -> None:
        match event.name:
            case "delta":
                self.text += event.data.get("content", "")
                self.tool_calls += event.data.get("tool_calls", [])
            case "retract":
                assert self.decision is not None
                self.text = self.text[: event.data["offset"]] + event.data["replacement"]
            case "decision":
                assert self.decision is None
                self.decision = event.data
            case "done":
                assert self.decision is not None
                self.done = event.data
            case "error":
                self.error = event.data
            case other:
                raise AssertionError(f"an unknown event: {other}")
