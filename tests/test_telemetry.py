"""Series that begin at 0, as a fresh replica shows them before anything has happened."""

import subprocess
import sys

import pytest

_SHOW = """
from prometheus_client import generate_latest
from inwit import telemetry
telemetry.begin()
print(generate_latest().decode())
"""


@pytest.fixture(scope="module")
def exposed() -> set[str]:
    """Lines of a process's own metrics: this one's have counted what other tests did."""
    ran = subprocess.run([sys.executable, "-c", _SHOW], capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines())


@pytest.mark.parametrize(
    "series",
    [
        'inwit_http_requests_total{route="/v1/respond",status="500"} 0.0',
        'inwit_streams_total{end="error"} 0.0',
        'inwit_telemetry_dropped_total{signal="logs"} 0.0',
        'inwit_ledger_checkpoint_failures_total{cause="changed"} 0.0',
        *(
            f'inwit_escalation_wait_seconds_count{{ending="{ending}"}} 0.0'
            for ending in ("ruled", "nobody_ruled")
        ),
        *(
            f'inwit_agreements_total{{against="{against}",agreed="{agreed}"}} 0.0'
            for against in ("golden", "second")
            for agreed in ("true", "false")
        ),
        *(
            f'inwit_rulings_total{{late="{late}",ruling="{kind}"}} 0.0'
            for late in ("true", "false")
            for kind in ("approve", "approve_rewrite", "edit", "block", "escalate")
        ),
        *(
            f'inwit_deliveries_total{{outcome="{outcome}"}} 0.0'
            for outcome in ("delivered", "failed", "given_up")
        ),
    ],
)
def test_what_alerts_and_panels_read_begins_at_0(exposed: set[str], series: str) -> None:
    assert series in exposed
