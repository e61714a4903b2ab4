"""Object storage by obstore (extra `objects`); credentials come from the environment."""

from typing import Self

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore, from_url

from inwit.errors import SetupError


class Bucket:
    """A prefix in a bucket."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._newest = ""

    @classmethod
    def at(cls, address: str) -> Self:
        """The one that an address such as s3://BUCKET/PREFIX names.

        Raises:
            SetupError: it names none; without the address, which may hold a password.
        """
        try:
            return cls(from_url(address))
        except (BaseError, ValueError) as error:
            problem = f"INWIT_ANCHORS: a bucket's address is not taken ({type(error).__name__})."
            raise SetupError(problem) from error

    async def newest(self) -> str:
        """The last name; empty where there is none.

        Names only ever follow names: after the first look those are listed that came since.
        """
        names = [self._newest]
        since = self._newest or None
        async for page in self._store.list(offset=since, return_arrow=False):  # pyright: ignore[reportUnknownMemberType]  # its other overload has no types
            names += [each["path"] for each in page if each["path"].endswith(".checkpoint")]
        self._newest = max(names)
        return self._newest

    async def read(self, name: str) -> str:
        """The text under a name."""
        try:
            found = await self._store.get_async(name)
        except FileNotFoundError:
            self._newest = ""  # taken away: look at all that is there again
            raise
        return bytes(await found.bytes_async()).decode()

    async def add(self, name: str, text: str) -> None:
        """Add it; nothing happens where the name is taken."""
        try:
            await self._store.put_async(name, text.encode(), mode="create")
        except AlreadyExistsError:
            return
