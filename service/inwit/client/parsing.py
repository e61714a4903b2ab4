"""JSON from outside, read field by field: what a newer gateway adds never breaks, what is missing
or of another type is named and never quoted."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn, cast

from inwit.client.errors import BadAnswer


def json_object(raw: bytes | str) -> dict[str, Any] | None:
    """The JSON object in `raw`; None where there is none. Nothing raised holds the text."""
    try:
        value: object = json.loads(raw, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


class Fields:
    """The fields of a JSON object at `path`.

    `text`, `number`, `inner` want the field; the others give an empty value where it is missing
    or null.

    Raises:
        BadAnswer: from each method, where the field is of another type.
    """

    def __init__(self, data: object, path: str = "") -> None:
        if not isinstance(data, dict):
            raise BadAnswer(f"The gateway's {path or 'answer'} is not an object.")
        self.data: Mapping[str, Any] = cast("dict[str, Any]", data)
        self._path = path

    def text(self, name: str) -> str:
        """A text."""
        value = self.data.get(name)
        return value if isinstance(value, str) else self._wrong(name)

    def number(self, name: str) -> int:
        """A whole number from 0."""
        value = self.data.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        return self._wrong(name)

    def inner(self, name: str) -> "Fields":
        """An object."""
        return Fields(self.data.get(name), self._at(name))

    def maybe_text(self, name: str) -> str | None:
        """A text or None."""
        return None if self.data.get(name) is None else self.text(name)

    def maybe_number(self, name: str) -> int:
        """A whole number, or 0."""
        return 0 if self.data.get(name) is None else self.number(name)

    def maybe_risk(self, name: str) -> float | None:
        """A number or None."""
        value = self.data.get(name)
        return None if value is None else self._float(name, value)

    def maybe_inner(self, name: str) -> "Fields | None":
        """An object or None."""
        return None if self.data.get(name) is None else self.inner(name)

    def flag(self, name: str) -> bool:
        """True or false; false where it is missing."""
        value = self.data.get(name, False)
        return value if isinstance(value, bool) else self._wrong(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            self._wrong(name)
        return tuple(values)

    def inners(self, name: str) -> "tuple[Fields, ...]":
        """A list of objects."""
        return tuple(
            Fields(value, f"{self._at(name)}[{number}]")
            for number, value in enumerate(self._list(name))
        )

    def numbers(self, name: str) -> dict[str, float]:
        """An object of numbers."""
        inner = self.maybe_inner(name)
        return {key: self._float(name, value) for key, value in inner.data.items()} if inner else {}

    def counts(self, name: str) -> dict[str, int]:
        """An object of whole numbers."""
        inner = self.maybe_inner(name)
        return {key: inner.number(key) for key in inner.data} if inner else {}

    def _float(self, name: str, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        return self._wrong(name)

    def _list(self, name: str) -> list[Any]:
        value = self.data.get(name)
        if value is None:
            return []
        return cast("list[Any]", value) if isinstance(value, list) else self._wrong(name)

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def _wrong(self, name: str) -> NoReturn:
        raise BadAnswer(f"The gateway's answer has no usable `{self._at(name)}`.")
