"""Builds the panel of classifiers that the settings name, and the embedded one."""

from collections.abc import Mapping

from inwit.clients.classifiers.embedded import EmbeddedClassifier
from inwit.clients.classifiers.families import FAMILIES
from inwit.clients.classifiers.guard_llm import MAX_ANSWER_BYTES, GuardLLM
from inwit.clients.classifiers.http import HttpClassifier
from inwit.clients.classifiers.moderation import ModerationClassifier
from inwit.clients.classifiers.panel import Member, Panel, Seat
from inwit.clients.transport import JsonTransport
from inwit.config import ClassifierSettings
from inwit.errors import SetupError

_KEY_SETTING = "INWIT_CLASSIFIERS"


def configured_panel(settings: Mapping[str, ClassifierSettings]) -> Panel:
    """The panel, not yet open.

    Raises:
        SetupError: an unknown family of guard models, or the embedded classifier's file is broken.
    """
    seats = [Seat(EmbeddedClassifier.load())]
    for name, each in settings.items():
        seats.append(Seat(_member(name, each), each.timeout_ms, each.max_in_flight))
    return Panel(seats)


def _member(name: str, settings: ClassifierSettings) -> Member:
    url, key = str(settings.url), settings.api_key
    secret = key.get_secret_value() if key is not None else None
    match settings.kind:
        case "guard_llm":
            family = FAMILIES.get(settings.family or "")
            if family is None:
                raise SetupError(
                    f"{_KEY_SETTING}: {name}: there is no family {settings.family!r}. "
                    f"There are: {', '.join(sorted(FAMILIES))}."
                )
            transport = JsonTransport(
                url,
                api_key=secret,
                what=f"guard server {name}",
                key_setting=_KEY_SETTING,
                max_answer_bytes=MAX_ANSWER_BYTES,
            )
            return GuardLLM(name, family, transport, model=settings.model)
        case "openai_moderation":
            return ModerationClassifier(name, url, model=settings.model, api_key=secret)
        case "http":
            judges_input = settings.judges_input
            return HttpClassifier(name, url, api_key=secret, judges_input=judges_input)
