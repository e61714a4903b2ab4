"""A key with several policies, and policies that only watch (shadows)."""

import asyncio
from typing import Any

import pytest

from inwit.policy.policy import Policy
from tests.api.evidence import Counting, counting, entry
from tests.conftest import ASK, Caller, MakeCaller
from tests.fakes import FakeClassifiers, FakeModel, risk_of
from tests.fakes_policies import compiled

STRICT = {"lower": 0.1, "upper": 0.2, "uncalibrated": {"lower": 0.1, "upper": 0.2}}


def family() -> tuple[Policy, Policy, Policy]:
    """Three policies that differ in what they make of the same answer."""
    texts = {name: f"Withheld by {name}." for name in ("plain", "strict", "held")}
    return (
        compiled("plain", fallback_text=texts["plain"]),
        compiled("strict", fallback_text=texts["strict"], thresholds=STRICT),
        compiled("held", fallback_text=texts["held"], on_harm="escalate"),
    )


async def test_a_request_names_one_of_its_keys_policies(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(answer=risk_of(0.3)), policies=family())

    bodies = {
        name: (await caller.respond({**ASK, "policy": name})).json()
        for name in ("plain", "strict", "held")
    }

    assert {name: body["action"] for name, body in bodies.items()} == {
        "plain": "allow",
        "strict": "block",
        "held": "allow",
    }
    assert bodies["strict"]["output"]["content"] == "Withheld by strict."
    for name, body in bodies.items():
        facts = (await entry(caller, body)).facts
        assert facts["policy"] == body["policy"]
        assert facts["policy"]["name"] == name


async def test_the_first_policy_of_a_key_holds_where_none_is_named(
    make_caller: MakeCaller,
) -> None:
    caller = await make_caller(policies=family(), key_policies=("held", "plain"))

    assert (await caller.respond()).json()["policy"]["name"] == "held"


async def test_a_policy_of_another_key_is_forbidden_and_not_described(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel()
    caller = await make_caller(model, policies=family(), key_policies=("strict",))

    forbidden = await caller.respond({**ASK, "policy": "plain"})

    assert forbidden.status_code == 403
    assert "held" not in forbidden.text
    assert model.generations == []


async def test_metrics_are_counted_under_the_policy_that_decided(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(answer=risk_of(0.9)), policies=family())
    series = 'inwit_responses_total{{action="{}",enforcement="full",policy="{}"}}'
    held = await counting(caller, series.format("escalate", "held"))
    plain = await counting(caller, series.format("block", "plain"))

    await caller.respond({**ASK, "policy": "held"})

    assert (await held.grown(), await plain.grown()) == (1, 0)


async def shadow_counting(caller: Caller, action: str, shadow_action: str) -> Counting:
    series = (
        f'inwit_shadow_decisions_total{{action="{action}",policy="seen",shadow="watching",'
        f'shadow_action="{shadow_action}"}}'
    )
    return await counting(caller, series)


async def shadows_through() -> None:
    """Wait for the shadows that are still at it."""
    shadows = [task for task in asyncio.all_tasks() if task.get_name() == "shadow"]
    await asyncio.gather(*shadows)


def watched(**sections: Any) -> tuple[Policy, Policy]:
    """A policy, and the one that watches in its shadow."""
    return compiled("seen", shadow="watching"), compiled("watching", **sections)


async def test_a_shadow_judges_the_same_answer_without_effect(make_caller: MakeCaller) -> None:
    policies = watched(thresholds=STRICT)
    caller = await make_caller(FakeModel(answer=risk_of(0.3)), policies=policies)
    counted = await shadow_counting(caller, "allow", "block")

    body = (await caller.respond()).json()

    assert (body["status"], body["policy"]["name"]) == ("released", "seen")
    assert body["review"]["reasons"] == ["risk_below_lower_threshold"]
    await shadows_through()
    assert await counted.grown() == 1
    assert (await entry(caller, body)).facts["policy"]["name"] == "seen"


async def test_a_shadow_judges_what_was_first_written_and_not_the_rewrite(
    make_caller: MakeCaller,
) -> None:
    seen = compiled("seen", shadow="watching", on_harm="rewrite")
    model = FakeModel("HARM", answers=[risk_of(0.9), risk_of(0.05)], rewrites=["A kinder answer."])
    caller = await make_caller(model, policies=(seen, compiled("watching")))
    counted = await shadow_counting(caller, "rewrite", "block")

    body = (await caller.respond()).json()

    assert body["output"]["content"] == "A kinder answer."
    await shadows_through()
    assert await counted.grown() == 1


async def test_a_shadow_with_the_same_question_does_not_ask_it_again(
    make_caller: MakeCaller,
) -> None:
    model = FakeModel()
    caller = await make_caller(model, policies=watched())
    counted = await shadow_counting(caller, "allow", "allow")

    await caller.respond()

    await shadows_through()
    assert await counted.grown() == 1
    assert len(model.reviews) == 1


async def test_a_shadow_with_another_question_asks_it(make_caller: MakeCaller) -> None:
    model = FakeModel(answers=[risk_of(0.05), risk_of(0.9)])
    policies = watched(conscience={"question": "Is it rude? Yes or No."})
    caller = await make_caller(model, policies=policies)
    counted = await shadow_counting(caller, "allow", "block")

    await caller.respond()

    await shadows_through()
    assert await counted.grown() == 1
    assert model.reviews[1][-1].content == "Is it rude? Yes or No."


@pytest.mark.parametrize("risk", [0.05, None])
async def test_a_shadow_has_its_own_classifier(make_caller: MakeCaller, risk: float | None) -> None:
    classifiers = FakeClassifiers(risk)
    policies = watched(classifier={"use": ["candidate"], "sample_rate": 1})
    caller = await make_caller(classifiers=classifiers, policies=policies)
    counted = await shadow_counting(caller, "allow", "allow")

    body = (await caller.respond()).json()

    await shadows_through()
    assert await counted.grown() == 1
    assert body["review"]["classifier"] is None
    assert [names for names, _ in classifiers.asked] == [("candidate",)]
    assert len((await entry(caller, body)).facts["rounds"][0]["verdicts"]) == 1


async def test_an_unrecorded_response_leaves_no_shadow(make_caller: MakeCaller) -> None:
    model = FakeModel(generate_error=TimeoutError())
    caller = await make_caller(model, policies=watched())

    assert (await caller.respond()).status_code == 504
    assert model.reviews == []
