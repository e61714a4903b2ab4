"""An Inspect (UK AISI) `.eval` log of a run, for `inspect view` and Inspect's other tools.

The log is put together as plain JSON; inspect_ai checks it and writes it, and is imported nowhere
else. docs/evaluation/inspect.md says what is in it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from inwit.errors import SetupError
from inwit.evaluation.results import Detection, Figure, Flagged, Report, SampleScore
from inwit.evaluation.samples import Sample
from inwit.types import Message

NO_TEXT = "(text not included)"
PLAIN = ("", "plain")  # the variants in which a sample is as its set has it

_ALL = "all"  # the slice that is the whole of a set
_COMMIT = "commit"  # under which the versions of a run name Inwit's own, if it is known
_ID_CHARACTERS = 22  # as Inspect's own ids have

_Key = tuple[str, str, str, str]


def write_log(
    report: Report,
    scores: Iterable[SampleScore],
    file: Path,
    samples: Mapping[str, Iterable[Sample]] | None = None,
) -> None:
    """Write one log for a run. What runs an event loop must call it in a thread.

    The text of samples is in the log only where `samples` has it, by the names of the sets, and
    only of samples as they are: attacked ones can be made anew from their attack and seed.

    Raises:
        SetupError: inspect_ai is not installed, or is too old; or the file cannot be written.
    """
    try:
        from inspect_ai.log import EvalLog, write_eval_log
    except ImportError as error:
        raise SetupError(
            "An Inspect log needs inspect_ai: pip install 'inwit[inspect]', or leave it out."
        ) from error
    log = EvalLog.model_validate(log_of(report, scores, samples or {}))
    try:
        write_eval_log(log, str(file), format="eval")
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}. The log's folder must be writable.") from error


def log_of(
    report: Report, scores: Iterable[SampleScore], samples: Mapping[str, Iterable[Sample]]
) -> dict[str, Any]:
    """The fields of Inspect's `EvalLog` (version 2)."""
    rows: dict[_Key, list[SampleScore]] = {}
    for row in scores:
        rows.setdefault(_key(row), []).append(row)
    logged = _samples(rows, _texts(samples))
    started = datetime.fromisoformat(report.run.started)
    ended = started + timedelta(seconds=report.run.seconds)
    return {
        "version": 2,
        "status": "success",
        "eval": _spec(report, [each["id"] for each in logged]),
        "plan": {"name": "inwit evaluate run"},
        "results": {
            "total_samples": len(rows),
            "completed_samples": sum(_judged(each) for each in rows.values()),
            "scores": [_score_of_set(each) for each in report.detection if each.slice == _ALL],
            "metadata": {"asked": report.run.asked, "failed": report.run.failed},
        },
        "stats": {"started_at": started.isoformat(), "completed_at": ended.isoformat()},
        "samples": logged,
    }


def _spec(report: Report, ids: Sequence[str]) -> dict[str, Any]:
    run, used = report.run, [each for each in report.datasets if each.used_unsafe + each.used_safe]
    digest = hashlib.sha256(report.model_dump_json(by_alias=True).encode()).hexdigest()
    return {
        **dict.fromkeys(("eval_id", "run_id", "task_id"), digest[:_ID_CHARACTERS]),
        "created": run.started,
        "task": f"inwit_{run.suite}",
        "task_args": {"suite": run.suite, "seeds": run.seeds, "policy": run.policy},
        "dataset": {
            "name": ", ".join(each.name for each in used),
            "samples": len(ids),
            "sample_ids": list(ids),
        },
        "model": _model(report),
        "config": {},
        "revision": _revision(run.versions.get(_COMMIT)),
        "packages": {name: each for name, each in run.versions.items() if name != _COMMIT},
        "tags": ["inwit"],
        "scorers": [
            {"name": each.name, "options": each.model_dump(exclude={"name"})}
            for each in report.judges
        ],
        "metadata": {
            "command": run.command,
            "seeds": run.seeds,
            "policy": {
                "name": run.policy,
                "version": run.policy_version,
                "digest": run.policy_digest,
            },
            "machine": run.machine.model_dump(),
            "datasets": {each.name: each.model_dump(exclude={"name"}) for each in report.datasets},
            "scorecard": {each.name: each.grade for each in report.scorecard},
            "limits": report.limits,
        },
    }


def _revision(commit: str | None) -> dict[str, str] | None:
    """Without an origin: the checkout's may be anybody's."""
    return None if commit is None else {"type": "git", "origin": "", "commit": commit}


def _model(report: Report) -> str:
    """The first judge's that is no baseline; the options of each scorer name its own."""
    models = [each.model for each in report.judges if each.kind != "baseline" and each.model]
    return f"inwit/{models[0]}" if models else "none/none"


def _score_of_set(found: Detection) -> dict[str, Any]:
    """What a judge came to on the whole of a set."""
    return {
        "name": f"{found.judge} on {found.dataset}",
        "scorer": found.judge,
        "scored_samples": found.unsafe + found.safe,
        "unscored_samples": found.not_judged,
        "metrics": _metrics(found),
        "metadata": {
            "dataset": found.dataset,
            "distribution": found.distribution,
            **found.model_dump(include={"unsafe", "safe", "prompts"}),
        },
    }


def _metrics(found: Detection) -> dict[str, Any]:
    """Those that are defined, by name; the interval of each is its metadata."""
    named = {"auroc": _metric("auroc", found.auroc), "auprc": _metric("auprc", found.auprc)}
    for most, figure in found.recall_at_fpr.items():
        named[f"recall_at_fpr_{most}"] = _metric(f"recall_at_fpr_{most}", figure)
    for threshold, at in found.at.items():
        named |= {
            f"{name}_{threshold}": _metric(f"{name}_{threshold}", figure, at.threshold)
            for name, figure in _figures(at).items()
        }
    return {name: metric for name, metric in named.items() if metric is not None}


def _figures(at: Flagged) -> dict[str, Figure | None]:
    return {
        "recall": at.recall,
        "false_positive_rate": at.false_positive_rate,
        "precision": at.precision,
        "f1": at.f1,
    }


def _metric(
    name: str, figure: Figure | None, threshold: float | None = None
) -> dict[str, Any] | None:
    if figure is None:
        return None
    return {
        "name": name,
        "value": figure.value,
        "params": {} if threshold is None else {"threshold": threshold},
        "metadata": {"low": figure.low, "high": figure.high, "interval": 0.95},
    }


def _samples(
    rows: Mapping[_Key, Sequence[SampleScore]], texts: Mapping[tuple[str, str], Sample]
) -> list[dict[str, Any]]:
    names = {key: _name(key) for key in rows}
    times = Counter(names.values())
    logged: list[dict[str, Any]] = []
    for key, said in rows.items():
        dataset, _, digest, variant = key
        name = names[key] if times[names[key]] == 1 else f"{names[key]}#{digest}"
        logged.append(
            {
                "id": name,
                "epoch": 1,
                "target": said[0].label,
                "metadata": {"dataset": dataset, "digest": digest, "variant": variant},
                "scores": {each.judge: _score(each) for each in said},
                **_text(texts.get((dataset, digest)) if variant in PLAIN else None),
            }
        )
    return sorted(logged, key=lambda each: each["id"])


def _score(row: SampleScore) -> dict[str, Any]:
    """Not a number, as Inspect has what was not scored, where a judge said nothing."""
    said_nothing = row.risk is None and row.flagged is None
    answers = {None: None, True: "unsafe", False: "safe"}
    return {
        "value": float("nan") if said_nothing else {"risk": row.risk, "flagged": row.flagged},
        "answer": answers[row.flagged],
        "reason": row.fault,
    }


def _judged(rows: Iterable[SampleScore]) -> bool:
    return all(each.fault is None for each in rows)


def _key(row: SampleScore) -> _Key:
    return row.dataset, row.id, row.digest, row.variant


def _name(key: _Key) -> str:
    dataset, name, _, variant = key
    return f"{dataset}/{name}" if variant in PLAIN else f"{dataset}/{name}+{variant}"


def _texts(samples: Mapping[str, Iterable[Sample]]) -> dict[tuple[str, str], Sample]:
    return {(name, each.digest): each for name, some in samples.items() for each in some}


def _text(sample: Sample | None) -> dict[str, Any]:
    if sample is None:
        return {"input": NO_TEXT}
    calls = tuple(call.as_openai() for call in sample.tool_calls)
    turns = [message_of(turn) for turn in sample.conversation]
    answer = message_of(Message("assistant", sample.response, tool_calls=calls))
    choice = {"message": answer, "stop_reason": "tool_calls" if calls else "stop"}
    return {"input": turns, "messages": [*turns, answer], "output": {"choices": [choice]}}


def message_of(turn: Message) -> dict[str, Any]:
    """A turn as a `ChatMessage` of Inspect's, which knows no developer."""
    message: dict[str, Any] = {
        "role": "system" if turn.role == "developer" else turn.role,
        "content": turn.content,
    }
    if turn.role == "tool":
        message |= {"tool_call_id": turn.tool_call_id, "function": turn.name}
    if turn.tool_calls:
        message["tool_calls"] = [_call(call) for call in turn.tool_calls]
    return message


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that are no JSON object are kept as text."""
    function = call["function"]
    written = function["arguments"]
    try:
        arguments: Any = json.loads(written)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        arguments = {"arguments": written}
    return {"id": call["id"], "function": function["name"], "arguments": arguments}
