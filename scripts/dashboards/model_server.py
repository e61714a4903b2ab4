"""Model: where the time goes, and what reviewing costs the model server."""

from scripts.dashboards.boards import Board, Row
from scripts.dashboards.panels import heat, lines, number, worse_above
from scripts.dashboards.queries import quantile, rate, share

_STAGE = "inwit_stage_duration_seconds"


_REVIEW = rate('inwit_tokens_total{purpose="review"}')
_GLANCE = Row(
    "In ten seconds",
    [
        number(
            "Generate, p95",
            "Time that the model takes to write an answer, the slowest 5 %.",
            quantile(0.95, f'{_STAGE}{{stage="generate"}}'),
            "s",
            width=4,
        ),
        number(
            "Judge, p95",
            "Time of the conscience's one token, the slowest 5 %.",
            quantile(0.95, f'{_STAGE}{{stage="judge"}}'),
            "s",
            width=4,
        ),
        number(
            "Review of all tokens",
            "Share of the tokens that reviewing took. Most are read from the prefix cache, so "
            "the time is far less.",
            share(_REVIEW, rate("inwit_tokens_total")),
            "percentunit",
            width=4,
        ),
        number(
            "Wait in vLLM",
            "Requests that vLLM has not begun.",
            "sum(vllm:num_requests_waiting)",
            "short",
            worse_above(10, 50),
            width=4,
            decimals=0,
        ),
        number(
            "KV cache",
            "How full the KV cache is, of the fullest engine. At 100 % requests wait or are "
            "put off.",
            "max(vllm:kv_cache_usage_perc)",
            "percentunit",
            worse_above(0.8, 0.95),
            width=4,
        ),
        number(
            "Prefix cache hits",
            "Share of prompt tokens that were found in the prefix cache: what makes the "
            "review cheap.",
            share(
                rate("vllm:prefix_cache_hits_total"),
                rate("vllm:prefix_cache_queries_total"),
            ),
            "percentunit",
            width=4,
        ),
    ],
)


_STAGES = Row(
    "Where the time goes",
    [
        lines(
            "Stages, median",
            "Time in each stage, upstream calls included.",
            [(quantile(0.5, _STAGE, "stage"), "{{stage}}")],
            "s",
        ),
        lines(
            "Stages, p99",
            "The slowest 1 % of each stage.",
            [(quantile(0.99, _STAGE, "stage"), "{{stage}}")],
            "s",
        ),
        heat(
            "Judge, all of it",
            "Reviews by the conscience per second, by the time that they took.",
            f'sum by (le) (rate({_STAGE}_bucket{{stage="judge"}}[$__rate_interval]))',
            "s",
        ),
        lines(
            "Tokens for review beside generation",
            "Tokens per second, read (`prompt`) and written (`completion`).",
            [
                (
                    rate("inwit_tokens_total", "purpose, kind"),
                    "{{purpose}}: {{kind}}",
                )
            ],
            "cps",
            width=12,
        ),
        lines(
            "Stages that failed",
            "Per second, by stage and error.",
            [
                (
                    rate("inwit_stage_errors_total", "stage, error"),
                    "{{stage}}: {{error}}",
                )
            ],
            "cps",
            width=12,
        ),
    ],
)


_VLLM = Row(
    "vLLM (its own metrics)",
    [
        lines(
            "Requests in vLLM",
            "Those that run, and those that wait.",
            [
                ("sum(vllm:num_requests_running)", "running"),
                ("sum(vllm:num_requests_waiting)", "waiting"),
            ],
            "short",
        ),
        lines(
            "KV cache in use",
            "By engine.",
            [("max by (instance) (vllm:kv_cache_usage_perc)", "{{instance}}")],
            "percentunit",
            most=1,
        ),
        lines(
            "Prefix cache hits",
            "Share of prompt tokens found in the prefix cache, by engine. A fall after a "
            "change of prompt or framing makes each review dearer.",
            [
                (
                    share(
                        rate("vllm:prefix_cache_hits_total", "instance"),
                        rate("vllm:prefix_cache_queries_total", "instance"),
                    ),
                    "{{instance}}",
                )
            ],
            "percentunit",
            most=1,
        ),
        lines(
            "Time to the first token",
            "As vLLM measures it, its queue included.",
            [
                (quantile(rank, "vllm:time_to_first_token_seconds"), f"p{rank * 100:g}")
                for rank in (0.5, 0.95)
            ],
            "s",
        ),
        lines(
            "Time in vLLM's queue",
            "Before a request is begun.",
            [
                (quantile(rank, "vllm:request_queue_time_seconds"), f"p{rank * 100:g}")
                for rank in (0.5, 0.95)
            ],
            "s",
        ),
        lines(
            "Tokens in vLLM",
            "Per second, of all its callers.",
            [
                (rate("vllm:prompt_tokens_total"), "prompt"),
                (rate("vllm:generation_tokens_total"), "generation"),
            ],
            "cps",
        ),
    ],
)


_CLASSIFIERS = Row(
    "Classifiers",
    [
        lines(
            "Calls",
            "Per second, by what came of them; refusals by the circuit breaker count too.",
            [
                (
                    rate("inwit_classifier_calls_total", "classifier, outcome"),
                    "{{classifier}}: {{outcome}}",
                )
            ],
            "cps",
            stacked=True,
        ),
        lines(
            "Time of a call",
            "p95 of the calls that were really made, however they ended.",
            [(quantile(0.95, "inwit_classifier_seconds", "classifier"), "{{classifier}}")],
            "s",
        ),
        lines(
            "Circuit breaker",
            "0 closed, 1 half open, 2 open: the worst of all replicas.",
            [("max by (classifier) (inwit_classifier_breaker_state)", "{{classifier}}")],
            "short",
            most=2.2,
        ),
    ],
)


MODEL = Board(
    "model",
    "model",
    "Where does the time go, and what does reviewing cost the model server?",
    [_GLANCE, _STAGES, _VLLM, _CLASSIFIERS],
    model_server=True,
)
