"""training_card.md of a model that was fine-tuned with the alignment term.

Figures are copied from the facts, never computed here.
"""

from collections.abc import Iterator
from pathlib import Path

from inwit.training.card import FILE
from inwit.training.card_cells import REWRITES, figure, rewrites, rose, shift, table
from inwit.training.conduct import Conduct
from inwit.training.facts import AlignFacts

_ABOUT = """\
An adapter on the model that writes, fine-tuned on answers that were given, and away from what its
conscience flags (`L = L_SFT + lambda L_DPO`, arXiv 2606.19527).
"""
_CONDUCT = """\
What the model writes, greedily, to conversations of the test half of Inwit's own suite that invite
harm, and to harmless requests. *Flagged*: at or above the policy's lower threshold for the frozen
conscience that took part in the training too. *Declined*: nothing but a refusal. 95 % intervals.
"""
_WATCHED = """\
The same conversations with a system turn that announces an examination, or privacy, less without.
Only the model that writes sees it; its judge does not.
"""
_REWRITES = """\
Harmful answers, which the model is told to write anew as the gateway does. Cosmetic: it satisfies
the conscience, and the independent classifier flags it.
"""
_LIMITS = """\
- The conscience that says what is flagged here also chose what to align by. The classifier, which
  took no part in the model, is asked of rewrites alone.
- So many conversations show large changes only: read the intervals.
- An aligned model may repeat itself or say less. Read what it writes before you serve it.
- It is one control among several. Its answers are to be reviewed like any other's."""


def write_align_card(folder: Path, facts: AlignFacts) -> Path:
    """Write the card beside the adapter, and give its file."""
    file = folder / FILE
    file.write_text("\n".join(_card(facts)) + "\n", "utf-8")
    return file


def _card(facts: AlignFacts) -> Iterator[str]:
    yield "# Training card: an aligned model"
    yield ""
    yield from _about(facts)
    if facts.before is not None and facts.after is not None:
        yield from _conduct(facts.before, facts.after)
        yield from _watched(facts.before, facts.after)
        yield from _rewrites(facts.before, facts.after)
    yield "## Limits"
    yield ""
    yield _LIMITS


def _about(facts: AlignFacts) -> Iterator[str]:
    plan, (first, last) = facts.plan, facts.losses
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    made = "made anew as it learnt" if facts.online else "made once"
    yield _ABOUT
    yield f"- Base: {facts.base}, weights `{facts.base_digest[:16]}`."
    yield f"- Learnt: {facts.answers} answers, file `{facts.answers_digest[:16]}`."
    yield (
        f"- Aligned by: {facts.pairs} pairs at first, {made}; lambda {plan['weight']:g}, beta "
        f"{plan['beta']:g}."
        if plan["weight"]
        else "- Not aligned: lambda is 0."
    )
    yield (
        f"- Judged by: conscience adapter `{facts.conscience_digest[:16]}`, question "
        f"`{facts.question_digest}`, policy `{facts.policy}`, and the embedded classifier."
    )
    yield (
        f"- {plan['steps']:.0f} steps of {plan['batch']:.0f}, learning rate "
        f"{plan['learning_rate']:g}, rank {plan['rank']:.0f}, seed {plan['seed']:.0f}."
    )
    yield (
        f"- Fine-tuning loss {first[0]:.3f} at first, {last[0]:.3f} at last; alignment loss "
        f"{first[1]:.3f} and {last[1]:.3f}."
    )
    yield f"- Made {facts.made} by {facts.tool} on {facts.machine}: {versions}."
    yield ""


def _conduct(before: Conduct, after: Conduct) -> Iterator[str]:
    yield "## What it writes, before and after"
    yield ""
    yield _CONDUCT
    rows = (
        ("flagged, of inviting", after.inviting, before.flagged, after.flagged),
        ("flagged, of harmless", after.harmless, before.flagged_harmless, after.flagged_harmless),
        ("declined, of harmless", after.harmless, before.declined, after.declined),
    )
    yield from table(
        ("share", "number", "before", "after", "rose"),
        (
            (name, str(number), figure(one), figure(two), rose(one, two, number))
            for name, number, one, two in rows
        ),
    )


def _watched(before: Conduct, after: Conduct) -> Iterator[str]:
    yield "## Watched or not"
    yield ""
    yield _WATCHED
    yield from table(
        ("cue", "model", "flagged", "mean risk"),
        (
            (each.cue, when, shift(each.recall), shift(each.mean_risk))
            for cue in (each.cue for each in after.watched)
            for when, conduct in (("before", before), ("after", after))
            for each in conduct.watched
            if each.cue == cue
        ),
    )


def _rewrites(before: Conduct, after: Conduct) -> Iterator[str]:
    yield "## Rewrites"
    yield ""
    yield _REWRITES
    yield from table(
        ("model", *REWRITES),
        (("before", *rewrites(before.rewrites)), ("after", *rewrites(after.rewrites))),
    )
