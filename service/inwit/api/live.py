"""A streamed response as its doors see it: text that leaves, then the whole response."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from opentelemetry.context import Context

from inwit.decisions import Response
from inwit.pipeline.pipeline import Pipeline
from inwit.pipeline.streaming import Live
from inwit.tracing import serving
from inwit.types import Call


async def live_pieces(
    pipeline: Pipeline, call: Call, live: Live, trace: Context | None
) -> AsyncGenerator[str | Response]:
    """Text as it may leave, and last the response. Closed early, it cancels all work upstream.

    Raises:
        InwitError: as `Pipeline.respond` does; what was given before stands as it was reviewed.
    """
    work = asyncio.create_task(_respond(pipeline, call, live, trace))
    work.add_done_callback(lambda _: live.close())
    try:
        async with aclosing(live.pieces()) as pieces:
            async for piece in pieces:
                if piece:
                    yield piece
        yield await work
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _respond(pipeline: Pipeline, call: Call, live: Live, trace: Context | None) -> Response:
    with serving("respond", trace):
        return await pipeline.respond(call, live)
