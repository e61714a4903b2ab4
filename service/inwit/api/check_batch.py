"""Several candidates of one request, checked side by side without crowding out other requests."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace

import structlog

from inwit.decisions import Response
from inwit.errors import InwitError, Overloaded, UpstreamTimeout
from inwit.pipeline.pipeline import Pipeline
from inwit.types import Call, Candidate

log = structlog.get_logger()

_AT_ONCE = 8
_SHARE = 4  # all batches together work ahead in at most one in so many places


class CheckBatch:
    """Checks candidates, up to eight at once for one request.

    The first of the eight works in the request's own place. Each further one takes a place for
    requests in flight, where one is free, and no more than a quarter of all such places go to
    them: past that a batch takes longer, and nobody is refused for it.
    """

    def __init__(self, pipeline: Pipeline, *, max_in_flight: int, deadline_ms: int) -> None:
        self._pipeline = pipeline
        self._spare = asyncio.Semaphore(max_in_flight // _SHARE)
        self._deadline_ms = deadline_ms

    async def check(
        self, call: Call, candidates: tuple[Candidate, ...], *, rewrite: bool
    ) -> list[Response | InwitError]:
        """The response for each candidate, in order, or what kept it from one.

        Raises:
            InwitError: not one of them could be checked; it is what the first one met.
        """
        time_s = min(call.deadline_ms or self._deadline_ms, self._deadline_ms) / 1000
        work = _Work(self._pipeline, call, candidates, rewrite, _now() + time_s)
        helpers = min(_AT_ONCE, len(candidates)) - 1
        tasks = [asyncio.create_task(self._help(work)) for _ in range(helpers)]
        tasks.append(asyncio.create_task(work.go_on()))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return work.in_order()

    async def _help(self, work: "_Work") -> None:
        if self._spare.locked():
            return
        async with self._spare:
            with contextlib.suppress(Overloaded), self._pipeline.slot():
                await work.go_on()


class _Work:
    """The candidates of one request, taken one after the other by whoever has a place."""

    def __init__(
        self,
        pipeline: Pipeline,
        call: Call,
        candidates: tuple[Candidate, ...],
        rewrite: bool,
        ends: float,
    ) -> None:
        self._pipeline = pipeline
        self._call = call
        self._rewrite = rewrite
        self._ends = ends
        self._left: Iterator[tuple[int, Candidate]] = iter(enumerate(candidates))
        self._results: dict[int, Response | InwitError] = {}

    async def go_on(self) -> None:
        """Check until no candidate is left."""
        for index, candidate in self._left:
            try:
                self._results[index] = await self._check(candidate)
            except InwitError as error:
                self._results[index] = error

    def in_order(self) -> list[Response | InwitError]:
        """Every result. Raises the first error where there is nothing else."""
        results = [self._results[index] for index in sorted(self._results)]
        errors = [each for each in results if isinstance(each, InwitError)]
        if len(errors) == len(results):
            raise errors[0]
        for error in errors:
            log.warning("check_failed", kind=error.kind, detail=error.detail)
        return results

    async def _check(self, candidate: Candidate) -> Response:
        left_ms = int((self._ends - _now()) * 1000)
        if left_ms < 1:
            raise UpstreamTimeout("The deadline ended before this candidate was reviewed.")
        call = replace(self._call, deadline_ms=left_ms)
        return await self._pipeline.check(call, candidate, rewrite=self._rewrite)


def _now() -> float:
    return asyncio.get_running_loop().time()
