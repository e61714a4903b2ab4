"""The policies in force in one process, exchanged all at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from inwit.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class _Edition:
    """One set of policies; whoever holds its mapping keeps that set, whatever comes after."""

    policies: Mapping[str, Policy]
    loaded: datetime


class PolicyBook:
    """Which policy decides, by name. A request looks once, and keeps what it found."""

    def __init__(self, policies: Mapping[str, Policy], loaded: datetime) -> None:
        self._edition = _Edition(MappingProxyType(dict(policies)), loaded)
        self._problems: tuple[str, ...] = ()

    @property
    def current(self) -> Mapping[str, Policy]:
        """The policies in force, by name."""
        return self._edition.policies

    @property
    def loaded(self) -> datetime:
        """Since when they are."""
        return self._edition.loaded

    @property
    def problems(self) -> tuple[str, ...]:
        """Why what stands in the policy folder now is not in force; empty where it is."""
        return self._problems

    def replace(self, policies: Mapping[str, Policy], loaded: datetime) -> None:
        """Put these in force instead of all that were."""
        self._edition = _Edition(MappingProxyType(dict(policies)), loaded)
        self._problems = ()

    def confirm(self) -> None:
        """Say that the folder holds what is in force."""
        self._problems = ()

    def refuse(self, problems: tuple[str, ...]) -> None:
        """Leave in force what is, and say why."""
        self._problems = problems
