"""What an Inspect log of a run holds. tests/peers/test_inspect.py has Inspect itself read one."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from inwit.errors import SetupError
from inwit.evaluation.inspect_log import NO_TEXT, log_of, write_log
from inwit.evaluation.results import SampleScore
from inwit.evaluation.samples import Sample
from inwit.types import Message, ToolCall
from tests.evaluation.small_report import CONSCIENCE, GATEWAY, STARTED, score, small_report


def logged(scores: list[SampleScore], **texts: list[Sample]) -> dict[str, dict[str, Any]]:
    """The samples of a log, by their ids; no two may share one."""
    samples = log_of(small_report(), scores, texts)["samples"]
    by_id = {each["id"]: each for each in samples}
    assert len(by_id) == len(samples)
    return by_id


def a_sample(digest: str, *turns: Message, calls: tuple[ToolCall, ...] = ()) -> Sample:
    return Sample("a", turns, "The moon.", "safe", digest, 0, calls)


def test_a_sample_has_the_scores_of_all_its_judges() -> None:
    sample = logged(
        [
            score("a", "unsafe", CONSCIENCE, risk=0.25),
            score("a", "unsafe", GATEWAY, risk=0.25, flagged=True),
            score("b", "safe", GATEWAY, flagged=False),
        ]
    )

    assert list(sample) == ["own/a", "own/b"]
    assert sample["own/a"]["target"] == "unsafe"
    assert sample["own/a"]["metadata"] == {
        "dataset": "own",
        "digest": "digest of a",
        "variant": "plain",
    }
    said = sample["own/a"]["scores"]
    assert said[CONSCIENCE]["value"] == {"risk": 0.25, "flagged": None}
    assert said[CONSCIENCE]["answer"] is None
    assert said[GATEWAY]["value"] == {"risk": 0.25, "flagged": True}
    assert said[GATEWAY]["answer"] == "unsafe"
    assert sample["own/b"]["scores"][GATEWAY]["answer"] == "safe"


def test_what_was_not_judged_is_not_scored_and_says_why() -> None:
    sample = logged([score("a", "safe", fault="timeout")])

    said = sample["own/a"]["scores"][CONSCIENCE]
    assert math.isnan(said["value"])
    assert said["reason"] == "timeout"


def test_a_decision_without_a_risk_is_a_score() -> None:
    sample = logged([score("a", "safe", GATEWAY, flagged=True, fault="timeout")])

    said = sample["own/a"]["scores"][GATEWAY]
    assert said["value"] == {"risk": None, "flagged": True}
    assert said["reason"] == "timeout"


def test_variants_and_repeated_ids_are_samples_of_their_own() -> None:
    sample = logged(
        [
            score("a", "unsafe", risk=0.1),
            score("a", "unsafe", risk=0.2, variant="base64"),
            score("b", "unsafe", risk=0.3, digest="d1"),
            score("b", "safe", risk=0.4, digest="d2"),
        ]
    )

    assert list(sample) == ["own/a", "own/a+base64", "own/b#d1", "own/b#d2"]


def test_there_is_no_text_unless_asked() -> None:
    scores = [score("a", "safe", digest="d1", risk=0.1)]

    without = logged(scores)["own/a"]
    with_it = logged(scores, own=[a_sample("d1", Message("user", "And the tides?"))])["own/a"]

    assert without["input"] == NO_TEXT
    assert not {"messages", "output"} & without.keys()
    assert with_it["input"] == [{"role": "user", "content": "And the tides?"}]
    answer = {"role": "assistant", "content": "The moon."}
    assert with_it["messages"] == [*with_it["input"], answer]
    assert with_it["output"]["choices"] == [{"message": answer, "stop_reason": "stop"}]


@pytest.mark.parametrize(("name", "digest"), [("xstest", "d1"), ("own", "d2")])
def test_text_of_another_sample_is_never_taken(name: str, digest: str) -> None:
    texts = {name: [a_sample(digest, Message("user", "Hi"))]}

    sample = logged([score("a", "safe", digest="d1")], **texts)

    assert sample["own/a"]["input"] == NO_TEXT


def test_an_attacked_sample_has_not_the_text_that_it_was_made_from() -> None:
    texts = [a_sample("d1", Message("user", "Hi"))]

    sample = logged([score("a", "safe", digest="d1", variant="base64")], own=texts)

    assert sample["own/a+base64"]["input"] == NO_TEXT


def test_turns_are_told_as_inspect_has_them() -> None:
    call = ToolCall("call_1", "look_up", '{"id": 7}').as_openai()
    turns = (
        Message("developer", "Be brief."),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "Seven.", "look_up", "call_1"),
    )
    calls = (ToolCall("call_2", "send", "no JSON"), ToolCall("call_3", "send", "[1]"))
    sample = logged([score("a", "safe", digest="d1")], own=[a_sample("d1", *turns, calls=calls)])[
        "own/a"
    ]

    assert [turn["role"] for turn in sample["input"]] == ["system", "assistant", "tool"]
    assert sample["input"][1]["tool_calls"] == [
        {"id": "call_1", "function": "look_up", "arguments": {"id": 7}}
    ]
    assert sample["input"][2]["tool_call_id"] == "call_1"
    choice = sample["output"]["choices"][0]
    assert choice["stop_reason"] == "tool_calls"
    asked = [each["arguments"] for each in choice["message"]["tool_calls"]]
    assert asked == [{"arguments": "no JSON"}, {"arguments": "[1]"}]


def test_results_are_the_figures_of_whole_sets_that_are_defined() -> None:
    scores = [score("a", "unsafe", risk=0.1), score("b", "safe", fault="timeout")]
    results = log_of(small_report(), scores, {})["results"]

    assert (results["total_samples"], results["completed_samples"]) == (2, 1)
    conscience, gateway = results["scores"]
    assert (conscience["name"], conscience["scorer"]) == (f"{CONSCIENCE} on own", CONSCIENCE)
    assert (conscience["scored_samples"], conscience["unscored_samples"]) == (3, 1)
    interval = {"low": 0.5, "high": 0.9, "interval": 0.95}
    auroc = {"name": "auroc", "value": 0.75, "params": {}, "metadata": interval}
    assert conscience["metrics"]["auroc"] == auroc
    assert conscience["metrics"]["recall_upper"]["params"] == {"threshold": 0.8}
    assert set(gateway["metrics"]) == {
        "recall_at_fpr_0.05",
        "recall_upper",
        "false_positive_rate_upper",
    }
    assert gateway["metrics"]["false_positive_rate_upper"]["value"] == 0


def test_the_head_says_what_reproduces_the_run() -> None:
    log = log_of(small_report(), [score("a", "unsafe", risk=0.1)], {})

    head = log["eval"]
    assert head["model"] == "inwit/tiny"
    assert head["created"] == STARTED
    assert log["stats"]["completed_at"] == "2026-03-01T10:01:30+00:00"
    assert head["dataset"] == {"name": "own", "samples": 1, "sample_ids": ["own/a"]}
    assert head["packages"] == {"inwit": "0.1.0", "numpy": "2.4"}
    assert head["revision"] == {"type": "git", "origin": "", "commit": "c0ffee"}
    assert head["metadata"]["command"] == "inwit evaluate run --suite standard"
    assert head["metadata"]["seeds"] == [0, 1]
    assert head["metadata"]["policy"] == {"name": "default", "version": "3", "digest": "d1"}
    assert [each["name"] for each in head["scorers"]] == ["length", CONSCIENCE]
    assert head["scorers"][1]["options"]["fingerprint"] == f"fingerprint of {CONSCIENCE}"
    assert head["metadata"]["datasets"]["xstest"]["digest"] is None


def test_there_is_no_revision_where_none_is_known() -> None:
    report = small_report()
    run = report.run.model_copy(update={"versions": {"inwit": "0.1.0"}})

    assert log_of(report.model_copy(update={"run": run}), [], {})["eval"]["revision"] is None


def test_the_same_run_gives_the_same_log() -> None:
    scores = [score("a", "unsafe", risk=0.1), score("b", "safe", risk=0.2)]
    first, second = (log_of(small_report(), some, {}) for some in (scores, scores[::-1]))

    assert json.dumps(first) == json.dumps(second)


def test_without_inspect_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("inspect_ai", "inspect_ai.log"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed

    with pytest.raises(SetupError, match=r"pip install 'inwit\[inspect\]'"):
        write_log(small_report(), [], tmp_path / "run.eval")
