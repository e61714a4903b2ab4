"""PromQL without its selectors: each metric gets the dashboard's variables put in."""

import re

# A name of ours, with the matchers that it has already. Recorded series have a colon.
_METRIC = re.compile(r"\b((?:inwit|vllm)[a-z0-9_:]*|up)\b(?:\{([^}]*)\})?")

PLACE = ('namespace=~"$namespace"', 'job=~"$job"')
REPLICA = 'instance=~"$instance"'
MODEL_SERVER = ('namespace=~"$namespace"', 'job=~"$model_job"')


def selected(query: str) -> str:
    """The query with namespace, job and (where a metric is one replica's) instance matched."""
    return _METRIC.sub(_with_variables, " ".join(query.split()))


def _with_variables(found: re.Match[str]) -> str:
    name, matchers = found[1], found[2]
    if name.startswith("vllm:"):
        those = MODEL_SERVER
    elif ":" in name:
        those = PLACE
    else:
        those = (*PLACE, REPLICA)
    return f"{name}{{{', '.join([*those, *([matchers] if matchers else [])])}}}"


def rate(counter: str, by: str = "") -> str:
    """Per second, summed by those labels, or all of it."""
    return f"sum{f' by ({by})' if by else ''} (rate({counter}[$__rate_interval]))"


def share(part: str, whole: str) -> str:
    """`part` of `whole`, and nothing where there is nothing: never 0 / 0."""
    return f"({part}) / ({whole} > 0)"


def or_zero(part: str) -> str:
    """0 where a sum over everything has no series, as that of failures in a healthy place."""
    return f"{part} or vector(0)"


def dependencies_down() -> str:
    """How many of them some replica does not reach: each once, however many replicas say so."""
    return "count(min by (dependency) (inwit_dependency_up) == 0) or vector(0)"


def quantile(rank: float, histogram: str, by: str = "") -> str:
    """A quantile of a histogram over the rate interval."""
    labels = f"le, {by}" if by else "le"
    bucket = histogram.replace("{", "_bucket{", 1) if "{" in histogram else f"{histogram}_bucket"
    return f"histogram_quantile({rank:g}, sum by ({labels}) (rate({bucket}[$__rate_interval])))"
