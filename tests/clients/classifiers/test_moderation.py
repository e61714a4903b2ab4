"""A moderation server in OpenAI's shape, on loopback, honest and otherwise."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from inwit.clients.classifiers.moderation import CATEGORIES, ModerationClassifier
from inwit.policy.taxonomy import TAXONOMY
from inwit.types import Category, Exchange, Fault, Message, ReviewStatus, Verdict
from tests.fakes_classifiers import ANSWER, ASKED, COVERS, FakeHttp, exchange
from tests.patience import longer_and_longer

PAGE = (Path(__file__).parents[3] / "docs" / "classifiers.md").read_text()


def moderation(**scores: float) -> dict[str, Any]:
    """An answer; scores of 0.5 and more are flagged. `__` stands for `/`, `_` for `-`."""
    named = {name.replace("__", "/").replace("_", "-"): p for name, p in scores.items()}
    categories = {name: score >= 0.5 for name, score in named.items()}
    result = {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": named,
        "category_applied_input_types": {name: ["text"] for name in named},
    }
    return {"id": "modr-1", "model": "omni-moderation", "results": [result]}


@pytest.fixture
async def server() -> AsyncGenerator[FakeHttp]:
    async with FakeHttp(moderation(hate=0.01, violence=0.03)).running() as running:
        yield running


@pytest.fixture
async def moderator(server: FakeHttp) -> AsyncGenerator[ModerationClassifier]:
    opened = ModerationClassifier(
        "mod", server.base_url + "/v1", model="omni", api_key="key", max_chars=100
    )
    await opened.open()
    yield opened
    await opened.close()


async def test_the_answer_is_sent_and_the_highest_score_is_the_risk(
    moderator: ModerationClassifier, server: FakeHttp
) -> None:
    verdict = await moderator.classify(exchange(), 60)

    assert verdict == Verdict(
        "mod", ReviewStatus.JUDGED, risk=0.03, model="omni-moderation", covers=COVERS
    )
    assert server.bodies == [{"input": ANSWER, "model": "omni"}]
    assert server.paths == ["/v1/moderations"]
    assert server.headers[0]["Authorization"] == "Bearer key"


async def test_before_there_is_an_answer_the_last_user_turn_is_sent(
    moderator: ModerationClassifier, server: FakeHttp
) -> None:
    turns = (Message("user", "first"), Message("user", ASKED), Message("tool", "found"))

    await moderator.classify(Exchange(turns, None, COVERS, "acme"), 60)

    assert moderator.judges_input
    assert server.bodies[0]["input"] == ASKED


async def test_names_become_categories_and_stay_as_labels(
    moderator: ModerationClassifier, server: FakeHttp
) -> None:
    server.answer = moderation(
        self_harm__intent=0.6, sexual__minors=0.9, gambling=0.7, violence=0.49
    )

    verdict = await moderator.classify(exchange(), 60)

    assert verdict.risk == 0.9
    assert verdict.categories == (Category.CHILD_EXPLOITATION, Category.SELF_HARM)
    assert verdict.labels == ("sexual/minors", "gambling", "self-harm/intent")


@pytest.mark.parametrize(
    ("scores", "risk", "categories"),
    [
        ({"hate": 0.2, "violence": 0.9}, 0.2, ()),
        ({"hate": 0.8, "violence": 0.9}, 0.8, (Category.HATE,)),
        ({"hate": 0.2, "gambling": 0.7}, 0.7, ()),
    ],
)
async def test_only_what_the_policy_asks_about_counts_and_what_nobody_knows(
    moderator: ModerationClassifier,
    server: FakeHttp,
    scores: dict[str, float],
    risk: float,
    categories: tuple[Category, ...],
) -> None:
    server.answer = moderation(**scores)

    verdict = await moderator.classify(exchange(harms=(TAXONOMY[Category.HATE],)), 60)

    assert (verdict.risk, verdict.categories) == (risk, categories)
    assert set(verdict.labels) == {name for name, score in scores.items() if score >= 0.5}


async def test_labels_stay_few_and_are_the_highest(
    moderator: ModerationClassifier, server: FakeHttp
) -> None:
    server.answer = moderation(**{f"own{i}": 0.5 + i / 100 for i in range(40)})

    verdict = await moderator.classify(exchange(), 60)

    assert verdict.labels == tuple(f"own{i}" for i in range(39, 23, -1))


@pytest.mark.parametrize(
    "shown",
    [
        exchange("x" * 101),
        Exchange((Message("system", "Be kind."),), None, COVERS, "acme"),
        exchange(harms=(TAXONOMY[Category.DECEPTION],)),
    ],
    ids=["too long", "no user turn", "nothing it knows"],
)
async def test_what_it_cannot_judge_is_not_sent(
    moderator: ModerationClassifier, server: FakeHttp, shown: Exchange
) -> None:
    verdict = await moderator.classify(shown, 60)

    assert (verdict.status, verdict.fault) == (ReviewStatus.TRUNCATED, Fault.DOES_NOT_FIT)
    assert not server.bodies


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["results"][0]


SPOILED: dict[str, Callable[[dict[str, Any]], object]] = {
    "no results": lambda a: a.pop("results"),
    "empty results": lambda a: a["results"].clear(),
    "two results": lambda a: a["results"].append(_result(a)),
    "results of a wrong type": lambda a: a.update(results=_result(a)),
    "no flagged": lambda a: _result(a).pop("flagged"),
    "flagged in words": lambda a: _result(a).update(flagged="false"),
    "flagged as a number": lambda a: _result(a).update(flagged=0),
    "no categories": lambda a: _result(a).pop("categories"),
    "no scores": lambda a: _result(a).pop("category_scores"),
    "nothing judged": lambda a: _result(a).update(categories={}, category_scores={}),
    "a score is missing": lambda a: _result(a)["category_scores"].pop("hate"),
    "a category is missing": lambda a: _result(a)["categories"].pop("hate"),
    "flagged and nothing found": lambda a: _result(a).update(flagged=True),
    "found and not flagged": lambda a: _result(a)["categories"].update(violence=True),
    "flagged with a low score": lambda a: _result(a).update(
        flagged=True, categories={"hate": False, "violence": True}
    ),
    "score below 0": lambda a: _result(a)["category_scores"].update(hate=-0.1),
    "score above 1": lambda a: _result(a)["category_scores"].update(hate=1.1),
    "score not a number": lambda a: _result(a)["category_scores"].update(hate=float("nan")),
    "score without end": lambda a: _result(a)["category_scores"].update(hate=float("inf")),
    "score in words": lambda a: _result(a)["category_scores"].update(hate="0.1"),
    "score as a truth": lambda a: _result(a)["category_scores"].update(hate=True),
    "category as a number": lambda a: _result(a)["categories"].update(hate=0),
    "a name that is prose": lambda a: _result(a).update(
        categories={"this is safe": False}, category_scores={"this is safe": 0.0}
    ),
    "a model that is markup": lambda a: a.update(model="<script>"),
}


@pytest.mark.parametrize("spoil", SPOILED)
async def test_an_answer_that_makes_no_sense_is_no_judgement(
    moderator: ModerationClassifier, server: FakeHttp, spoil: str
) -> None:
    SPOILED[spoil](server.answer)

    verdict = await moderator.classify(exchange(), 60)

    assert verdict == Verdict(
        "mod", ReviewStatus.UNAVAILABLE, fault=Fault.MALFORMED_ANSWER, covers=COVERS
    )


async def test_a_server_without_a_score_for_what_is_asked_gives_no_judgement(
    moderator: ModerationClassifier, server: FakeHttp
) -> None:
    server.answer = moderation(violence=0.01)

    verdict = await moderator.classify(exchange(harms=(TAXONOMY[Category.HATE],)), 60)

    assert verdict.fault is Fault.MALFORMED_ANSWER


@pytest.mark.parametrize("score", [0.1, 0.3])
async def test_a_flag_may_have_a_modest_score(
    moderator: ModerationClassifier, server: FakeHttp, score: float
) -> None:
    result = _result(server.answer)
    result.update(flagged=True, categories={"hate": True, "violence": False})
    result["category_scores"]["hate"] = score

    assert (await moderator.classify(exchange(), 60)).risk == score


@pytest.mark.parametrize(
    ("status", "fault"),
    [(302, Fault.UPSTREAM), (400, Fault.REFUSED), (429, Fault.UPSTREAM), (500, Fault.UPSTREAM)],
)
async def test_a_refusal_is_a_failure(
    moderator: ModerationClassifier, server: FakeHttp, status: int, fault: Fault
) -> None:
    server.status = status

    assert (await moderator.classify(exchange(), 60)).fault is fault


async def test_the_deadline_ends_the_call(
    moderator: ModerationClassifier, server: FakeHttp
) -> None:
    server.manner = "hang"

    for time_s in longer_and_longer(server.hanging.is_set, 0.05, 5, 50):
        verdict = await moderator.classify(exchange(), time_s)
        assert verdict.fault is Fault.TIMEOUT

    async with asyncio.timeout(60):
        await server.cancelled.wait()


async def test_the_server_may_say_that_it_does_not_fit(
    moderator: ModerationClassifier, server: FakeHttp
) -> None:
    server.status = 400
    server.answer = {"error": {"message": "maximum context length is 512 tokens"}}

    verdict = await moderator.classify(exchange(), 60)

    assert (verdict.status, verdict.fault) == (ReviewStatus.TRUNCATED, Fault.DOES_NOT_FIT)


def test_the_page_has_the_same_table() -> None:
    rows = re.findall(
        r"^\| (`[a-z/-]+`(?:, `[a-z/-]+`)*) \| (`[a-z_`, ]+`) \|$", PAGE, re.MULTILINE
    )
    table = {
        name: {*re.findall(r"`([a-z_]+)`", categories)}
        for names, categories in rows
        for name in re.findall(r"`([^`]+)`", names)
    }

    assert table == {name: {*categories} for name, categories in CATEGORIES.items()}
