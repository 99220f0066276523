"""Types that params are made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, lt=1)]
Tolerance = Annotated[float | None, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _as_range(pair: list[float]) -> list[float]:
    if pair[0] > pair[1]:
        raise ValueError("It should have the smaller number first")
    return pair


_Pair = (Field(min_length=2, max_length=2), AfterValidator(_as_range))
Range = Annotated[list[Annotated[float, Field(gt=0)]], *_Pair]
Fractions = Annotated[list[Annotated[float, Field(gt=0, le=1)]], *_Pair]


class Section(BaseModel):
    """A frozen group of parameters; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
