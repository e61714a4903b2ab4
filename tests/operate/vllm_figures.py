"""vLLM's figures for the model dashboard. They are not measured: no vLLM runs beside these tests.

Names and kinds are those of vLLM's own source (vllm/v1/metrics), the values are made up.
`make vllm-test` has a real vLLM.
"""

import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from math import sin

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_FIRST_TOKEN_S = (0.05, 0.08, 0.12, 0.2, 0.35)
_QUEUE_S = (0.3, 0.31, 0.34)


class VllmFigures:
    """An exposition that moves on a little with each scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["model_name", "engine"]
        named = {"model_name": "default", "engine": "0"}

        def gauge(name: str) -> Gauge:
            return Gauge(f"vllm:{name}", name, labels, registry=self.registry).labels(**named)

        def counter(name: str) -> Counter:
            return Counter(f"vllm:{name}", name, labels, registry=self.registry).labels(**named)

        def histogram(name: str) -> Histogram:
            made = Histogram(f"vllm:{name}", name, labels, registry=self.registry)
            return made.labels(**named)

        self.running, self.waiting = gauge("num_requests_running"), gauge("num_requests_waiting")
        self.cache = gauge("kv_cache_usage_perc")
        self.queries, self.hits = counter("prefix_cache_queries"), counter("prefix_cache_hits")
        self.prompt, self.generation = counter("prompt_tokens"), counter("generation_tokens")
        self.first_token = histogram("time_to_first_token_seconds")
        self.queue = histogram("request_queue_time_seconds")
        self._steps = itertools.count()

    def step(self) -> None:
        """One second of it."""
        now = next(self._steps)
        swell = 1 + sin(now / 12)
        self.running.set(4 + round(4 * swell))
        self.waiting.set(round(2 * swell))
        self.cache.set(0.25 + 0.2 * swell)
        self.queries.inc(4000)
        self.hits.inc(2600 + 300 * swell)
        self.prompt.inc(4000)
        self.generation.inc(600)
        self.first_token.observe(_FIRST_TOKEN_S[now % len(_FIRST_TOKEN_S)])
        self.queue.observe(_QUEUE_S[now % len(_QUEUE_S)])

    async def _metrics(self, _request: web.Request) -> web.Response:
        self.step()
        return web.Response(body=generate_latest(self.registry), content_type="text/plain")

    @asynccontextmanager
    async def running_server(self) -> AsyncGenerator[str]:
        """Expose them while the block runs; where."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        try:
            yield f"{host}:{port}"
        finally:
            await runner.cleanup()
