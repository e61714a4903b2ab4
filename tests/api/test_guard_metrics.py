"""What an on-call engineer counts: verdicts, interventions and tokens, by version of the policy."""

from typing import Any

import pytest

from inwit import telemetry
from inwit.api import litellm_guardrail
from inwit.errors import UpstreamError
from inwit.reload import announce
from inwit.types import Action
from tests.api.checking import KIND, checking
from tests.api.evidence import counting, metric
from tests.api.litellm_bodies import answering
from tests.conftest import ASK, MakeCaller
from tests.fakes import FakeClassifiers, FakeModel, distribution, risk_of
from tests.fakes_policies import compiled

HARMFUL = {"answer": risk_of(0.95)}


def series(name: str, **labels: str) -> str:
    """A series of the default policy, as /metrics writes it."""
    every = {"policy": "default", "version": compiled().ref.version, **labels}
    pairs = ",".join(f'{key}="{every[key]}"' for key in sorted(every))
    return f"{name}{{{pairs}}}"


@pytest.mark.parametrize(
    ("model", "sections", "guard", "text"),
    [
        (HARMFUL, {}, "conscience", "candidate"),
        ({"review_error": UpstreamError("away")}, {}, "failure", "candidate"),
        (
            {},
            {"input": {"patterns": {"tides": "tides"}, "on_flag": "block"}},
            "input",
            "input",
        ),
    ],
)
async def test_a_block_is_an_intervention_of_what_made_it(
    make_caller: MakeCaller, model: dict[str, Any], sections: dict[str, Any], guard: str, text: str
) -> None:
    policy = compiled(**{"on_harm": "block", **sections})
    judges = FakeClassifiers(None if guard == "failure" else 0.95)
    caller = await make_caller(FakeModel(**model), classifiers=judges, policies=(policy,))
    name = "inwit_interventions_total"
    blocked = await counting(caller, series(name, guard=guard, text=text, action="block"))

    assert (await caller.respond()).json()["action"] == "block"

    assert await blocked.grown() == 1


async def test_a_rewrite_counts_beside_what_it_replaces(make_caller: MakeCaller) -> None:
    model = FakeModel(answers=[risk_of(0.9)], rewrites=["A kinder answer."])
    policy = compiled(on_harm="rewrite")
    caller = await make_caller(model, classifiers=FakeClassifiers(), policies=(policy,))
    judged = {"judge": "conscience", "outcome": "judged"}
    verdicts = [
        await counting(caller, series("inwit_verdicts_total", text=text, **judged))
        for text in ("candidate", "rewrite")
    ]
    rewriting = await counting(
        caller,
        series("inwit_interventions_total", guard="conscience", text="candidate", action="rewrite"),
    )

    assert (await caller.respond()).json()["review"]["rewrites"] == ["passed"]

    assert [await each.grown() for each in verdicts] == [1, 1]
    assert await rewriting.grown() == 1


async def test_what_failed_to_judge_counts_by_why(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(answer=distribution(0.01, 0.02)))
    labels = {"judge": "conscience", "outcome": "low_label_mass", "text": "candidate"}
    failed = await counting(caller, series("inwit_verdicts_total", **labels))
    massless = await counting(caller, 'inwit_label_mass_bucket{le="0.05",policy="default"}')

    await caller.respond()

    assert await failed.grown() == 1
    assert await massless.grown() == 1


async def test_tokens_of_the_review_stand_apart(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel())
    purposes = ("generation", "review")
    read = [
        await counting(
            caller, f'inwit_tokens_total{{kind="prompt",policy="default",purpose="{purpose}"}}'
        )
        for purpose in purposes
    ]

    usage = (await caller.respond()).json()["usage"]

    assert [await each.grown() for each in read] == [
        usage[purpose]["prompt_tokens"] for purpose in purposes
    ]


async def test_alerts_find_their_series_at_zero(make_caller: MakeCaller) -> None:
    caller = await make_caller()
    telemetry.begin()
    announce(caller.gateway.policies.current)

    metrics = (await caller.http.get("/metrics")).text

    for action in set(Action) - {Action.ALLOW}:
        name = "inwit_interventions_total"
        for guard in ("conscience", "classifier"):
            labels = {"guard": guard, "text": "candidate", "action": action.value}
            assert f"{series(name, **labels)} " in metrics
    assert f"{series('inwit_unreviewed_releases_total')} " in metrics
    for route in ("/v1/respond", "/v1/check", "/beta/litellm_basic_guardrail_api"):
        assert f'inwit_http_requests_total{{route="{route}",status="500"}} ' in metrics
    assert 'inwit_telemetry_dropped_total{signal="spans"} ' in metrics


@pytest.mark.parametrize("action", ["allow", "block"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/respond", ASK),
        ("/v1/check", checking()),
        (litellm_guardrail.PATH, answering(KIND)),
    ],
    ids=["respond", "check", "litellm"],
)
async def test_by_each_door_what_leaves_unreviewed_is_counted(
    make_caller: MakeCaller, path: str, body: Any, action: str
) -> None:
    policy = compiled(on_review_failure=action, classifier={"on_failure": action})
    model = FakeModel(review_error=UpstreamError("away"))
    caller = await make_caller(model, classifiers=FakeClassifiers(None), policies=(policy,))
    unreviewed = await counting(caller, series("inwit_unreviewed_releases_total"))

    assert (await caller.http.post(path, json=body)).status_code == 200

    assert await unreviewed.grown() == (action == "allow")


@pytest.mark.parametrize("path", telemetry.ANSWERING_ROUTES)
async def test_the_objective_of_availability_reads_routes_as_they_are_counted(
    make_caller: MakeCaller, path: str
) -> None:
    caller = await make_caller()
    name = f'inwit_http_requests_total{{route="{path}",status="%s"}}'
    refused = {code: await counting(caller, name % code) for code in (400, 422)}

    answer = await caller.http.post(path, json={"a": 1})

    assert await refused[answer.status_code].grown() == 1


async def test_a_stage_that_fails_counts_by_its_kind(make_caller: MakeCaller) -> None:
    caller = await make_caller(FakeModel(generate_error=UpstreamError("away")))
    name = 'inwit_stage_errors_total{error="upstream-error",stage="generate"}'
    before = await metric(caller, name)

    assert (await caller.http.post("/v1/respond", json=ASK)).status_code == 502

    assert await metric(caller, name) == before + 1
