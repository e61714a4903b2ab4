"""A detector of one's own: the contract, on loopback and against docs/classifiers.md."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from inwit.clients.classifiers.http import HttpClassifier, read_answer
from inwit.clients.classifiers.panel import Seat
from inwit.config import ClassifierSettings
from inwit.policy.taxonomy import TAXONOMY
from inwit.types import Category, Fault, ReviewStatus, Verdict
from tests.fakes_classifiers import ANSWER, ASKED, COVERS, FakeHttp, Manner, exchange
from tests.patience import longer_and_longer

PAGE = (Path(__file__).parents[3] / "docs" / "classifiers.md").read_text()
REQUEST, CONTRACT = (
    jsonschema_rs.validator_for(json.loads(block))
    for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
)
HARMS = (TAXONOMY[Category.HATE], TAXONOMY[Category.PRIVACY_LEAK])


@pytest.fixture
async def server() -> AsyncGenerator[FakeHttp]:
    async with FakeHttp().running() as running:
        yield running


@pytest.fixture
async def detector(server: FakeHttp) -> AsyncGenerator[HttpClassifier]:
    opened = HttpClassifier("own", server.base_url + "/detect", api_key="key", judges_input=True)
    await opened.open()
    yield opened
    await opened.close()


async def test_a_judgement(detector: HttpClassifier, server: FakeHttp) -> None:
    server.answer = {
        "risk": 0.75,
        "categories": ["hate", "hate", "rudeness", "self_harm"],
        "labels": ["team:tone", "rudeness"],
        "model": "own 1.0",
    }

    verdict = await detector.classify(exchange(harms=HARMS), 60)

    assert verdict == Verdict(
        "own",
        ReviewStatus.JUDGED,
        risk=0.75,
        model="own 1.0",
        covers=COVERS,
        categories=(Category.HATE,),
        # Not asked about, or unknown: labels, so that the risk counts whatever the policy lists.
        labels=("team:tone", "rudeness", "self_harm"),
        unnamed=True,
    )


@pytest.mark.parametrize("answer", [ANSWER, None])
async def test_the_request_is_as_documented(
    detector: HttpClassifier, server: FakeHttp, answer: str | None
) -> None:
    await detector.classify(exchange(answer, harms=HARMS), 60)

    (body,) = server.bodies
    assert body == {
        "conversation": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": ASKED},
        ],
        "answer": answer,
        "categories": ["hate", "privacy_leak"],
    }
    assert REQUEST.is_valid(body)
    assert server.paths == ["/detect"]
    assert server.headers[0]["Authorization"] == "Bearer key"


async def test_a_policy_without_categories_asks_about_all(
    detector: HttpClassifier, server: FakeHttp
) -> None:
    await detector.classify(exchange(), 60)

    assert server.bodies[0]["categories"] == [category.value for category in Category]


async def test_a_slash_at_the_end_stays(server: FakeHttp) -> None:
    detector = HttpClassifier("own", server.base_url + "/detect/")
    await detector.open()
    try:
        await detector.classify(exchange(), 60)
    finally:
        await detector.close()

    assert server.paths == ["/detect/"]
    assert "Authorization" not in server.headers[0]


MALFORMED: tuple[Any, ...] = (
    b"",
    b"\xff\xfe",
    b"[" * 5000,
    b'{"risk": NaN}',
    b'{"risk": 1e999}',
    [],
    {},
    {"risk": None},
    {"risk": "0.5"},
    {"risk": True},
    {"risk": -0.01},
    {"risk": 1.01},
    {"risk": 0.5, "verdict": "safe"},
    {"risk": 0.5, "categories": "hate"},
    {"risk": 0.5, "categories": [7]},
    {"risk": 0.5, "labels": ["two words"]},
    {"risk": 0.5, "labels": ["line\n"]},
    {"risk": 0.5, "labels": [""]},
    {"risk": 0.5, "labels": ["x" * 65]},
    {"risk": 0.5, "labels": [f"l{i}" for i in range(17)]},
    {"risk": 0.5, "categories": [f"c{i}" for i in range(33)]},
    {"risk": 0.5, "model": "<b>"},
    {"risk": 0.5, "model": "m" * 129},
)


@pytest.mark.parametrize("answer", MALFORMED, ids=range(len(MALFORMED)))
async def test_an_answer_outside_the_contract_is_no_judgement(
    detector: HttpClassifier, server: FakeHttp, answer: Any
) -> None:
    server.answer = answer

    verdict = await detector.classify(exchange(), 60)

    assert verdict == Verdict(
        "own", ReviewStatus.UNAVAILABLE, fault=Fault.MALFORMED_ANSWER, covers=COVERS
    )


async def test_labels_stay_few(detector: HttpClassifier, server: FakeHttp) -> None:
    server.answer = {
        "risk": 0.5,
        "labels": [f"l{i}" for i in range(16)],
        "categories": ["unknown", "hate"],
    }

    verdict = await detector.classify(exchange(), 60)

    assert verdict.labels == tuple(f"l{i}" for i in range(16))
    assert verdict.categories == (Category.HATE,)


@pytest.mark.parametrize("status", [201, 204, 302, 307, 400, 401, 404, 413, 422, 429, 500, 503])
async def test_any_other_status_is_a_failure(
    detector: HttpClassifier, server: FakeHttp, status: int
) -> None:
    server.status = status
    server.answer_headers = {"Location": f"{server.base_url}/elsewhere"}

    verdict = await detector.classify(exchange(), 60)

    fault = Fault.REFUSED if status in (400, 422) else Fault.UPSTREAM
    assert (verdict.status, verdict.fault) == (ReviewStatus.UNAVAILABLE, fault)
    assert verdict.covers == COVERS
    assert server.paths == ["/detect"]


@pytest.mark.parametrize(
    ("manner", "fault"),
    [("hang_up", Fault.UPSTREAM), ("cut", Fault.UPSTREAM), ("endless", Fault.UPSTREAM)],
)
async def test_a_broken_answer_is_a_failure(
    detector: HttpClassifier, server: FakeHttp, manner: Manner, fault: Fault
) -> None:
    server.manner = manner

    assert (await detector.classify(exchange(), 60)).fault is fault


async def test_the_deadline_ends_the_call(detector: HttpClassifier, server: FakeHttp) -> None:
    server.manner = "hang"

    for time_s in longer_and_longer(server.hanging.is_set, 0.05, 5, 50):
        verdict = await detector.classify(exchange(), time_s)
        assert verdict.fault is Fault.TIMEOUT

    async with asyncio.timeout(60):
        await server.cancelled.wait()


async def test_what_does_not_fit_is_truncated(detector: HttpClassifier, server: FakeHttp) -> None:
    server.status = 413
    server.answer = {"error": "longer than the context length"}

    verdict = await detector.classify(exchange(), 60)

    assert (verdict.status, verdict.fault) == (ReviewStatus.TRUNCATED, Fault.DOES_NOT_FIT)


async def test_nobody_there() -> None:
    detector = HttpClassifier("own", "http://127.0.0.1:9/detect")
    await detector.open()
    try:
        assert (await detector.classify(exchange(), 60)).fault is Fault.UPSTREAM
    finally:
        await detector.close()


NAMES = st.one_of(
    st.sampled_from([*Category, "tone", "a:b/c", "", "two words", "x\n", "x" * 65]),
    st.text("aZ09_./:@+- \n\x00<\u00e9\u0661\uff21", max_size=8),
)
ANSWERS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "risk": st.one_of(
            st.floats(-0.5, 1.5), st.sampled_from([0, 1, 2, True, None, "1", 5e-324])
        ),
        "categories": st.one_of(st.lists(NAMES, max_size=3), st.none(), st.just(0)),
        "labels": st.lists(NAMES, max_size=18),
        "model": st.one_of(st.none(), NAMES, st.integers()),
        "other": st.none(),
    },
)


@given(ANSWERS)
@example({"risk": 1, "categories": ["hate"] * 32, "labels": ["l"] * 16, "model": "m" * 128})
@example({"risk": 1, "categories": ["hate"] * 33})
def test_the_documented_schema_and_the_reader_agree(answer: dict[str, Any]) -> None:
    try:
        read_answer(json.dumps(answer).encode(), frozenset(Category))
        read = True
    except ValueError:
        read = False

    assert read == CONTRACT.is_valid(answer)


@given(st.binary(max_size=40))
def test_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        finding = read_answer(raw, frozenset(Category))
    except ValueError:
        return
    assert 0.0 <= finding.risk <= 1.0


@pytest.mark.process
async def test_the_detector_of_the_page_runs() -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert source.count("9000") == 1
    # Any free port, and a line once it listens: what a reader does by hand.
    serving = "ThreadingHTTPServer.server_activate"
    source = source.replace("9000", "0").replace(
        "\n\nThreading",
        f"\n\nactivate = {serving}\n{serving} = "
        "lambda s: (activate(s), print(s.server_port, flush=True))\nThreading",
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
        detector = HttpClassifier("own", f"http://127.0.0.1:{port}/")
        await detector.open()
        clean = await detector.classify(exchange(harms=HARMS), 60)
        leak = await detector.classify(exchange("Write to ann@example.org.", harms=HARMS), 60)
        await detector.close()
    finally:
        process.kill()
        await process.wait()

    assert (clean.risk, clean.model) == (0.0, "at-sign-1")
    assert (leak.risk, leak.categories) == (1.0, (Category.PRIVACY_LEAK,))


def test_the_page_has_the_keys_and_an_example_that_is_taken() -> None:
    (example,) = re.findall(r"INWIT_CLASSIFIERS='(.*?)'", PAGE, re.DOTALL)
    table = PAGE.partition("| key |")[2].partition("\n\n")[0]
    keys = dict(re.findall(r"^\| `([a-z_]+)` \|.*\| ([^|]*) \|$", table, re.MULTILINE))

    taken = TypeAdapter(dict[str, ClassifierSettings]).validate_json(example)

    assert [each.kind for each in taken.values()] == ["guard_llm", "http"]
    assert keys.keys() == ClassifierSettings.model_fields.keys()
    defaults = Seat(HttpClassifier("own", "http://127.0.0.1"))
    assert (keys["timeout_ms"], keys["max_in_flight"]) == (
        str(defaults.timeout_ms),
        str(defaults.max_in_flight),
    )
