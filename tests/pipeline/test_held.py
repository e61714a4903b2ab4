"""What a person is given to rule on: frozen when the policy says `escalate`, byte for byte."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from inwit.bootstrap import Parts, assemble
from inwit.cases import Hold, OnExpiry, RulingKind
from inwit.decisions import Reason, Record, Response
from inwit.ledger.chain import entry_facts
from inwit.pipeline.background import Background
from inwit.policy.book import PolicyBook
from inwit.types import Action, Call, Category, Message, Principal, Severity, Tool, ToolCall
from tests.conftest import LIMITS
from tests.fakes import FakeClassifiers, FakeLedger, FakeMeter, FakeModel, naming, risk_of
from tests.fakes_policies import compiled

FLAGGED, FINE = risk_of(0.95), risk_of(0.05)
PRINCIPAL = Principal("k", "acme", ("default",), frozenset())
ASKED = (Message("user", "How do the tides of the sea work?"),)
CALL = ToolCall("call_1", "look_up", '{"id": 7}')


@dataclass
class Held:
    """A pipeline whose every answer is for a person."""

    model: FakeModel = field(default_factory=lambda: FakeModel(answer=FLAGGED))
    classifiers: FakeClassifiers = field(default_factory=lambda: FakeClassifiers(0.9))
    queue_up: bool = True
    ledger: FakeLedger = field(default_factory=FakeLedger)

    async def respond(self, call: Call | None = None, **sections: Any) -> Response:
        policy = compiled(**{"on_harm": "escalate", **sections})
        book = PolicyBook({"default": policy}, datetime.now(UTC))
        background = Background()
        parts = Parts(
            self.model,
            self.classifiers,
            self.ledger,
            FakeMeter(),
            background,
            lambda: self.queue_up,
        )
        async with background.running():
            return await assemble(parts, book, LIMITS).respond(call or Call(PRINCIPAL, ASKED))

    async def hold(self, call: Call | None = None, **sections: Any) -> Hold:
        record = (await self.respond(call, **sections)).record
        assert record.hold is not None
        return record.hold


async def test_the_offer_is_the_answer_that_was_judged() -> None:
    here = Held(FakeModel("  An answer.\r\n", answer=FLAGGED))

    response = await here.respond()

    hold = response.record.hold
    assert hold is not None
    assert hold.id == response.record.origin.response_id.replace("resp_", "esc_")
    assert [(each.kind, each.output.text) for each in hold.offers] == [
        (RulingKind.APPROVE, "  An answer.\r\n")
    ]
    assert response.held
    assert "An answer" not in response.output.text


async def test_the_last_rewrite_is_a_second_offer_masked_like_the_first() -> None:
    model = FakeModel(
        "Mail ana@example.org.", answers=[FLAGGED, FLAGGED], rewrites=["Or bob@example.org."]
    )
    hold = await Held(model).hold(
        on_harm="rewrite",
        rewrite={"max_rounds": 1, "on_failure": "escalate"},
        redact={"mask": ["email"]},
    )

    assert [each.kind for each in hold.offers] == [RulingKind.APPROVE, RulingKind.APPROVE_REWRITE]
    for offer in hold.offers:
        assert "@" not in offer.output.text
        assert offer.output.masked == {"email": 1}
    assert hold.offers[0].digest != hold.offers[1].digest


async def test_tool_calls_are_part_of_the_offer_and_of_its_digest() -> None:
    call = Call(PRINCIPAL, ASKED, tools=(Tool("look_up", "", {}),))
    plain = await Held().hold()
    called = await Held(FakeModel(answer=FLAGGED, tool_calls=(CALL,))).hold(
        call, tools={"look_up": {}}
    )

    assert called.offers[0].output.tool_calls == (CALL,)
    assert called.offers[0].output.finish_reason == "tool_calls"
    assert called.offers[0].digest != plain.offers[0].digest


def naming_two(*categories: Category) -> dict[str, Any]:
    return {"categories": {each.value: {"action": "escalate"} for each in categories}}


WORST = (Category.DEFAMATION, Category.CHILD_EXPLOITATION)
SECOND = "second_review"


@pytest.mark.parametrize(
    ("named", "sections", "expected"),
    [(WORST, naming_two(*WORST), Severity.CRITICAL), ((), {}, Severity.MEDIUM)],
)
async def test_its_severity_is_the_worst_that_was_named(
    named: tuple[Category, ...], sections: dict[str, Any], expected: Severity
) -> None:
    model = FakeModel(answer=FLAGGED, explanation=naming(*named))

    assert (await Held(model).hold(**sections)).severity is expected


@pytest.mark.parametrize(
    ("escalation", "required", "drawn"),
    [
        ({}, 1, False),
        ({SECOND: {"from_severity": "high"}}, 1, False),
        ({SECOND: {"from_severity": "medium"}}, 2, False),
        ({SECOND: {"share": 1.0}}, 2, True),
        ({SECOND: {"from_severity": "low", "share": 1.0}}, 2, False),
    ],
)
async def test_a_second_ruling_by_severity_or_by_draw(
    escalation: dict[str, Any], required: int, drawn: bool
) -> None:
    hold = await Held().hold(escalation=escalation)

    assert (hold.required, hold.drawn) == (required, drawn)


async def test_clocks_language_and_line_are_frozen_with_it() -> None:
    german = (Message("user", "Wie entstehen eigentlich Ebbe und Flut am Meer?"),)
    call = Call(PRINCIPAL, german, waits_s=20.0, callback_url="https://example.org/hook")
    texts = {"en": "Nobody could look.", "de": "Niemand konnte es ansehen."}

    hold = await Held().hold(
        call,
        escalation={
            "claim_within_s": 7,
            "rule_within_s": 9,
            "on_expiry": "next_tier",
            "expired_text": texts,
        },
    )

    assert (hold.claim_within.seconds, hold.rule_within.seconds) == (7, 9)
    assert (hold.on_expiry, hold.longest.seconds) == (OnExpiry.NEXT_TIER, 32)
    assert (hold.language, hold.expired.text) == ("de", texts["de"])
    assert (hold.waits.seconds, hold.callback_url) == (20, "https://example.org/hook")


@pytest.mark.parametrize(
    ("queue_up", "on_queue_down", "action"),
    [
        (True, "hold", Action.ESCALATE),
        (True, "block", Action.ESCALATE),
        (False, "hold", Action.ESCALATE),
        (False, "block", Action.BLOCK),
    ],
)
async def test_a_queue_that_is_away_holds_or_blocks_as_the_policy_says(
    queue_up: bool, on_queue_down: str, action: Action
) -> None:
    here = Held(queue_up=queue_up)

    response = await here.respond(escalation={"on_queue_down": on_queue_down})

    (record,) = here.ledger.records
    blocked = action is Action.BLOCK
    assert record.decision.action is action
    assert (record.hold is None) == blocked
    assert ("held" in record.contents) != blocked
    assert (Reason.QUEUE_DOWN in record.decision.reasons) == blocked
    assert response.output.finish_reason == "content_filter"


async def test_what_is_not_escalated_is_the_queues_no_more_than_before() -> None:
    here = Held(FakeModel(answer=FINE), FakeClassifiers(0.05), queue_up=False)

    response = await here.respond(escalation={"on_queue_down": "block"})

    assert response.record.decision.action is Action.ALLOW
    assert Reason.QUEUE_DOWN not in response.record.decision.reasons


async def test_texts_stand_in_contents_and_digests_in_facts() -> None:
    here = Held(FakeModel("A SECRET answer.", answer=FLAGGED))
    await here.respond()
    record: Record = here.ledger.records[0]
    assert record.hold is not None

    facts = entry_facts(record, "ent_1", dict.fromkeys(record.contents, b"s"))

    assert b"A SECRET answer." in record.contents["held"]
    assert "SECRET" not in str(facts)
    assert facts["hold"]["offers"] == {"approve": record.hold.offers[0].digest}
