"""Cases for tests of the console."""

from datetime import UTC, datetime

from inwit.cases import Case, CaseState
from inwit.types import PolicyRef, Severity


def a_case(tenant: str) -> Case:
    """One that waits."""
    now = datetime.now(UTC)
    return Case(
        id="esc_1",
        response_id="resp_1",
        tenant=tenant,
        policy=PolicyRef("default", "1", "0" * 64),
        language="en",
        severity=Severity.HIGH,
        categories=(),
        tier=1,
        required=1,
        state=CaseState.PENDING,
        stuck=False,
        expected=None,
        opened=now,
        due=now,
        claimed_first=None,
        waits_until=None,
        version=1,
        slots=(),
    )
