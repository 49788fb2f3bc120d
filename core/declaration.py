"""One declaration a method: its parameters with range, unit and help, from which everything else is drawn.

Sliders, command-line flags, JSON, validation and the documentation all read the same fields, so nothing is listed twice.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from core.inputs import InvalidInput, quoted, shortened
from core.registry import Registry


def _fraction(value: object) -> object:
    """'8/255' is the way the field writes a budget; accept it wherever a number is."""
    if isinstance(value, str) and value.count("/") == 1:
        top, bottom = value.split("/")
        try:
            return float(top) / float(bottom)
        except (ValueError, ZeroDivisionError):
            return value
    return value


FractionFloat = Annotated[float, BeforeValidator(_fraction)]  # a float that may be written as a fraction, "8/255"


def number(
    default: float | None,
    low: float,
    high: float,
    *,
    help: str,
    step: float | None = None,
    slider_max: float | None = None,
    unit: str = "",
    alias: str | None = None,
) -> Any:
    """Declare one number: its default, its closed range, one line of help, and how its slider runs.

    `step` is the slider's step, `slider_max` its upper end where the whole range would be too long to aim in, `unit` is written
    behind the number; "/255" means that the number is written as n/255.
    """
    extra: dict[str, Any] = {"step": step, "slider_max": slider_max, "unit": unit}
    return Field(default, ge=low, le=high, description=help, json_schema_extra=extra, alias=alias)


def choice(default: str, *, help: str) -> Any:
    """Declare one of several words; the words are the field's Literal type."""
    return Field(default, description=help)


def flag(default: bool, *, help: str) -> Any:
    """Declare a yes-or-no."""
    return Field(default, description=help)


@dataclass(frozen=True)
class Parameter:
    """One declared parameter as data, for whoever draws a control, a flag or a table of it."""

    name: str
    kind: Literal["number", "integer", "choice", "flag"]
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    slider_max: float | None = None  # the slider's upper end, where it is not `high`
    unit: str = ""  # "/255" is drawn and read as n/255
    choices: tuple[str, ...] = ()
    optional: bool = False  # None is allowed and means: worked out from the others


class Configurable(BaseModel):
    """Immutable parameters of one method, named in its registry by `name`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    name: ClassVar[str]  # as in a recipe, a link and on the command line
    title: ClassVar[str]  # as on the screen
    summary: ClassVar[str]  # one line of help
    paper: ClassVar[str]  # authors, year, equation
    registry: ClassVar[Registry[Any] | None] = None  # which a subclass with a name enters by being defined

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.registry is not None and "name" in cls.__dict__:
            cls.registry.add(cls)

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InvalidInput(
                format_errors(error, getattr(type(self), "title", type(self).__name__), values)
            ) from None
        self.check(values)

    def check(self, written: Mapping[str, Any]) -> None:
        """Refuse values that do not fit each other; `written` holds them as they were written.

        Raises:
            InvalidInput: they do not.
        """

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """The declared parameters in order."""
        return tuple(_parameters(cls))

    def values(self) -> dict[str, Any]:
        """All parameters by their public names, as JSON takes them."""
        return self.model_dump(mode="json", by_alias=True)

    def describe(self, parameters: tuple[Parameter, ...] | None = None, always: Collection[str] = ()) -> str:
        """The method with the parameters that differ from the defaults, for captions and tables.

        Args:
            parameters: those of `parameters()` with the defaults and units of a domain.
            always: the names of parameters that are written at their default, too.
        """
        values = self.values()
        plain = parameters is None and values.get("norm") == "l2"  # a length is no number of gray levels
        words = ", ".join(
            f"{p.name} {format_value(values[p.name], '' if plain and p.unit == '/255' else p.unit)}"
            for p in (self.parameters() if parameters is None else parameters)
            if values[p.name] != p.default or p.name in always
        )
        return f"{self.title} ({words})" if words else self.title


def format_value(value: Any, unit: str = "") -> str:
    """A parameter's value as a person writes it: budgets in n/255, numbers without noise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if unit == "/255":
        return f"{value * 255:.4g}/255"
    return f"{value:.4g}{unit}"


def _parameters(cls: type[Configurable]) -> Iterator[Parameter]:
    for field_name, info in cls.model_fields.items():
        kind, optional, choices = _kind(info.annotation)
        if kind is None:
            continue  # a structured field (a chain's members) has no single control
        bounds: dict[str, float] = {}
        for item in info.metadata:
            for bound in ("ge", "le"):
                if getattr(item, bound, None) is not None:
                    bounds[bound] = float(getattr(item, bound))
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        yield Parameter(
            name=info.alias or field_name,
            kind=kind,
            default=info.default,
            help=info.description or "",
            low=bounds.get("ge"),
            high=bounds.get("le"),
            step=extra.get("step"),  # type: ignore[arg-type]
            slider_max=extra.get("slider_max"),  # type: ignore[arg-type]
            unit=str(extra.get("unit") or ""),
            choices=choices,
            optional=optional,
        )


def _kind(annotation: Any) -> tuple[Literal["number", "integer", "choice", "flag"] | None, bool, tuple[str, ...]]:
    optional = False
    if get_origin(annotation) is Union or type(annotation).__name__ == "UnionType":
        inner = [a for a in get_args(annotation) if a is not type(None)]
        optional = len(inner) < len(get_args(annotation))
        annotation = inner[0]
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return "choice", optional, tuple(str(a) for a in get_args(annotation))
    if annotation is bool:
        return "flag", optional, ()
    if annotation is int:
        return "integer", optional, ()
    if annotation is float:
        return "number", optional, ()
    return None, optional, ()


def outside(
    title: str, name: str, value: object, side: Literal["least", "most"], bound: float, context: str = ""
) -> str:
    """The sentence about a number out of its range, the bound in the unit in which the number was written: n/255 or plain.

    Args:
        context: when the bound holds, such as 'in L∞ '.
    """
    text = str(value).strip()
    if isinstance(value, str) and text.count("/") == 1:
        bottom = text.partition("/")[2].strip()
        return (
            f"{title}: {name} is {shortened(text)}; {context}it must be at {side} {bound * float(bottom):g}/{bottom}."
        )
    return f"{title}: {name} is {shortened(text)}; {context}it must be at {side} {bound:g}."


def _written(values: Mapping[str, Any], place: tuple[int | str, ...], otherwise: object) -> object:
    """What stands in the values at that place, as it was written."""
    value: Any = values
    for part in place:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return otherwise
    return value


def json_fields(text: str | bytes, what: str, such_as: tuple[str, str]) -> dict[str, Any]:
    """The fields of a JSON object that somebody handed in.

    Args:
        what: what it should be, with its article: 'a recipe'. such_as: two of its fields, for the sentence.

    Raises:
        InvalidInput: it is not JSON, no object, or a field has no proper name.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput(f"This is not {what}: the text is not JSON.") from None
    if not isinstance(values, dict):
        first, second = such_as
        raise InvalidInput(
            f"This is not {what}: the JSON must be an object with fields such as {first!r} and {second!r}."
        )
    if any(not key.isidentifier() for key in values):
        raise InvalidInput(f"This is not {what}: a field has no proper name.")
    return values


def format_errors(error: ValidationError, title: str, values: Mapping[str, Any]) -> str:
    """The first things wrong with the values, as they were given, each as a sentence a person can act on."""
    sentences = []
    for item in error.errors()[:3]:
        where = shortened(".".join(str(part) for part in item["loc"])) or "the value"
        value, context = item.get("input"), item.get("ctx") or {}
        match item["type"]:
            case "greater_than_equal":
                written = _written(values, item["loc"], value)
                sentences.append(outside(title, where, written, "least", context["ge"]))
            case "less_than_equal":
                written = _written(values, item["loc"], value)
                sentences.append(outside(title, where, written, "most", context["le"]))
            case "extra_forbidden":
                sentences.append(f"{title} has no parameter {quoted(where)}.")
            case "literal_error":
                sentences.append(f"{title}: {where} is {shortened(repr(value))}; it must be {context['expected']}.")
            case "missing":
                sentences.append(f"{title}: {where} is missing.")
            case "value_error":
                sentences.append(str(context.get("error", item["msg"])))
            case _:
                sentences.append(
                    f"{title}: {where} is {shortened(repr(value))}; {item['msg'][:1].lower()}{item['msg'][1:]}."
                )
    return " ".join(sentences)
