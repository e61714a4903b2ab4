"""A response in the ledger told again, as the rest of its stream."""

import json
import re
from dataclasses import dataclass

from inwit.api.respond_answer import to_wire
from inwit.api.respond_stream import ending
from inwit.api.sse import event
from inwit.decisions import Response
from inwit.errors import FieldError, InvalidField

LAST_EVENT_ID = "Last-Event-ID"

_STEPS = ("decision", "retract", "rest", "calls", "done", "error")
_PLACE = re.compile(rf"([0-9]{{1,9}})|({'|'.join(_STEPS)})")


@dataclass(frozen=True, slots=True)
class Place:
    """How far a caller has read a stream: `sent` code points, or past the event named `step`."""

    sent: int = 0
    step: str | None = None

    @property
    def at_the_end(self) -> bool:
        """Whether nothing can come any more."""
        return self.step in ("done", "error")


def place_of(last_event_id: str | None, response_id: str) -> Place:
    """Read a Last-Event-ID; the beginning where there is none.

    Raises:
        InvalidField: it is no id of an event of this response.
    """
    if last_event_id is None:
        return Place()
    name, _, where = last_event_id.partition("/")
    found = _PLACE.fullmatch(where)
    if name != response_id or found is None:
        raise no_such_event("it must be the id of an event of this response, as it came")
    number, step = found.groups()
    return Place(step=step) if step else Place(int(number))


def no_such_event(problem: str) -> InvalidField:
    """The error for a Last-Event-ID of an event that the stream does not have."""
    errors = (FieldError(LAST_EVENT_ID, problem),)
    return InvalidField(f"Mend the header {LAST_EVENT_ID}, or leave it out.", errors)


def delta(response_id: str, text: str, sent: int) -> bytes:
    """Text that left before the decision; `sent` code points have left with it."""
    return event("delta", json.dumps({"content": text}), f"{response_id}/{sent}")


def events_after(response: Response, place: Place) -> list[bytes]:
    """What comes after `place` in the stream of a decided response.

    Text that was withdrawn is not sent again: the retraction puts all of it right.

    Raises:
        InvalidField: the stream has no such place.
    """
    sent, retracted = 0, False
    if response.record.sent is not None:
        sent, retracted = response.record.sent.length, response.record.sent.retracted
    answer = to_wire(response)
    events = list(ending(answer, sent, retracted))
    if place.step is not None:
        return _after(events, f"{answer.id}/{place.step}")
    if place.sent > sent:
        raise no_such_event("it names more text than was sent")
    missed = answer.output.content[place.sent : sent]
    return [delta(answer.id, missed, sent), *events] if missed and not retracted else events


def _after(events: list[bytes], event_id: str) -> list[bytes]:
    line = f"\nid: {event_id}\n".encode()  # data is JSON in one line, which cannot hold this
    for number, each in enumerate(events, start=1):
        if line in each:
            return events[number:]
    raise no_such_event("this response's stream has no such event")
