"""Private data taken out before it is kept: of what nobody is told again, and of nothing else."""

import json
import re
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from inwit.ledger.database import Database
from inwit.ledger.store import LedgerStore
from inwit.ledger.verify_database import verify_database
from inwit.pipeline.stored_redaction import RedactingLedger
from inwit.redaction.stored import Finder, Found, redacted
from tests.api.checking import check, checking
from tests.api.evidence import entry
from tests.api.test_retrieval import bringing, listed
from tests.conftest import ASK, Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeModel, risk_of
from tests.fakes_policies import compiled

MAIL = "ann@example.com"
SAID = [{"role": "user", "content": f"I am {MAIL}. How do tides work?", "name": "Ann"}]
WROTE = f"The moon pulls the sea, {MAIL}."


class Mails:
    """Finds addresses, and part of each as something else that is less sure."""

    def find(self, text: str) -> list[Found]:
        spans = [match.span() for match in re.finditer(r"\w+@[\w.]+\w", text)]
        mails = [Found(start, end, "EMAIL_ADDRESS", 1.0) for start, end in spans]
        return [*mails, *(Found(start + 4, end, "URL", 0.5) for start, end in spans)]


class Stuck:
    """Never comes to an end by itself."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def find(self, text: str) -> Sequence[Found]:
        self.go.wait()
        raise RuntimeError(text)


class Broken:
    def find(self, text: str) -> Sequence[Found]:
        raise RuntimeError(text)


Redacting = Callable[..., Any]


@pytest.fixture
async def redacting(make_caller: MakeCaller, database: Database) -> AsyncGenerator[Redacting]:
    """Makes callers whose gateway keeps what a finder leaves."""
    async with AsyncExitStack() as stack:

        async def make(
            model: FakeModel | None = None,
            finder: Finder | None = None,
            within_s: float = 30.0,
            **more: Any,
        ) -> Caller:
            store = LedgerStore(database)
            await stack.enter_async_context(store.running())
            ledger = RedactingLedger(store, finder or Mails(), within_s)
            await stack.enter_async_context(ledger.running())
            return await make_caller(model or FakeModel(WROTE), ledger=ledger, **more)

        yield make


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    finder = Stuck()
    yield finder
    finder.go.set()


def unmasked() -> Any:
    """A policy that lets addresses out."""
    return compiled(redact=None)


async def test_what_is_kept_has_placeholders_and_its_entry_says_how_many(
    redacting: Redacting,
) -> None:
    caller = await redacting(policies=(unmasked(),))

    body = (await caller.respond({"messages": SAID, "metadata": {"name": MAIL}})).json()

    story = await entry(caller, body)
    request, candidate = story.contents["request"], story.contents["candidate"]
    assert request["messages"][0]["content"] == "I am [EMAIL_ADDRESS]. How do tides work?"
    assert request["messages"][0]["role"] == "user"
    assert request["metadata"] == {"name": "[EMAIL_ADDRESS]"}
    assert candidate["text"] == "The moon pulls the sea, [EMAIL_ADDRESS]."
    assert story.facts["redacted"] == {"EMAIL_ADDRESS": 3}
    assert story.facts["schema"] == 5
    assert MAIL not in json.dumps(story.facts)
    assert (await caller.database.read(verify_database)).breaks == ()


async def test_what_was_released_is_told_again_and_replayed_as_it_was_sent(
    redacting: Redacting,
) -> None:
    caller = await redacting(policies=(listed(redact=None),))
    body = bringing(("wiki/a", f"Write to {MAIL}."), messages=SAID)
    key = {"idempotency-key": "order-1"}

    first = (await caller.respond(body, **key)).json()
    again = (await caller.respond(body, **key)).json()
    told = (await caller.http.get(f"/v1/responses/{first['id']}")).json()

    assert first["output"]["content"] == WROTE
    assert MAIL not in json.dumps((await entry(caller, first)).contents["request"])
    for other in (again, told):
        assert other | {"timings_ms": None} == first | {"timings_ms": None}


async def test_what_a_person_rules_on_is_left_as_it_was(redacting: Redacting) -> None:
    model = FakeModel(WROTE, answer=risk_of(0.95))
    escalating = compiled(on_harm="escalate", redact=None)
    caller = await redacting(model, classifiers=FakeClassifiers(0.9), policies=(escalating,))

    body = (await caller.respond({"messages": SAID})).json()

    story = await entry(caller, body)
    assert story.facts["outcome"] == "held"
    assert "redacted" not in story.facts
    assert story.contents["candidate"]["text"] == WROTE
    assert story.contents["request"]["messages"] == SAID


async def test_what_a_caller_had_checked_is_left_as_it_was(redacting: Redacting) -> None:
    caller = await redacting()

    body = (await check(caller, checking(WROTE))).json()

    story = await entry(caller, body)
    assert story.contents["candidate"]["text"] == WROTE
    assert "redacted" not in story.facts


async def test_what_cannot_be_looked_through_in_time_is_not_kept(
    redacting: Redacting, stuck: Stuck
) -> None:
    caller = await redacting(finder=stuck, within_s=0.05, policies=(unmasked(),))

    await _is_left_out(caller)


async def test_what_a_finder_breaks_at_is_not_kept(
    redacting: Redacting, capsys: pytest.CaptureFixture[str]
) -> None:
    caller = await redacting(finder=Broken(), policies=(unmasked(),))

    await _is_left_out(caller)
    assert MAIL not in capsys.readouterr().out


async def _is_left_out(caller: Caller) -> None:
    answer = await caller.respond({"messages": SAID})

    story = await entry(caller, answer.json())
    assert answer.json()["output"]["content"] == WROTE
    assert story.contents["request"]["messages"][0]["content"] == "[left_out]"
    assert story.contents["candidate"]["text"] == "[left_out]"
    assert story.contents["released"]["text"] == WROTE
    assert story.facts["redacted"] == {"left_out": 2}


async def test_without_it_entries_are_as_ever(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(WROTE))

    story = await entry(caller, (await caller.respond(ASK)).json())

    assert "redacted" not in story.facts
    assert story.contents["candidate"]["text"] == WROTE


def test_texts_are_found_wherever_they_stand_and_structure_is_not() -> None:
    call = {"id": MAIL, "type": "function", "function": {"name": "mail", "arguments": MAIL}}
    round_ = {
        "text": "",
        "reasoning": f"{MAIL}, {MAIL}",
        "tool_calls": [call],
        "explanation": {"spans": [MAIL, "x"], "reason": f"to {MAIL}"},
    }
    request: dict[str, Any] = {
        "messages": [],
        "end_user": MAIL,
        "tools": [{"description": MAIL}],
        "metadata": {},
    }

    kept, counts = redacted(
        {"rewrite_1": json.dumps(round_).encode(), "request": json.dumps(request).encode()},
        Mails(),
        lambda: False,
    )

    mail = "[EMAIL_ADDRESS]"
    assert json.loads(kept["rewrite_1"]) == {
        "text": "",
        "reasoning": f"{mail}, {mail}",
        "tool_calls": [{**call, "function": {"name": "mail", "arguments": mail}}],
        "explanation": {"spans": [mail, "x"], "reason": f"to {mail}"},
    }
    assert json.loads(kept["request"]) == request
    assert counts == {"EMAIL_ADDRESS": 5}


def test_a_text_without_an_end_is_not_looked_through() -> None:
    endless = json.dumps({"text": "a" * 100_001, "reasoning": "b"}).encode()

    kept, counts = redacted({"candidate": endless, "released": endless}, Mails(), lambda: False)

    assert json.loads(kept["candidate"]) == {"text": "[left_out]", "reasoning": "b"}
    assert kept["released"] == endless
    assert counts == {"left_out": 1}
