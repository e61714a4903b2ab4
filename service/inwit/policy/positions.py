"""Where things stand in a YAML text: parsing with positions, and the place of a path."""

from dataclasses import dataclass
from typing import Any

import yaml

_LARGEST = 256 * 1024  # characters; a policy is a page or two


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both from 1."""

    line: int
    column: int


class YamlProblem(Exception):
    """The text is not YAML that a policy may be written in."""

    def __init__(self, place: Place, wrong: str, remedy: str) -> None:
        super().__init__(wrong)
        self.place, self.wrong, self.remedy = place, wrong, remedy


class Source:
    """A YAML text, parsed: its data, and the place of everything in it.

    Raises:
        YamlProblem: a syntax error, a key that stands twice, an anchor or alias, or too much.
    """

    def __init__(self, text: str) -> None:
        if len(text) > _LARGEST:
            raise YamlProblem(Place(1, 1), "the file is too large", "Keep it under 256 KiB.")
        try:
            # Before anything is built: an alias of an alias grows without bound.
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                if isinstance(event, yaml.AliasEvent):
                    remedy = "Write out what it stands for."
                    raise YamlProblem(_place(event.start_mark), "an alias is not taken", remedy)
            self._root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
            _refuse_duplicates(self._root)
            self.data: Any = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            wrong = f"not YAML: {error.problem}"
            place = _place(error.problem_mark) if error.problem_mark else Place(1, 1)
            raise YamlProblem(place, wrong, "Mend the syntax here.") from error
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise YamlProblem(Place(1, 1), "not YAML", "Mend the syntax.") from error

    def place(self, path: tuple[int | str, ...]) -> Place:
        """The key that `path` leads to, or the last one on the way (a missing key has no place)."""
        node, found = self._root, Place(1, 1)
        for part in path:
            step = _step(node, part)
            if step is None:
                break
            node, found = step
        return found


def _step(node: Any, part: int | str) -> tuple[Any, Place] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return value, _place(key.start_mark)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], _place(node.value[part].start_mark)
    return None


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _refuse_duplicates(node: Any) -> None:
    """YAML lets a later key replace an earlier one in silence; a policy must not."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                wrong = f"the key `{key.value}` stands here for the second time"
                raise YamlProblem(_place(key.start_mark), wrong, "Remove one of the two.")
            seen.add(str(key.value))
            _refuse_duplicates(value)
