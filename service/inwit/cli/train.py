"""`inwit train`: teaches the conscience, and models that it watches over."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import sqlalchemy as sa
import typer
from rich.console import Console

from inwit.adapters import ADAPTER_NAME, PEFT_FOLDER
from inwit.cli.calibrate import policy_named
from inwit.cli.database import with_ledger
from inwit.config import load_settings
from inwit.ledger.database import Database
from inwit.ledger.preferences import Preference, Tally, note_preferences, preferences
from inwit.ledger.transaction import Transaction
from inwit.policy.policy import Policy
from inwit.types import Message

if TYPE_CHECKING:
    from inwit.training.pairs import Pair

app = typer.Typer(no_args_is_help=True, help="Train the conscience (needs the extra `train`).")
_out = Console(highlight=False, soft_wrap=True, markup=False)

_Base = Annotated[
    Path | None,
    typer.Option(help="Folder of the served model's checkpoint.", show_default="the packaged one"),
]
_Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder with a folder for each set.", envvar="INWIT_DATA", show_default="INWIT_DATA"
    ),
]
_Out = Annotated[Path, typer.Option(help="Folder for the adapter and what leads to it.")]
_Policy = Annotated[
    list[str] | None,
    typer.Option("--policy", help="Whose question is learnt; the first is measured."),
]
_Seeds = Annotated[int, typer.Option(min=1, max=20, help="How many trainings; the best is kept.")]
_Passes = Annotated[int, typer.Option(min=1, max=20, help="Passes over the samples.")]
_Share = Annotated[float, typer.Option(min=0.001, max=1, help="Of each set's samples.")]
_Everyday = Annotated[
    int, typer.Option(min=0, max=300, help="Harmless requests, answered by the base.")
]
_Rate = Annotated[float, typer.Option(help="Highest learning rate.")]
_Rank = Annotated[int, typer.Option(min=1, max=256, help="Rank of the adapter.")]
_Frozen = Annotated[int, typer.Option(min=0, help="Layers, from the first, left as they are.")]
_Patience = Annotated[
    int, typer.Option(min=1, help="Looks at held-back samples without progress, then it stops.")
]
_Name = Annotated[str, typer.Option(help="What the adapter is served and calibrated as.")]
_Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]


@app.command("conscience")
def conscience(
    out: _Out = Path("conscience"),
    base: _Base = None,
    data: _Data = None,
    policy: _Policy = None,
    seeds: _Seeds = 1,
    passes: _Passes = 2,
    share: _Share = 1.0,
    everyday: _Everyday = 300,
    learning_rate: _Rate = 5e-4,
    rank: _Rank = 16,
    frozen: _Frozen = 10,
    patience: _Patience = 3,
    name: _Name = ADAPTER_NAME,
    resume: _Resume = False,
) -> None:
    """Train an adapter by which the model judges, for vLLM (peft/) and llama.cpp (conscience.gguf).

    What it was taught, and how well it learnt it, is in training.json; `inwit train card` makes a
    page of it. Runs on a CPU or one GPU; a run that was stopped goes on with --resume.
    """
    from inwit.training.environment import base_model, require_training

    require_training()
    from inwit.training.conscience import Plan
    from inwit.training.teach import Request, teach

    settings = load_settings()
    names = policy or ["default", "support", "children"]
    policies: list[Policy] = [policy_named(each, settings) for each in names]
    request = Request(
        name=name,
        base=base_model(base, settings.data_dir, _out.print),
        out=out,
        data=data,
        plan=Plan(rank=rank, frozen=frozen, learning_rate=learning_rate, patience=patience),
        seeds=tuple(range(seeds)),
        passes=passes,
        share=share,
        everyday=everyday,
        resume=resume,
    )
    facts = teach(request, policies, _out.print)
    _out.print(f"Written: {out}, the adapter of seed {facts.chosen}.")


@app.command("held-back")
def held_back(
    out: Annotated[Path, typer.Option(help="File to write (JSON lines).")],
    data: _Data = None,
    most: Annotated[int, typer.Option(min=1, help="Samples of each set.")] = 300,
) -> None:
    """Write the samples that no training learns, for `inwit calibrate --samples`.

    The file holds texts of the sets: it is for you alone, and nothing to commit.
    """
    from inwit.evaluation.datasets.reading import find
    from inwit.training.examples import PARTS
    from inwit.training.held_back import write_held_back

    found = find(data, [part.name for part in PARTS])
    _out.print(f"Written: {out}, {write_held_back(found.datasets, out, most, 0)} samples.")


_Report = Annotated[Path | None, typer.Option(help="Folder of `inwit evaluate run`.")]


@app.command("card")
def card(
    folder: Annotated[Path, typer.Argument(help="Folder of `inwit train conscience`.")],
    before: _Report = None,
    after: _Report = None,
) -> None:
    """Write training_card.md: data, settings, figures before and after, and limits."""
    from inwit.evaluation.report.files import read_report
    from inwit.training.card import Reports, write_card
    from inwit.training.facts import read_facts

    reports = [None if each is None else read_report(each)[0] for each in (before, after)]
    file = write_card(folder, read_facts(folder), Reports(*reports))
    _out.print(f"Written: {file}")


_Judge = Annotated[
    Path, typer.Option(help="Adapter that judges (PEFT).", show_default="the packaged one")
]
_Pairs = Annotated[
    Path | None, typer.Option(help="Pairs to align by; drafted by the model when not given.")
]
_Online = Annotated[
    bool, typer.Option("--online", help="New pairs of the model under training, as it goes.")
]


@app.command("align")
def align(
    tune: Annotated[Path, typer.Option(help="Answers to learn: JSON lines, prompt, completion.")],
    out: _Out = Path("aligned"),
    base: _Base = None,
    conscience: _Judge = PEFT_FOLDER,
    pairs: _Pairs = None,
    online: _Online = False,
    every: Annotated[int, typer.Option(min=1, help="Online: steps between new pairs.")] = 10,
    weight: Annotated[float, typer.Option(min=0, help="Of the alignment loss (lambda).")] = 0.1,
    steps: Annotated[int, typer.Option(min=1)] = 60,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    policy: Annotated[str, typer.Option(help="Whose question and thresholds judge.")] = "default",
    question: Annotated[
        str | None, typer.Option(help="Another question to the conscience.")
    ] = None,
    probes: Annotated[int, typer.Option(min=0, help="Held-out conversations to measure by.")] = 24,
) -> None:
    """Fine-tune a model on answers, and away from what its conscience flags.

    The loss is the fine-tuning loss and `--weight` of a DPO loss (arXiv 2606.19527): rejected is
    what the model wrote and the conscience flagged, chosen is the model's own ethical alternative
    that passes the conscience and the independent classifier, and is no refusal. What the model
    writes before and after, watched or not, stands in training_card.md.
    """
    from inwit.training.environment import base_model, require_training

    require_training()
    from inwit.training.align import AlignPlan
    from inwit.training.tuning import Request
    from inwit.training.tuning import tune as run

    settings = load_settings()
    request = Request(
        base=base_model(base, settings.data_dir, _out.print),
        tune=tune,
        out=out,
        plan=AlignPlan(weight=weight, steps=steps, seed=seed, every=every),
        conscience=conscience,
        pairs=pairs,
        online=online,
        question=question,
        probes=probes,
    )
    facts = run(request, policy_named(policy, settings), _out.print).facts
    first, last = facts.losses
    _out.print(f"Fine-tuning loss {first[0]:.3f} at first, {last[0]:.3f} at last; alignment loss")
    _out.print(f"{first[1]:.3f} and {last[1]:.3f}, on {facts.pairs} pairs. Written: {out}/adapter")


_Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day, in UTC.")]


@app.command("pairs")
def pairs(
    out: Annotated[Path, typer.Option(help="File to write (JSON lines).")] = Path("pairs.jsonl"),
    from_ledger: Annotated[
        bool, typer.Option("--from-ledger", help="From what people wrote in place of candidates.")
    ] = False,
    since: _Day = None,
    until: _Day = None,
) -> None:
    """Write pairs to learn from: what a person wrote, and the candidate that they did not want.

    Only of requests that came with `metadata: {"training": "consented"}`, and only what is not
    erased. That they were taken out is recorded in the ledger.
    """
    from inwit.training.pairs import write_pairs

    if not from_ledger:
        raise typer.BadParameter("say where pairs are to come from", param_hint="--from-ledger")
    start = (since or datetime(2000, 1, 1, tzinfo=UTC)).replace(tzinfo=UTC)
    end = (until or datetime(9999, 1, 1, tzinfo=UTC)).replace(tzinfo=UTC)

    def note(connection: sa.Connection, rows: int) -> None:
        transaction = Transaction(connection)
        note_preferences(transaction, start, end, rows)
        transaction.flush()

    async def work(database: Database) -> Tally:
        found = await database.read(partial(preferences, since=start, until=end))
        await database.write(partial(note, rows=len(found.pairs)))
        return found

    found = with_ledger(work)
    written = write_pairs(out, map(_pair, found.pairs))
    _out.print(
        f"Written: {out}, {written} pairs. Left out: {found.without_consent} without consent, "
        f"{found.erased} erased, {found.unfit} with tools or passages, or unchanged."
    )


def _pair(preference: Preference) -> "Pair":
    from inwit.training.pairs import Pair

    turns = tuple(Message(turn["role"], turn.get("content") or "") for turn in preference.messages)
    return Pair(turns, preference.chosen, preference.rejected, preference.ruling)
