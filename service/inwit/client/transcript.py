"""What a stream has said so far: bytes in, events out, and the text that stands. No I/O."""

import re
from collections import deque

from inwit.client.answers import Answer
from inwit.client.errors import BadAnswer, InwitError
from inwit.client.events import Decision, Delta, Done, Event, Retract, read_event
from inwit.client.parsing import json_object
from inwit.client.reading import read_answer
from inwit.client.sse import Decoder, Message

_PLAIN_ID = re.compile(r"[\x21-\x7e]{1,200}")
_SENT = re.compile(r"[^/]+/([0-9]{1,9})")


class Transcript:
    """One stream, from its first byte to `done`. The state machine of both clients.

    Its state is always that of the last event taken: `text`, `tool_calls`, `decision`,
    `last_event_id` (from where a broken stream can be taken up), `begun` and `ended`.
    """

    def __init__(self, response_id: str, request_id: str | None, replayed: bool) -> None:
        self.response_id = response_id
        self.last_event_id = ""
        self.decision: Decision | None = None
        self.begun = False
        self.ended = False
        self._request_id = request_id
        self._replayed = replayed
        self._answer: Answer | None = None
        self._parts: list[str] = []
        self._length = 0
        self._calls: list[object] = []
        self._decoder = Decoder()
        self._waiting: deque[Message] = deque()

    @property
    def text(self) -> str:
        """The text that stands now."""
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    @property
    def answer(self) -> Answer:
        """The whole answer.

        Raises:
            RuntimeError: the stream was not read to its end, so that nothing is certain yet.
        """
        if self._answer is None:
            raise RuntimeError(
                "The stream has no answer before its end: read it through, or call `finish()`."
            )
        return self._answer

    def feed(self, chunk: bytes) -> None:
        """Take what came; `take` gives the events in it."""
        self._waiting.extend(self._decoder.feed(chunk))

    def reconnected(self) -> None:
        """What comes next is from another connection: half an event is no beginning."""
        self._decoder = Decoder()

    def take(self) -> Event | None:
        """The next event, once it is applied; None where more bytes are wanted.

        Raises:
            InwitError: as an `error` event says.
            BadAnswer: an event breaks the contract. Nothing of it was applied.
        """
        while self._waiting and not self.ended:
            message = self._waiting.popleft()
            event = read_event(message.name, json_object(message.data))
            self.begun = True
            if event is not None:
                self._apply(event, message.id)
            if _PLAIN_ID.fullmatch(message.id):
                self.last_event_id = message.id
            if event is not None:
                return event
        return None

    def end_with(self, error: InwitError) -> None:
        """The stream has ended with this error, which is given the text so far."""
        self.ended = True
        error.text, error.response_id = self.text, self.response_id
        error.request_id = error.request_id or self._request_id

    def _apply(self, event: Event, event_id: str) -> None:
        match event:
            case Delta():
                self._append(event, event_id)
            case Retract():
                self._retract(event)
            case Decision():
                if self.decision is not None or event.id != self.response_id:
                    raise BadAnswer("The gateway's stream decides twice, or on another response.")
                self.decision = event
            case Done():
                self._answer = self._complete(event)
                self.ended = True

    def _append(self, delta: Delta, event_id: str) -> None:
        if delta.tool_calls and not (self.decision and self.decision.released):
            raise BadAnswer("The gateway's stream has tool calls that no decision released.")
        length = self._length + len(delta.content)
        sent = _SENT.fullmatch(event_id)
        if sent and int(sent[1]) != length:
            raise BadAnswer("Text of the gateway's stream was lost or doubled on its way.")
        self._parts.append(delta.content)
        self._length = length
        self._calls += [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in delta.tool_calls
        ]

    def _retract(self, retract: Retract) -> None:
        if retract.offset > self._length:
            raise BadAnswer("The gateway's stream withdraws text that it never sent.")
        self._parts = [self.text[: retract.offset], retract.replacement]
        self._length = retract.offset + len(retract.replacement)

    def _complete(self, done: Done) -> Answer:
        if self.decision is None:
            raise BadAnswer("The gateway's stream ends without a decision.")
        output = {
            "role": "assistant",
            "content": self.text,
            "tool_calls": self._calls,
            "finish_reason": done.finish_reason,
        }
        whole = {**self.decision.raw, **done.raw, "output": output}
        whole.pop("finish_reason", None)
        return read_answer(whole, self._request_id, self._replayed)
