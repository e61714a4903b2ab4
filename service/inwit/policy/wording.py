"""What is wrong with a policy file, in words that a policy owner knows, and the remedy. Pure."""

import difflib
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from typing import Any

from pydantic_core import ErrorDetails

from inwit.policy.positions import Flaw, Source
from inwit.policy.schema import PATTERN_WORDS, PolicyFile
from inwit.policy.syntax import safe_word

_Path = tuple[str | int, ...]
_Words = tuple[str, str]

_MARKS = {"[key]", "(text)", "(by language)"}  # in pydantic's paths, and not in the file
_EVERY = "`inwit policy schema` and docs/policies.md have all of it."


def flaw_of(error: ErrorDetails, source: Source) -> Flaw:
    """One of pydantic's errors at its place in the file."""
    path = tuple(part for part in error["loc"] if part not in _MARKS)
    context = error.get("ctx", {})
    path += tuple(context.get("at", ()))
    is_key = "[key]" in error["loc"]
    describe = _KINDS.get(error["type"], _unforeseen)
    written = source.written(path)
    wrong, remedy = describe(_Found(path, is_key, error["input"], written, context))
    return Flaw(source.place(path), wrong, remedy)


class _Found:
    """An error: where, whether it is about a key, what stood there, and its limits."""

    def __init__(
        self, path: _Path, is_key: bool, value: Any, written: str, limits: dict[str, Any]
    ) -> None:
        self.path, self.is_key, self.value, self.limits = path, is_key, value, limits
        self.parent = ".".join(safe_word(p) for p in path[:-1] if isinstance(p, str))
        self.last = safe_word(str(path[-1])) if path else ""
        self.name = named(path)
        self.seen = _seen(value, safe_word(written))
        self.written = safe_word(written)


def named(path: _Path, value: str = "") -> str:
    """A path as messages write it; the place says which item of a list is meant."""
    words = ".".join(safe_word(part) for part in path if isinstance(part, str))
    if not words:
        return "The file"
    return f"`{words}: {safe_word(value)}`" if value else f"`{words}`"


def _seen(value: Any, written: str) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            read = str(value).lower()
            return f"`{read}`" if written == read else f"`{written}` (which YAML reads as {read})"
        case int() | float():
            return f"the number {written}"
        case date():
            return f"the date {written}"
        case str():
            return f"the text `{safe_word(value)}`" if value else "an empty text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _missing(found: _Found) -> _Words:
    words = str(_schema_at(found.path).get("description", ""))
    what = f": {words[:1].lower()}{words[1:]}" if words else "."
    return f"{found.name} is missing.", f"Add it{what}"


def _unknown_key(found: _Found) -> _Words:
    wrong = f"There is no key {found.name}."
    here = sorted(_schema_at(found.path[:-1]).get("properties", ()))
    close = difflib.get_close_matches(found.last, here, 1)
    if close:
        return wrong, f"Did you mean `{close[0]}`?"
    elsewhere = sorted(parent for parent, key in _every_key() if key == found.last)
    if elsewhere:
        return wrong, f"It belongs under {_either(elsewhere)}."
    return wrong, f"Remove it. Here may stand {_either(here)}."


def _not_in_list(found: _Found) -> _Words:
    known = _known(found)
    word = found.last if found.is_key else str(found.value)
    close = difflib.get_close_matches(word, known, 1) if found.is_key or found.written else []
    if found.is_key:
        wrong = f"`{found.parent}`: there is no `{word}`."
        if close:
            return wrong, f"Did you mean `{close[0]}`? docs/taxonomy.md lists all."
        return wrong, f"Write {_either(known)}."
    meant = f"Did you mean `{close[0]}`? " if close else ""
    wrong = f"{found.name}: {found.seen} is not one of its values."
    if found.value is None:
        wrong = f"{found.name} has no value."
    return wrong, f"{meant}Write {_either(known)}."


def _no_text(found: _Found) -> _Words:
    wrong = f"{found.name} must be text, and is {found.seen}."
    if found.written:
        return wrong, f'Put it in quotes: "{found.written}".'
    if found.path == ("fallback_text",):
        return wrong, "Write one text, or one for each language: `en: …`."
    return wrong, "Write one text after the colon, in quotes."


def _pattern(found: _Found) -> _Words:
    words = PATTERN_WORDS[found.limits["pattern"]]
    wrong = (
        f"{found.name}: `{found.last if found.is_key else safe_word(found.value)}` does not fit."
    )
    return wrong, f"Write {words}."


def _no_mapping(found: _Found) -> _Words:
    if not found.path and found.value is None:
        remedy = "Begin with one of the packaged policies; docs/policies.md explains each key."
        return "There is no policy in this file: it is empty, or all comment.", remedy
    wrong = f"{found.name} must be a mapping of keys to values, and is {found.seen}."
    if not found.path:
        return wrong, "Write `key: value` lines; docs/policies.md explains each key."
    if isinstance(found.value, list):
        return wrong, "Write `key:` on each line in place of `- key`."
    return wrong, "Write its keys below it, each as `key: value`, indented by two spaces more."


def _no_list(found: _Found) -> _Words:
    wrong = f"{found.name} must be a list, and is {found.seen}."
    return wrong, f"Write [{found.written}]." if found.written else "Write [one, two]."


def _no_number(found: _Found) -> _Words:
    whole = _schema_at(found.path).get("type") == "integer"
    what = "a whole number" if whole else "a number"
    return f"{found.name} must be {what}, and is {found.seen}.", _range(found)


def _out_of_range(found: _Found) -> _Words:
    return f"{found.name} is {found.written}.", _range(found)


def _range(found: _Found) -> str:
    schema = _schema_at(found.path)
    what = "a whole number" if schema.get("type") == "integer" else "a number"
    low, high = schema.get("minimum"), schema.get("maximum")
    return f"Write {what} from {low} to {high}, such as {low or 0.5}, without quotes."


def _no_bool(found: _Found) -> _Words:
    return (
        f"{found.name} must be true or false, and is {found.seen}.",
        "Write true or false, without quotes.",
    )


def _too_short(found: _Found) -> _Words:
    return f"{found.name} is empty.", "Put at least one entry there."


def _empty_text(found: _Found) -> _Words:
    return f"{found.name} is empty.", "Write a text."


def _too_long(found: _Found) -> _Words:
    most = found.limits["max_length"]
    if isinstance(found.value, str):
        return f"{found.name} is longer than {most} characters.", "Shorten it."
    return f"{found.name} has more than {most} entries.", "Remove some."


def _own(found: _Found) -> _Words:
    return f"{found.name} {found.limits['wrong']}.", found.limits["remedy"]


def _unforeseen(found: _Found) -> _Words:
    return f"{found.name} cannot be {found.seen}.", _EVERY


_KINDS: dict[str, Callable[[_Found], _Words]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "enum": _not_in_list,
    "literal_error": _not_in_list,
    "string_type": _no_text,
    "string_pattern_mismatch": _pattern,
    "dict_type": _no_mapping,
    "model_type": _no_mapping,
    "list_type": _no_list,
    "float_type": _no_number,
    "int_type": _no_number,
    "finite_number": _out_of_range,
    "greater_than_equal": _out_of_range,
    "less_than_equal": _out_of_range,
    "bool_type": _no_bool,
    "string_too_short": _empty_text,
    "string_too_long": _too_long,
    "too_short": _too_short,
    "too_long": _too_long,
    "policy": _own,
}


def _known(found: _Found) -> list[str]:
    """The words that may stand in this place."""
    schema = _schema_at(found.path[:-1] if found.is_key else found.path)
    return _followed(schema.get("propertyNames", {}) if found.is_key else schema).get("enum", [])


def _either(words: list[str]) -> str:
    quoted = [f"`{word}`" for word in words]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


@cache
def _schema() -> dict[str, Any]:
    return PolicyFile.model_json_schema()


@cache
def _every_key() -> tuple[tuple[str, str], ...]:
    """Every key with the path that it stands under, the top level's left out."""
    return tuple(_keys(_schema(), ""))


def _keys(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    schema = _followed(schema)
    for key, below in schema.get("properties", {}).items():
        if path:
            yield path, key
        yield from _keys(below, f"{path}.{key}" if path else key)
    for below in _values(schema):
        yield from _keys(below, f"{path}.<name>")


def _schema_at(path: _Path) -> dict[str, Any]:
    """What the JSON Schema says of a path; nothing where it does not know it."""
    schema = _schema()
    for part in path:
        schema = _followed(schema)
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            free = _values(schema)
            below = schema.get("properties", {}).get(part)
            schema = below or (free[0] if free else {})
    return {**_followed(schema), **{k: v for k, v in schema.items() if k == "description"}}


def _values(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of the values under free keys."""
    free = [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
    return [each for each in free if isinstance(each, dict)]


def _followed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference or an optional value stands for."""
    while "$ref" in schema or "anyOf" in schema:
        if "anyOf" in schema:
            schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
        else:
            schema = _schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema
