"""Compiles policy files. Every error names file and line, what is wrong, and the remedy."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inwit.errors import PolicyError
from inwit.policy.policy import Policy, ReviewSpec, Thresholds
from inwit.types import Action, Framing, PolicyRef

PACKAGED = Path(__file__).parent

_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Text = Annotated[str, Field(min_length=1, max_length=4000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class _Thresholds(_Strict):
    lower: _Share
    upper: _Share

    @model_validator(mode="after")
    def ordered(self) -> Self:
        if self.lower > self.upper:
            raise ValueError("`lower` is above `upper`")
        return self


class _Conscience(_Strict):
    framing: Framing
    question: _Text
    label_mass_floor: _Share


class _PolicyFile(_Strict):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    version: Annotated[str, Field(min_length=1, max_length=64)]
    description: Annotated[str, Field(max_length=1000)] = ""
    thresholds: _Thresholds
    on_doubt: Action = Action.BLOCK
    on_review_failure: Action = Action.BLOCK
    on_truncated: Action = Action.BLOCK
    conscience: _Conscience
    fallback_text: _Text


def load_policies(folder: Path) -> dict[str, Policy]:
    """Compile every `*.yaml` and `*.yml` of a folder, by name.

    Raises:
        PolicyError: a file does not compile, two have one name, or there is none.
    """
    policies: dict[str, Policy] = {}
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        policy = load_policy(file)
        if policy.name in policies:
            remedy = "Give each file a name of its own."
            raise PolicyError(file, 1, f"the name {policy.name!r} is taken.", remedy)
        policies[policy.name] = policy
    if not policies:
        raise PolicyError(folder, 0, "no policy here.", "Put at least one *.yaml file there.")
    return policies


def load_policy(file: Path) -> Policy:
    """Compile one file.

    Raises:
        PolicyError: with file, line, what is wrong, and the remedy.
    """
    try:
        raw = file.read_bytes()
        text = raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(file, 0, f"{error}.", "The file must be readable UTF-8.") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_duplicates(root)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        wrong = f"not YAML: {error.problem}."
        raise PolicyError(file, line, wrong, "Mend the syntax at this line.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PolicyError(file, 1, "not YAML.", "Mend the syntax.") from error
    try:
        parsed = _PolicyFile.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"]) or "the file"
        wrong = f"`{path}`: {first['msg'].removeprefix('Value error, ')}."
        remedy = _remedy(first["type"], path)
        raise PolicyError(file, _line_of(root, first["loc"]), wrong, remedy) from error
    return _compile(parsed, hashlib.sha256(raw).hexdigest())


def _compile(parsed: _PolicyFile, digest: str) -> Policy:
    return Policy(
        ref=PolicyRef(parsed.name, parsed.version, digest),
        description=parsed.description,
        thresholds=Thresholds(parsed.thresholds.lower, parsed.thresholds.upper),
        on_doubt=parsed.on_doubt,
        on_review_failure=parsed.on_review_failure,
        on_truncated=parsed.on_truncated,
        review=ReviewSpec(
            parsed.conscience.framing,
            parsed.conscience.question,
            parsed.conscience.label_mass_floor,
        ),
        fallback_text=parsed.fallback_text,
    )


def _refuse_duplicates(node: Any) -> None:
    """YAML lets a later key replace an earlier one in silence; a policy must not."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                problem = f"the key `{key.value}` stands here for the second time"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(str(key.value))
            _refuse_duplicates(value)


def _remedy(kind: str, path: str) -> str:
    match kind:
        case "missing":
            return f"Add `{path}`."
        case "extra_forbidden":
            return f"Remove `{path}`, or mend its spelling."
        case _:
            return "See policy/default.yaml for what stands there."


def _line_of(root: Any, loc: tuple[int | str, ...]) -> int:
    """The line of the deepest node that the path reaches (a missing key has none of its own)."""
    node, line = root, 1
    for part in loc:
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if key.value == part:
                node, line = value, key.start_mark.line + 1
                break
        else:
            break
    return line
