"""The parameters of a request, from a form, a query string or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pannsdist.runtime.errors import candidates_line
from pannsdist.runtime.foreign import excerpt
from pannsdist.serving.failures import Refused


class Parameters(BaseModel):
    """What every route takes."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str = Field("", description="name of a served model; empty: the first one")
    on_bad: Literal["stop", "skip"] = Field(
        "stop", description="a sound that cannot be used: refuse the request, or say so in the result of that sound"
    )


class PredictParameters(Parameters):
    """Those of /v1/predict."""

    topk: int | None = Field(None, ge=1, description="only so many labels, the most probable ones")


class TagParameters(Parameters):
    """Those of /v1/tag."""

    threshold: float | None = Field(None, gt=0, le=1, description="least probability of a label")


class DetectParameters(TagParameters):
    """Those of /v1/detect."""

    min_duration_s: float = Field(0.0, ge=0, description="drop shorter events")
    min_gap_s: float = Field(0.0, ge=0, description="merge events of a label with a shorter gap")


Kind = TypeVar("Kind", bound=Parameters)


def parsed(kind: type[Kind], given: Mapping[str, Any]) -> Kind:
    """The parameters of a kind. Raises Refused, 422, for unknown ones and for values out of range."""
    for name in given:
        if name not in kind.model_fields:
            right = candidates_line(name, kind.model_fields, "parameters")
            raise Refused(422, "bad_parameter", f"there is no parameter '{excerpt(name)}' here", right)
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        wrong = f"the parameter {name} is '{excerpt(str(first['input']))}'"
        raise Refused(422, "bad_parameter", wrong, str(first["msg"])) from error
