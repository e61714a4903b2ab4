"""`inwit calibrate`: from labelled samples to a calibration."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from inwit.config import Settings, load_settings
from inwit.errors import SetupError
from inwit.policy.loader import PACKAGED, load_policies
from inwit.policy.policy import Policy
from inwit.types import Framing

_out = Console(highlight=False, soft_wrap=True, markup=False)


def _share(value: float | None) -> float | None:
    if value is not None and not 0 < value < 1:
        raise typer.BadParameter("it must lie between 0 and 1")
    return value


def calibrate(
    samples: Annotated[Path, typer.Option(help="JSON lines of labelled responses.")],
    policy: Annotated[str, typer.Option(help="Whose question is asked.")] = "default",
    model: Annotated[str | None, typer.Option(help="The served one when not given.")] = None,
    framing: Annotated[
        Framing | None, typer.Option(help="The policy's own when not given.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Keep the model's answers here, and go on from them.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to.", show_default="calibrations/ in data")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take at most so many samples.")] = None,
    prior: Annotated[
        float | None,
        typer.Option(
            help="Share of production's responses that is harmful, in (0, 1).", callback=_share
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="For the choice and the folds.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions at once.")] = 4,
    max_unjudged: Annotated[
        float, typer.Option(min=0, max=1, help="Largest share of samples left out unjudged.")
    ] = 0.2,
    force: Annotated[
        bool, typer.Option("--force", help="Write it for a judge without signal too.")
    ] = False,
) -> None:
    """Fit the map from the model's raw risk to a probability of harm."""
    require_extra()
    # Here and not above: no other command needs them, and they take a second to import.
    from inwit.evaluation.calibrate import Request
    from inwit.evaluation.calibrate import calibrate as make

    settings = load_settings()
    request = Request(
        samples=samples,
        out=out or settings.data_dir / "calibrations",
        model=model,
        framing=framing,
        scores=scores,
        limit=limit,
        prior=prior,
        seed=seed,
        concurrency=concurrency,
        max_unjudged=max_unjudged,
        force=force,
    )
    make(settings, policy_named(policy, settings), request, _out)


def require_extra() -> None:
    """Refuse to go on without the libraries of the extra `evaluate`.

    Raises:
        SetupError: one of them is not installed.
    """
    for module, name in (("sklearn", "scikit-learn"), ("matplotlib", "matplotlib")):
        if importlib.util.find_spec(module) is None:
            raise SetupError(f"{name} is not installed. Run `pip install 'inwit[evaluate]'`.")


def policy_named(name: str, settings: Settings) -> Policy:
    """One of the policies that a gateway with these settings would load."""
    known = load_policies(settings.policy_dir or PACKAGED)
    if name not in known:
        raise typer.BadParameter(f"there are: {', '.join(sorted(known))}", param_hint="--policy")
    return known[name]
