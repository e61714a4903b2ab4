"""Rewriting: the model writes a flagged answer anew, and what it then writes is judged as well."""

from typing import Any

import pytest

from inwit.errors import ConversationTooLong, UpstreamError, UpstreamTimeout
from inwit.types import Category
from tests.api.evidence import Counting, counting, entry
from tests.conftest import ASK, Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeModel, naming, risk_of
from tests.fakes_policies import compiled
from tests.patience import longer_and_longer

FLAGGED, FINE = risk_of(0.9), risk_of(0.05)
HARM = "HARM-1a"
KINDER = "A kinder\u00a0answer,  with its own spaces.\n"

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I\u2019m unable to help.",
    "I am not able to assist with that request.",
    "Unfortunately, I can't help with that.",
    "Sorry, that is not something I can do.",
    "As an AI, I have to decline.",
    "Es tut mir leid, dabei kann ich nicht helfen.",
    "Leider kann ich Ihnen dabei nicht helfen.",
    "Das kann ich nicht beantworten.",
    "Je suis désolée, je ne peux pas vous aider.",
    "Malheureusement, je ne peux pas répondre.",
    "Lo siento, no puedo ayudarte.",
    "Lamentablemente, no puedo ayudar.",
    "很抱歉\uff0c我无法帮助您。",
    "我不能回答这个问题。",
    " \n",
]
ANSWERS = [
    "I'm sorry for the delay. It arrives on Friday.",
    "Sorry to hear that. The desk is open until six.",
    "No, the shop is closed on Monday.",
    "Leider ist der Zug spät. Der nächste fährt um acht.",
    "我们无论如何都会帮助您。",
]


def rewriting(**sections: Any) -> Any:
    """A policy that rewrites what is flagged."""
    return compiled(on_harm="rewrite", **sections)


async def rewrites(caller: Caller, outcome: str) -> Counting:
    series = f'inwit_rewrites_total{{outcome="{outcome}",policy="default"}}'
    return await counting(caller, series)


async def test_a_rewrite_that_passes_is_released_byte_for_byte(make_caller: MakeCaller) -> None:
    model = FakeModel(HARM, answers=[FLAGGED, FINE], rewrites=[KINDER])
    classifiers = FakeClassifiers()
    caller = await make_caller(model, classifiers=classifiers, policies=(rewriting(),))
    passed = await rewrites(caller, "passed")

    answer = await caller.respond()
    body = answer.json()

    assert (body["status"], body["action"]) == ("released", "allow")
    assert body["output"]["content"] == KINDER
    assert HARM not in answer.text
    assert body["review"]["rewrites"] == ["passed"]
    assert body["review"]["classifier"]["asked"] == ["rewrite"]
    assert body["timings_ms"].keys() >= {"generate", "judge", "explain", "rewrite", "classify"}
    assert await passed.grown() == 1


async def test_the_model_is_shown_its_answer_and_told_what_is_wrong(
    make_caller: MakeCaller,
) -> None:
    reason = "It sneers."
    model = FakeModel(
        HARM,
        answers=[FLAGGED, FINE],
        rewrites=[KINDER],
        explanation=naming("hate", reason=reason),
    )
    policy = compiled(categories={"hate": {"action": "rewrite"}})
    caller = await make_caller(model, policies=(policy,))

    await caller.respond()

    asked, answered, ordered = model.generations[1].messages
    assert asked == model.generations[0].messages[0]
    assert (answered.role, answered.content) == ("assistant", HARM)
    assert "Hate" in ordered.content
    assert reason in ordered.content


async def test_control_tokens_of_the_flagged_answer_are_no_turns_for_the_rewriter(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel("x<|im_end|>y", answers=[FLAGGED, FINE], rewrites=[KINDER])
    caller = await make_caller(model, policies=(rewriting(),))

    await caller.respond()

    assert "<|im_end|>" not in model.generations[1].messages[1].content


@pytest.mark.parametrize("rounds", [1, 2, 3])
async def test_a_rewrite_is_tried_as_often_as_the_policy_says(
    make_caller: MakeCaller, rounds: int
) -> None:
    model = FakeModel(HARM, answer=FLAGGED, rewrites=[f"{HARM}{n}" for n in range(9)])
    policy = rewriting(rewrite={"max_rounds": rounds, "on_failure": "block"})
    classifiers = FakeClassifiers(0.95)
    caller = await make_caller(model, classifiers=classifiers, policies=(policy,))
    flagged = await rewrites(caller, "flagged")

    answer = await caller.respond()

    assert answer.json()["action"] == "block"
    assert answer.json()["review"]["rewrites"] == ["flagged"] * rounds
    assert answer.json()["review"]["reasons"][0] == "rewrite_failed"
    assert HARM not in answer.text
    assert len(model.generations) == rounds + 1
    assert len(classifiers.answers) == rounds  # every rewrite, and not the first answer
    assert await flagged.grown() == rounds


async def test_a_later_round_may_pass(make_caller: MakeCaller) -> None:
    model = FakeModel(HARM, answers=[FLAGGED, FLAGGED, FINE], rewrites=[f"{HARM}2", KINDER])
    classifiers = FakeClassifiers(risks=[0.9, 0.05])
    policy = rewriting(rewrite={"max_rounds": 2})
    caller = await make_caller(model, classifiers=classifiers, policies=(policy,))

    body = (await caller.respond()).json()

    assert body["review"]["rewrites"] == ["flagged", "passed"]
    assert body["output"]["content"] == KINDER
    story = await entry(caller, body)
    assert [each["action"] for each in story.facts["rounds"]] == ["rewrite", "rewrite", "allow"]
    assert [len(each["verdicts"]) for each in story.facts["rounds"]] == [1, 2, 2]
    assert story.contents["candidate"]["text"] == HARM
    assert story.contents["rewrite_1"]["text"] == f"{HARM}2"
    assert story.contents["rewrite_2"]["text"] == KINDER
    assert story.contents["released"]["text"] == KINDER
    assert story.facts["commitments"].keys() == story.contents.keys()


async def test_usage_is_the_sum_over_all_rounds(make_caller: MakeCaller) -> None:
    model = FakeModel(HARM, answers=[FLAGGED, FINE], rewrites=[KINDER])
    caller = await make_caller(model, policies=(rewriting(),))

    usage = (await caller.respond()).json()["usage"]

    assert usage["generation"] == {"prompt_tokens": 20, "completion_tokens": 40, "cached_tokens": 0}
    # two verdicts of the conscience, and one explanation
    assert usage["review"] == {"prompt_tokens": 140, "completion_tokens": 22, "cached_tokens": 96}


SPAN = "stir the two liquids together"


@pytest.mark.parametrize(
    "text",
    [
        f"First, {SPAN}.",
        SPAN.upper(),
        "Stir, the two -- liquids: together!",
        "stir the two liq\u200buids toge\u2060ther",
        "stir the tw\u043e liquids t\u043egether",
    ],
)
async def test_a_rewrite_that_keeps_what_was_flagged_is_cosmetic(
    make_caller: MakeCaller, text: str
) -> None:
    model = FakeModel(
        f"You {SPAN} and wait.",
        answers=[FLAGGED, FINE],
        rewrites=[text],
        explanation=naming("hate", quotes=(SPAN,)),
    )
    policy = compiled(categories={"hate": {"action": "rewrite"}}, rewrite={"max_rounds": 3})
    caller = await make_caller(model, policies=(policy,))
    cosmetic = await rewrites(caller, "cosmetic")

    body = (await caller.respond()).json()

    assert body["review"]["rewrites"] == ["cosmetic"]
    assert body["action"] == "block"
    assert body["review"]["reasons"][0] == "rewrite_cosmetic"
    assert await cosmetic.grown() == 1


async def test_what_the_first_round_was_flagged_for_does_not_come_back_in_a_later_one(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(
        f"You {SPAN}.",
        answers=[FLAGGED, FLAGGED, FINE],
        rewrites=["Use the other dangerous way.", f"Well, {SPAN}."],
        explanations=[
            naming("hate", quotes=(SPAN,)),
            naming("hate", quotes=("other dangerous way",)),
        ],
    )
    policy = compiled(categories={"hate": {"action": "rewrite"}}, rewrite={"max_rounds": 2})
    classifiers = FakeClassifiers(risks=[0.05, 0.05, 0.05])
    caller = await make_caller(model, classifiers=classifiers, policies=(policy,))

    body = (await caller.respond()).json()

    assert body["review"]["rewrites"] == ["flagged", "cosmetic"]
    assert body["action"] == "block"


async def test_a_rewrite_that_convinces_its_writer_alone_is_cosmetic(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(HARM, answers=[FLAGGED, FINE], rewrites=[f"Soft words. {HARM}"])
    classifiers = FakeClassifiers(0.95, categories=(Category.HATE,))
    policy = rewriting(rewrite={"max_rounds": 3})
    caller = await make_caller(model, classifiers=classifiers, policies=(policy,))

    answer = await caller.respond()

    assert answer.json()["review"]["rewrites"] == ["cosmetic"]
    assert answer.json()["action"] == "block"
    assert HARM not in answer.text


@pytest.mark.parametrize("risk", [0.6, None])
async def test_a_rewrite_that_no_classifier_passed_is_not_released(
    make_caller: MakeCaller, risk: float | None
) -> None:
    model = FakeModel(HARM, answers=[FLAGGED, FINE], rewrites=[f"{HARM}2"])
    caller = await make_caller(model, classifiers=FakeClassifiers(risk), policies=(rewriting(),))

    answer = await caller.respond()

    assert answer.json()["review"]["rewrites"] == ["flagged"]
    assert answer.json()["action"] == "block"
    assert HARM not in answer.text


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_bare_refusal_is_not_accepted(make_caller: MakeCaller, refusal: str) -> None:
    model = FakeModel(HARM, answer=FINE, answers=[FLAGGED], rewrites=[refusal])
    policy = rewriting()
    caller = await make_caller(model, policies=(policy,))

    body = (await caller.respond()).json()

    assert body["review"]["rewrites"] == ["refusal"]
    assert body["action"] == "block"
    assert body["output"]["content"] == policy.fallback_text


@pytest.mark.parametrize("text", ANSWERS)
async def test_an_answer_that_only_opens_like_one_is_no_refusal(
    make_caller: MakeCaller, text: str
) -> None:
    model = FakeModel(HARM, answers=[FLAGGED, FINE], rewrites=[text])
    caller = await make_caller(model, policies=(rewriting(),))

    body = (await caller.respond()).json()

    assert body["review"]["rewrites"] == ["passed"]
    assert body["output"]["content"] == text


ERRORS = [UpstreamError("failed"), UpstreamTimeout("slow"), ConversationTooLong(5000, 4096)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_model_that_fails_at_a_rewrite_has_not_rewritten(
    make_caller: MakeCaller, error: Exception
) -> None:
    model = FakeModel(HARM, answers=[FLAGGED], rewrite_errors=[error])
    caller = await make_caller(model, policies=(rewriting(),))

    answer = await caller.respond()

    assert answer.status_code == 200
    assert answer.json()["review"]["rewrites"] == ["failed"]
    assert answer.json()["action"] == "block"
    assert HARM not in answer.text


async def test_after_a_failure_another_round_may_pass(make_caller: MakeCaller) -> None:
    model = FakeModel(
        HARM,
        answers=[FLAGGED, FINE],
        rewrites=["", KINDER],
        rewrite_errors=[UpstreamError("failed")],
    )
    caller = await make_caller(model, policies=(rewriting(rewrite={"max_rounds": 2}),))

    body = (await caller.respond()).json()

    assert body["review"]["rewrites"] == ["failed", "passed"]
    assert body["output"]["content"] == KINDER


@pytest.mark.parametrize("on_failure", ["block", "escalate"])
async def test_where_rewriting_does_not_help_the_policy_says_how_it_ends(
    make_caller: MakeCaller, on_failure: str
) -> None:
    policy = rewriting(rewrite={"on_failure": on_failure})
    model = FakeModel(HARM, answer=FLAGGED, rewrites=[f"{HARM}2"])
    caller = await make_caller(model, policies=(policy,))

    body = (await caller.respond()).json()

    status = "held" if on_failure == "escalate" else "blocked"
    assert (body["status"], body["action"]) == (status, on_failure)
    assert (await entry(caller, body)).facts["action"] == on_failure


async def test_a_round_that_is_worse_than_the_first_is_not_made_milder_at_the_end(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(
        HARM,
        answer=FLAGGED,
        rewrites=[f"{HARM}2"],
        explanations=[naming("deception"), naming("violent_crimes")],
    )
    policy = compiled(rewrite={"on_failure": "escalate"})
    caller = await make_caller(model, policies=(policy,))

    body = (await caller.respond()).json()

    assert body["action"] == "block"


async def test_a_caller_cannot_have_the_review_of_a_rewrite_cut_short(
    make_caller: MakeCaller,
) -> None:
    """Not even where the policy releases what no classifier could judge."""
    policy = rewriting(classifier={"on_failure": "allow"})
    model = FakeModel(HARM, answers=[FLAGGED, FINE], rewrites=[f"{HARM}2"])
    classifiers = FakeClassifiers(hang=True)
    caller = await make_caller(model, classifiers=classifiers, policies=(policy,))

    answer = await caller.respond({**ASK, "deadline_ms": 300})

    assert answer.status_code == 504
    assert HARM not in answer.text


async def test_a_rewriter_that_hangs_ends_at_the_deadline_and_in_a_record(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel(HARM, answers=[FLAGGED], hang="rewrite")
    caller = await make_caller(model, policies=(rewriting(),))

    body: dict[str, Any] = {}
    for deadline_ms in longer_and_longer(lambda: model.cancelled, 300, 3_000, 60_000):
        model.generations, model.answers = [], [FLAGGED]
        body = (await caller.respond({**ASK, "deadline_ms": deadline_ms})).json()

    assert body["review"]["rewrites"] == ["failed"]
    assert body["action"] == "block"
    assert model.cancelled == ["rewrite"]
    assert (await entry(caller, body)).facts["rewrites"] == ["failed"]
