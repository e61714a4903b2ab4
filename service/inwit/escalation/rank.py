"""Which case is next: a number that never changes with time, and the words for it. Pure.

    rank = opened + SLACK_SHARE * min(due - opened, LONGEST_SLACK) - credit for the severity
           - credit for a caller who waits in line                            (seconds; lower first)

Every case grows older at the same pace, so ageing needs no number that is written anew: a case
that opened an hour earlier is an hour ahead, for good. Credits are head starts in the same
seconds. The second term is a weighted mean of `opened` and `due`: of two cases of one age the one
that is due sooner is first, and with LONGEST_SLACK a long deadline can cost a case only so much.
So nothing starves: a case is never overtaken by one that opened NEVER_OVERTAKEN_AFTER later.
"""

from datetime import datetime, timedelta

from inwit.cases import Case
from inwit.types import Severity

CREDIT = {
    Severity.CRITICAL: timedelta(seconds=3600),
    Severity.HIGH: timedelta(seconds=1200),
    Severity.MEDIUM: timedelta(seconds=300),
    Severity.LOW: timedelta(0),
}
WAITING_CREDIT = timedelta(seconds=1800)
SLACK_SHARE = 0.25
LONGEST_SLACK = timedelta(hours=4)
NEVER_OVERTAKEN_AFTER = max(CREDIT.values()) + WAITING_CREDIT + SLACK_SHARE * LONGEST_SLACK


def rank(case: Case, *, waiting: bool) -> float:
    """Seconds since 1970, to the millisecond; the lowest is next. `waiting`: a caller in line."""
    slack = min(max(case.due - case.opened, timedelta(0)), LONGEST_SLACK)
    credit = CREDIT[case.severity] + (WAITING_CREDIT if waiting else timedelta(0))
    moved = SLACK_SHARE * slack - credit
    # No more digits than the queue's scripts keep.
    return round(case.opened.timestamp() + moved.total_seconds(), 3)


def reasons(case: Case, now: datetime) -> tuple[str, ...]:
    """The words for its place that the console shows, the weightiest first."""
    words = [case.severity.value]
    if case.waits_until is not None and now < case.waits_until:
        words.append("caller is waiting")
    left = case.due - now
    words.append(f"due in {_span(left)}" if left > timedelta(0) else f"overdue by {_span(-left)}")
    words.append(f"has waited {_span(max(now - case.opened, timedelta(0)))}")
    return tuple(words)


def _span(time: timedelta) -> str:
    seconds = int(time.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    hours, minutes = divmod(seconds // 60, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
