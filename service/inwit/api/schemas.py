"""What wire types have in common. They become domain values at this edge, nowhere else."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=128)]


class Wire(BaseModel):
    """What every wire type has in common: no unknown fields, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def example(model: type[BaseModel]) -> dict[str, Any]:
    """An example of a whole object, from the examples of its fields."""
    return {name: (field.examples or [None])[0] for name, field in model.model_fields.items()}
