"""Whether the model server is there, and what it can do since it is."""

import dataclasses

import structlog

from inwit.clients.openai_compatible import OpenAICompatible
from inwit.errors import UpstreamError

log = structlog.get_logger()


class ModelWatch:
    """Asks what the server can do when it is new or back, else only whether it is there."""

    def __init__(self, client: OpenAICompatible) -> None:
        self._client = client
        self._probed = False

    async def look(self) -> bool:
        """Whether the server answers."""
        if self._probed and await self._client.alive():
            return True
        self._probed = False
        try:
            found = await self._client.probe()
        except UpstreamError as error:
            log.warning("model_probe_failed", detail=error.detail)
            return False
        self._probed = True
        log.info("model_probed", **dataclasses.asdict(found))
        if not found.logprobs:
            log.warning("model_without_logprobs", consequence="no review is possible")
        return True
