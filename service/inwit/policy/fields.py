"""What the fields of a policy file are made of."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

LANGUAGE = r"^[a-z]{2}$"

# Strict: YAML's `yes` would count as the number 1, and "0.5" in quotes as a number.
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Text = Annotated[str, Field(min_length=1, max_length=4000)]
_Language = Annotated[str, Field(pattern=LANGUAGE)]


class Strict(BaseModel):
    """A part of a policy file: nothing stands in it that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


def _kind_of_text(value: Any) -> str:
    return "(by language)" if isinstance(value, dict) else "(text)"


TextByLanguage = Annotated[
    Annotated[Text, Tag("(text)")]
    | Annotated[dict[_Language, Text], Field(min_length=1), Tag("(by language)")],
    Discriminator(_kind_of_text),
]
