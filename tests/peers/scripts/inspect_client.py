"""What Inspect reads of Inwit's logs, and what it logs of a run of Inwit's task.

Runs in the environment that has Inspect, with Inwit's own code on its path. FOLDER holds
report.json, scores.jsonl and samples.jsonl (of the set `own`), and data/xstest/samples.jsonl.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from inspect_ai import eval as evaluate
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log

from inwit.errors import SetupError
from inwit.evaluation.inspect_log import write_log
from inwit.evaluation.results import Report, SampleScore
from inwit.evaluation.samples import read_samples

FOLDER = Path(os.environ["FOLDER"])
SERVICE = os.environ["PYTHONPATH"]
TASK = "inwit/evaluation/inspect_task.py"
INSPECT = str(Path(sys.executable).with_name("inspect"))


def read(file: str) -> dict[str, Any]:
    """A log as Inspect has it."""
    return as_json(read_eval_log(file, resolve_attachments=True))


def as_json(log: EvalLog) -> dict[str, Any]:
    return log.model_dump(mode="json")


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    """Inspect's own command, where the docs run it."""
    return subprocess.run(
        [INSPECT, *words], cwd=SERVICE, capture_output=True, text=True, check=False
    )


def report_logs() -> dict[str, Any]:
    report = Report.model_validate_json((FOLDER / "report.json").read_text())
    lines = (FOLDER / "scores.jsonl").read_text().splitlines()
    scores = [SampleScore.model_validate_json(line) for line in lines]
    samples = {"own": read_samples(FOLDER / "samples.jsonl").samples}
    plain, texts = FOLDER / "plain.eval", FOLDER / "texts.eval"
    write_log(report, scores, plain)
    write_log(report, scores, texts, samples)
    dump = command("log", "dump", str(plain))
    return {
        "plain": read(str(plain)),
        "texts": read(str(texts)),
        "dump": {"exit": dump.returncode, "text": dump.stdout},
    }


def run_command(**parameters: object) -> dict[str, Any]:
    """The log of `inspect eval`, run as the docs say."""
    logs = str(FOLDER / "logs")
    given = [part for key, value in parameters.items() for part in ("-T", f"{key}={value}")]
    done = command(
        *("eval", TASK, "--model", "none", "--display", "plain", "--log-dir", logs, *given)
    )
    found = list_eval_logs(logs)
    log = read(found[0].name) if found else None
    return {"exit": done.returncode, "said": done.stdout + done.stderr, "log": log}


def run_task(**parameters: object) -> dict[str, Any]:
    """The same from Python."""
    logs = str(FOLDER / "more logs")
    (log,) = evaluate(TASK, task_args=parameters, model="none", display="none", log_dir=logs)
    return as_json(log)


def missing(**parameters: object) -> str | None:
    try:
        run_task(**parameters)
    except SetupError as error:
        return str(error)
    return None


def main() -> None:
    gateway = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
    data = str(FOLDER / "data")
    foreign = {"dataset": "xstest", "data": data, "url": gateway, "policy": "plain"}
    os.chdir(SERVICE)
    seen = {
        **report_logs(),
        "own": run_command(dataset="own", url=gateway, limit=6),
        "foreign": run_task(**foreign),
        "with_text": run_task(text=True, limit=2, **foreign),
        "refused": run_task(**{**foreign, "policy": "nowhere"}),
        "missing": missing(**{**foreign, "dataset": "safetext"}),
    }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
