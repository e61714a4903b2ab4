"""Gauges that are looked at: what they show, and that they follow."""

from prometheus_client import REGISTRY

from inwit import __version__
from inwit.pulse import Pulse


def shown(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_what_stands_is_shown() -> None:
    calibrated, breakers = {"pulse": False}, {"pulse-guard": "open"}
    problems, waiting = [3], [7]
    pulse = Pulse(lambda: calibrated, lambda: breakers, lambda: problems[0], lambda: waiting[0])

    pulse.look()
    assert shown("inwit_calibrated", policy="pulse") == 0
    assert shown("inwit_classifier_breaker_state", classifier="pulse-guard") == 2
    assert shown("inwit_policy_problems") == 3
    assert shown("inwit_ledger_waiting") == 7

    calibrated["pulse"], breakers["pulse-guard"], problems[0] = True, "closed", 0
    pulse.look()
    assert shown("inwit_calibrated", policy="pulse") == 1
    assert shown("inwit_classifier_breaker_state", classifier="pulse-guard") == 0
    assert shown("inwit_policy_problems") == 0


def test_a_policy_that_is_gone_is_shown_no_more() -> None:
    calibrated = {"pulse-kept": True, "pulse-gone": False}
    pulse = Pulse(lambda: calibrated, dict, lambda: 0, lambda: 0)
    pulse.look()
    assert shown("inwit_calibrated", policy="pulse-gone") == 0

    del calibrated["pulse-gone"]
    pulse.look()
    assert shown("inwit_calibrated", policy="pulse-gone") is None
    assert shown("inwit_calibrated", policy="pulse-kept") == 1

    calibrated["pulse-gone"] = False
    pulse.look()
    assert shown("inwit_calibrated", policy="pulse-gone") == 0


async def test_a_loop_that_is_held_up_shows() -> None:
    pulse = Pulse(dict, dict, lambda: 0, lambda: 0)

    async with pulse.running():
        assert shown("inwit_event_loop_lag_seconds") == 0
    assert shown("inwit_build_info", version=__version__) == 1
