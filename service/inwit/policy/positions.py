"""Where things stand in a YAML text: parsing with positions, and the place of a path."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from inwit.policy.syntax import plainly, safe_word

_DEEPEST = 64  # levels; the tree is walked by recursion
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
# YAML ends a line at the first three, where an editor shows one line: a comment could hide a key.
# The others turn the direction of what is shown.
_INVISIBLE = re.compile("[\x85\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_BREAK = re.compile(r"\r\n?|\n")


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing in a text that YAML, or a policy, does not take."""

    place: Place
    wrong: str
    remedy: str


class YamlProblem(Exception):
    """The text is not YAML that a policy may be written in; `flaws` has at least one entry."""

    def __init__(self, *flaws: Flaw) -> None:
        super().__init__(flaws[0].wrong)
        self.flaws = flaws


class Source:
    """A YAML text, parsed: its data, and the place of everything in it.

    Raises:
        YamlProblem: a syntax error, or what a policy may not use: anchors, aliases, tags, merge
            keys, keys that stand twice or are no text, invisible characters, deep nesting.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        if hidden := _INVISIBLE.search(text):
            code = f"{ord(hidden.group()):04X}"
            wrong = f"The invisible character U+{code} is not taken."
            remedy = f'Remove it, or write it as "\\u{code}" in double quotes.'
            self._refuse(hidden.start(), wrong, remedy)
        self._root: Any = self._tree()
        flaws = list(self._flaws(self._root)) if self._root is not None else []
        if flaws:
            raise YamlProblem(*flaws)
        self.data: Any = None if self._root is None else _value(self._root)

    def place(self, path: tuple[int | str, ...]) -> Place:
        """The key that `path` leads to, or the last one on the way (a missing key has no place)."""
        found = Place(1, 1)
        for start, _ in self._steps(path):
            found = self._place(start.index)
        return found

    def written(self, path: tuple[int | str, ...]) -> str:
        """What stands in the file as the value of `path`, where that is one word or text."""
        steps = list(self._steps(path))
        node = steps[-1][1] if len(steps) == len(path) and steps else None
        return node.value if isinstance(node, yaml.ScalarNode) else ""

    def _tree(self) -> Any:
        try:
            # Before anything is built: an alias of an alias grows without bound.
            self._look_at_events()
            return yaml.compose(self._text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            began, wrong, remedy = plainly(error.problem or "", error.context or "")
            mark = (error.context_mark if began else None) or error.problem_mark
            self._refuse(mark.index if mark else 0, wrong, remedy)
        except yaml.reader.ReaderError as error:
            wrong = f"The character U+{error.character:04X} cannot stand in YAML."
            self._refuse(error.position, wrong, "Remove it; an editor may not show it.")
        return None

    def _look_at_events(self) -> None:
        depth = 0
        events: Any = yaml.parse(self._text, Loader=yaml.SafeLoader)
        for event in events:
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            word = safe_word(getattr(event, "anchor", None) or "")
            start = event.start_mark.index
            if depth > _DEEPEST:
                self._refuse(start, f"More than {_DEEPEST} levels.", "Nest it less deeply.")
            if isinstance(event, yaml.AliasEvent):
                remedy = "Write out what it stands for; a text that begins with `*` needs quotes."
                self._refuse(start, f"An alias, `*{word}`, is not taken.", remedy)
            if word:
                remedy = "Remove it; a text that begins with `&` needs quotes."
                self._refuse(start, f"An anchor, `&{word}`, is not taken.", remedy)
            if getattr(event, "tag", None) is not None:
                remedy = "Remove it; a text that begins with `!` needs quotes."
                self._refuse(start, "A tag, `!…`, is not taken.", remedy)

    def _flaws(self, node: Any) -> Iterator[Flaw]:
        """What parses, and a policy must not hold."""
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from self._flaws(item)
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                yield from self._flaws_of_key(key, seen)
                yield from self._flaws(value)
        elif node.tag != _TEXT:
            try:
                _value(node)
            except (yaml.YAMLError, ValueError, OverflowError):
                wrong = f"`{safe_word(node.value)}` looks like {_kind(node)} to YAML, and is none."
                yield self._flaw(node, wrong, "Put it in quotes, if it is meant as text.")

    def _flaws_of_key(self, key: Any, seen: set[str]) -> Iterator[Flaw]:
        if not isinstance(key, yaml.ScalarNode):
            yield self._flaw(key, "A list or mapping cannot be a key.", "Write a word before `:`.")
            return
        word = safe_word(key.value)
        if key.tag == _MERGE:
            yield self._flaw(key, "A merge key, `<<`, is not taken.", "Write its keys out.")
        elif key.tag != _TEXT:
            wrong = f"The key `{word}` is not text to YAML, but {_kind(key)}."
            yield self._flaw(key, wrong, f'Put it in quotes: "{word}".' if word else "Name it.")
        elif key.value in seen:
            # YAML lets a later key replace an earlier one in silence; a policy must not.
            wrong = f"The key `{word}` stands here for the second time."
            yield self._flaw(key, wrong, "Remove one of the two.")
        seen.add(key.value)

    def _steps(self, path: tuple[int | str, ...]) -> Iterator[tuple[Any, Any]]:
        """For each part that is there: where it begins, and its node."""
        node = self._root
        for part in path:
            pairs: list[tuple[Any, Any]] = []
            if isinstance(node, yaml.MappingNode):
                pairs = [(key, value) for key, value in node.value if key.value == part]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                pairs = [(item, item) for item in node.value[part : part + 1]]
            if not pairs:
                return
            key, node = pairs[0]
            yield key.start_mark, node

    def _place(self, index: int) -> Place:
        """The place of a character. YAML's own lines also end at characters that editors show."""
        before = self._text[:index]
        start = max((found.end() for found in _BREAK.finditer(before)), default=0)
        return Place(len(_BREAK.findall(before)) + 1, index - start + 1)

    def _flaw(self, node: Any, wrong: str, remedy: str) -> Flaw:
        return Flaw(self._place(node.start_mark.index), wrong, remedy)

    def _refuse(self, index: int, wrong: str, remedy: str) -> None:
        raise YamlProblem(Flaw(self._place(index), wrong, remedy))


def _value(node: Any) -> Any:
    constructor: Any = yaml.constructor.SafeConstructor()
    return constructor.construct_document(node)


def _kind(node: Any) -> str:
    """What YAML takes a plain word for."""
    name = str(node.tag).rpartition(":")[2]
    kinds = {"bool": "true or false", "null": "no value", "timestamp": "a date"}
    return kinds.get(name, "a number" if name in ("int", "float") else "a sign of its own")
