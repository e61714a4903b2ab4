"""Opens the client of the settings' model server, starting the embedded one where they name it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from pydantic import SecretStr

from inwit.clients.embedded.model import embedded_model
from inwit.clients.openai_compatible import Adapter, OpenAICompatible
from inwit.config import Settings


@asynccontextmanager
async def served_client(
    settings: Settings, model: str | None = None, progress: Callable[[str], None] = lambda _: None
) -> AsyncGenerator[OpenAICompatible]:
    """An open client; the embedded model is used where the settings name no address.

    `model` is the model to use; the first served one where it is `None`.

    Raises:
        SetupError: the embedded model does not start.
    """
    async with AsyncExitStack() as stack:
        if settings.model_url is not None:
            client = OpenAICompatible(
                str(settings.model_url),
                model=model,
                api_key=_secret(settings.model_api_key),
                cache_secret=(_secret(settings.cache_secret) or "").encode(),
                adapter=Adapter(settings.conscience_model) if settings.conscience_model else None,
            )
        else:
            log = settings.data_dir / "log" / "model.log"
            starting = embedded_model(
                settings.embedded_model_file, log, settings.embedded_conscience
            )
            served = await stack.enter_async_context(starting)
            progress(f"{served.name} loaded")
            client = OpenAICompatible(
                served.base_url,
                model=model or served.name,
                api_key=served.api_key,
                adapter=served.adapter,
            )
        await client.open()
        stack.push_async_callback(client.close)
        yield client


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None
