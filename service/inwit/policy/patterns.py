"""What a policy brings that runs over other people's text: regular expressions, JSON Schemas."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import jsonschema_rs
from pydantic_core import PydanticCustomError


def refused(wrong: str, remedy: str, *at: str | int) -> PydanticCustomError:
    """An error with its own words, `at` a path below the value that is being validated."""
    return PydanticCustomError("policy", "{wrong}", {"wrong": wrong, "remedy": remedy, "at": at})


@dataclass(frozen=True, slots=True)
class LinearPattern:
    """A regular expression that is looked for anywhere in a text, in linear time.

    By the JSON Schema engine's automaton, and not `re`: a policy's pattern runs over text that
    callers choose, and must not be made to backtrack.

    Raises:
        ValueError: not a regular expression that an automaton can run.
    """

    text: str
    _validator: jsonschema_rs.Validator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        schema = {"type": "string", "pattern": self.text}
        object.__setattr__(self, "_validator", validator(schema))

    def __call__(self, text: str) -> bool:
        """Whether it matches somewhere in `text`."""
        return self._validator.is_valid(text)

    def __str__(self) -> str:
        return self.text


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """A validator whose patterns run in linear time, and which fetches and reads nothing.

    Raises:
        ValueError: not a JSON Schema.
    """
    return jsonschema_rs.validator_for(
        schema, pattern_options=jsonschema_rs.RegexOptions(), retriever=_fetch_nothing
    )


def linear(pattern: str) -> str:
    """The pattern, where it is one that runs in linear time."""
    try:
        LinearPattern(pattern)
    except ValueError as error:
        raise _not_linear() from error
    return pattern


def argument_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a tool's arguments, where it is one and stands alone."""
    for path in _paths(schema):
        if path[-1] in ("$ref", "$dynamicRef", "$recursiveRef"):
            raise refused("is not taken", "Write the schema out in its place.", *path)
    try:
        json.dumps(schema, allow_nan=False)
        validator(schema)
    except jsonschema_rs.ValidationError as error:
        raise _not_a_schema(*error.instance_path) from error
    except (TypeError, ValueError) as error:
        raise refused("holds a value that JSON does not have", "Put dates in quotes.") from error
    return schema


def _fetch_nothing(_uri: str) -> Any:
    raise ValueError("a schema stands alone")


def _not_linear(*at: str | int) -> PydanticCustomError:
    return refused(
        "is not a regular expression that runs in linear time",
        "Close its brackets, and write it without look-around and back-references.",
        *at,
    )


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    pairs: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        pairs += cast("dict[str, Any]", value).items()
    elif isinstance(value, list):
        pairs += enumerate(cast("list[Any]", value))
    for key, each in pairs:
        yield (*path, key)
        yield from _paths(each, (*path, key))


def _not_a_schema(*path: str | int) -> PydanticCustomError:
    if path and path[-1] == "pattern":
        return _not_linear(*path)
    return refused(
        "is not JSON Schema", "Mend this keyword; json-schema.org says what it takes.", *path
    )
