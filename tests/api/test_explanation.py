"""The explanation: past the lower threshold the conscience names categories, or changes nothing."""

import json
from typing import Any

import pytest

from inwit.errors import UpstreamError
from tests.api.evidence import counting, entry
from tests.conftest import ASK, MakeCaller
from tests.fakes import FakeModel, naming, risk_of
from tests.fakes_policies import compiled
from tests.patience import longer_and_longer

WORDS = "The moon pulls"  # of the candidate
SECRET = "REASON-51c2"

# What the model may reply, and what becomes of it.
REPLIES = {
    "named": naming("hate", quotes=(WORDS,), reason=SECRET),
    "no JSON": f"It is hate. {SECRET}",
    "another shape": json.dumps({"category": "hate", "reason": SECRET}),
    "one key too many": json.dumps({**json.loads(naming("hate")), "risk": 0}),
    "a category that does not exist": naming("rudeness", reason=SECRET),
    "a category not asked about": naming("intellectual_property", reason=SECRET),
    "no category": naming(reason=SECRET),
    "a quote that is not in the answer": naming("hate", quotes=(SECRET,)),
    "deep": "[" * 100_000,
    "a longer quote than it may give": naming("hate", quotes=("moon" * 200,)),
}
STATUSES = {
    "named": "named",
    "no JSON": "ill_formed",
    "another shape": "ill_formed",
    "one key too many": "ill_formed",
    "a category that does not exist": "ill_formed",
    "a category not asked about": "contradicting",
    "no category": "contradicting",
    "a quote that is not in the answer": "contradicting",
    "deep": "ill_formed",
    "a longer quote than it may give": "ill_formed",
}


@pytest.mark.parametrize("reply", REPLIES)
async def test_what_becomes_of_a_reply_is_recorded(make_caller: MakeCaller, reply: str) -> None:
    model = FakeModel(answer=risk_of(0.9), explanation=REPLIES[reply])
    caller = await make_caller(model, policies=(compiled(on_harm="escalate"),))
    status = STATUSES[reply]
    counted = await counting(
        caller, f'inwit_explanations_total{{policy="default",status="{status}"}}'
    )

    body = (await caller.respond()).json()

    assert body["review"]["explanation"] == status
    assert (await entry(caller, body)).facts["rounds"][0]["explanation"] == status
    assert await counted.grown() == 1
    assert body["review"]["categories"] == (["hate"] if status == "named" else [])


@pytest.mark.parametrize("reply", sorted(REPLIES.keys() - {"named"}))
@pytest.mark.parametrize("risk", [0.5, 0.9])
async def test_a_reply_that_does_not_count_changes_nothing(
    make_caller: MakeCaller, reply: str, risk: float
) -> None:
    """The policy's own thresholds and actions hold, as if nobody had been asked."""
    categories = {"hate": {"action": "rewrite"}, "violent_crimes": None}
    policy = compiled(categories=categories, on_doubt="escalate", classifier={"clears": []})

    bodies: list[dict[str, Any]] = []
    for model in (
        FakeModel(answer=risk_of(risk), explanation=REPLIES[reply]),
        FakeModel(answer=risk_of(risk), explain_error=UpstreamError("failed")),
    ):
        caller = await make_caller(model, policies=(policy,))
        bodies.append((await caller.respond()).json())

    action = "escalate" if risk == 0.5 else "block"
    for body in bodies:
        assert body["action"] == action
        assert body["review"]["categories"] == []
    assert bodies[1]["review"]["explanation"] == "unavailable"
    assert bodies[0]["review"]["reasons"] == bodies[1]["review"]["reasons"]
    assert bodies[0]["review"]["classifier"] == bodies[1]["review"]["classifier"]


async def test_below_every_threshold_nobody_is_asked_to_explain(make_caller: MakeCaller) -> None:
    model = FakeModel(answer=risk_of(0.3))
    caller = await make_caller(model, policies=(compiled(),))

    body = (await caller.respond()).json()

    assert body["review"]["explanation"] is None
    assert model.questions == []


async def test_a_named_category_brings_its_own_threshold_and_action(
    make_caller: MakeCaller,
) -> None:
    strict = {"lower": 0.1, "upper": 0.2, "uncalibrated": {"lower": 0.1, "upper": 0.2}}
    privacy = {"privacy_leak": {"action": "escalate", "thresholds": strict}, "hate": None}
    model = FakeModel(answer=risk_of(0.25), explanation=naming("privacy_leak"))
    caller = await make_caller(model, policies=(compiled(categories=privacy),))

    body = (await caller.respond()).json()

    assert body["action"] == "escalate"
    assert "risk_above_upper_threshold" in body["review"]["reasons"]


async def test_a_caller_cannot_cut_the_explanation_short(make_caller: MakeCaller) -> None:
    """Without its category the stricter threshold would not hold, and the text would leave."""
    strict = {"lower": 0.1, "upper": 0.2, "uncalibrated": {"lower": 0.1, "upper": 0.2}}
    privacy = {"privacy_leak": {"thresholds": strict}, "hate": None}
    model = FakeModel("HARM", answer=risk_of(0.25), hang="explain")
    caller = await make_caller(model, policies=(compiled(categories=privacy),))

    for deadline_ms in longer_and_longer(lambda: model.cancelled, 300, 3_000, 60_000):
        answer = await caller.respond({**ASK, "deadline_ms": deadline_ms})
        assert answer.status_code == 504
        assert "HARM" not in answer.text

    assert model.cancelled == ["explain"]


async def test_its_words_reach_neither_caller_nor_metrics_nor_logs(
    make_caller: MakeCaller, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"Well. {SECRET}. Yes."
    model = FakeModel(
        text,
        answers=[risk_of(0.9), risk_of(0.05)],
        rewrites=["A kinder answer."],
        explanation=naming("hate", quotes=(SECRET,), reason=f"since {SECRET}"),
    )
    policy = compiled(categories={"hate": {"action": "rewrite"}})
    caller = await make_caller(model, policies=(policy,))

    answer = await caller.respond()

    assert answer.json()["status"] == "released"
    story = await entry(caller, answer.json())
    assert story.contents["candidate"]["explanation"]["spans"] == [SECRET]
    assert SECRET in model.generations[1].messages[-1].content  # the rewriter is told why
    assert SECRET not in answer.text
    assert SECRET not in json.dumps(story.facts)
    assert SECRET not in (await caller.http.get("/metrics")).text
    written = capsys.readouterr()
    assert "responded" in written.out + written.err
    assert SECRET not in written.out + written.err
