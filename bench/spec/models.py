"""`Spec`: what a user may ask for, as frozen values. Field docstrings become the help and the JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    StringConstraints,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from bench.spec.problems import shown
from bench.spec.space import Choices, Domain, IntRange, Log, Uniform, parse_domain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

LARGEST_SEED = 2**32 - 1

Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@\-]*$", max_length=100)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


def _read_domain(raw: object) -> Domain:
    if isinstance(raw, (Choices, Uniform, Log, IntRange)):
        return raw
    listed = raw.get("choices") if isinstance(raw, dict) else raw
    if isinstance(listed, (list, tuple)):
        odd = [item for item in listed if not isinstance(item, (bool, int, float, str))]
        if odd:
            raise ValueError(f"a choice is text, a number, true or false, but got {odd[0]!r}")
    return parse_domain(raw)


_PAIR = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_CHOICES = {"type": "array", "items": {"type": ["boolean", "number", "string"]}, "minItems": 1}
SearchDomain = Annotated[
    Domain,
    PlainValidator(_read_domain),
    PlainSerializer(lambda domain: domain.to_yaml()),
    WithJsonSchema(
        {
            "description": "What a field may be: a list of choices, or bounds of a form.",
            "anyOf": [
                _CHOICES,
                *(
                    {
                        "type": "object",
                        "properties": {form: argument},
                        "required": [form],
                        "additionalProperties": False,
                    }
                    for form, argument in (("choices", _CHOICES), ("uniform", _PAIR), ("log", _PAIR), ("int", _PAIR))
                ),
            ],
        }
    ),
]


class SpecModel(BaseModel):
    """Base of every part of a spec: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class _ShortForm(SpecModel):
    """A part that may be written as bare text: the value of its first field."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, raw: Any) -> Any:
        return {next(iter(cls.model_fields)): raw} if isinstance(raw, str) else raw

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        full = handler(core)
        definition = handler.resolve_ref_schema(full)
        written = dict(definition)
        definition.clear()
        definition.update(
            title=written["title"],
            description=written.get("description", ""),
            anyOf=[{"type": "string", "description": f"Short for {{{next(iter(cls.model_fields))}: …}}."}, written],
        )
        return full


class Budget(SpecModel):
    """Named effort. It changes the result, so it is part of a cell's identity (`timeout_s` is not)."""

    name: SkipJsonSchema[str] = ""
    """The key under `budgets`."""
    trials: Whole = Field(default=0, ge=0)
    """Trials of the search for every (dataset, method); 0 trains the defaults without a search."""
    epochs: Whole = Field(ge=1)
    """Most epochs of one training."""
    patience: Annotated[Whole, Field(ge=1)] | None = 20
    """Epochs without a better validation value before a training stops; null never stops early."""
    seeds: tuple[Annotated[Whole, Field(ge=0, le=LARGEST_SEED)], ...] = Field(default=(0,), min_length=1)
    """Seeds of the runs of the best configuration, all different."""
    timeout_s: Annotated[Number, Field(gt=0)] | None = None
    """Seconds after which a job is stopped; null never."""
    trial_epochs: Annotated[Whole, Field(ge=1)] | None = None
    """Most epochs of a trial, when trials are to be shorter than runs; null means `epochs`."""

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        twice = [seed for index, seed in enumerate(seeds) if seed in seeds[:index]]
        if twice:
            raise ValueError(f"seeds must be distinct, but {twice[0]} is given twice")
        return seeds


class _MethodFields(_ShortForm):
    method: Name
    """Name of the method: `bench methods` lists them."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Fields of the method's Config to fix; they leave the search space."""
    space: dict[str, SearchDomain] = Field(default_factory=dict)
    """Search domains that take the place of the Config's own, field by field."""
    views: dict[str, list[Any]] = Field(default_factory=dict)
    """Stages that take the place of the method's own for a view of that name."""


class MethodEntry(_MethodFields):
    """One method as it will be trained: a name, what is fixed, what is searched, and what it wraps."""

    wrap: MethodEntry | None = None
    """The method an adapter wraps."""

    @property
    def label(self) -> str:
        """The name in tables: `mgcn`, `befa[mgcn]`."""
        return self.method if self.wrap is None else f"{self.method}[{self.wrap.label}]"

    @property
    def spoken(self) -> str:
        """The label and what the spec fixes, which tells settings of one method apart: `ld4mrec (steps=40)`."""
        fixed = [f"{name}={value}" for entry in self.chain for name, value in entry.set.items()]
        return f"{self.label} ({', '.join(fixed)})" if fixed else self.label

    @property
    def chain(self) -> tuple[MethodEntry, ...]:
        """The entry and what it wraps, outermost first."""
        return (self,) if self.wrap is None else (self, *self.wrap.chain)


def _wrap_form(raw: object) -> str:
    return "nothing" if raw is None else "all" if raw == "all" else "list"


class MethodChoice(_MethodFields):
    """What a spec writes under `methods`: one method, or an adapter around one, several or all compatible methods."""

    wrap: Annotated[
        Annotated[None, Tag("nothing")]
        | Annotated[Literal["all"], Tag("all")]
        | Annotated[tuple[MethodEntry, ...], Field(min_length=1), Tag("list")],
        Discriminator(_wrap_form),
    ] = None
    """For an adapter, what to wrap: a method, a list of methods, or `all` compatible ones. Each becomes a cell."""

    @field_validator("wrap", mode="before")
    @classmethod
    def _one_or_many(cls, raw: Any) -> Any:
        if raw is None or raw == "all" or isinstance(raw, (list, tuple)):
            return raw
        if not isinstance(raw, (str, dict, MethodEntry)):
            raise ValueError(f"got {shown(raw)}; `wrap` takes a method, a list of methods, or all")
        return [raw]

    def entries(self, compatible: Sequence[str] = ()) -> list[MethodEntry]:
        """Returns the methods this stands for, one per wrapped method.

        Args:
            compatible: Names that `wrap: all` means.
        """
        own: dict[str, Any] = {"method": self.method, "set": self.set, "space": self.space, "views": self.views}
        if self.wrap is None:
            return [MethodEntry(**own)]
        wrapped = [MethodEntry(method=name) for name in compatible] if self.wrap == "all" else self.wrap
        return [MethodEntry(**own, wrap=inner) for inner in wrapped]


class DatasetEntry(_ShortForm):
    """A dataset, and the rules of scoring to use on it."""

    dataset: Name
    """Name of the dataset: `bench datasets` lists them. A generated one may carry a scale: `baby-twin@0.05`."""
    protocol: Name | None = None
    """Protocol, one of those the dataset's card offers; null means the experiment's, else the card's first."""


class Experiment(SpecModel):
    """A grid of datasets and methods under one task."""

    task: Name
    """What is asked of the methods: `bench tasks` lists them."""
    datasets: tuple[DatasetEntry, ...] = Field(min_length=1)
    """Datasets to use."""
    methods: tuple[MethodChoice, ...] = Field(min_length=1)
    """Methods to compare."""
    metrics: tuple[Text, ...] = Field(min_length=1)
    """Metrics to report: `bench metrics` lists them."""
    select: Text
    """The metric, one of `metrics`, whose validation value chooses epochs and configurations."""
    protocol: Name | None = None
    """Protocol for the datasets that name none; null means each card's first."""
    fallback: Literal["twin"] | None = None
    """`twin`: where a dataset cannot be had, use its generated twin, under the twin's own name."""


class Search(SpecModel):
    """How configurations are searched."""

    sampler: Literal["tpe", "random", "grid", "cmaes"] = "tpe"
    """How the next configuration is proposed."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """How a trial that does badly is stopped early."""
    seed: Whole = Field(default=0, ge=0, le=LARGEST_SEED)
    """Seed of the sampler."""
    parallel_trials: Whole = Field(default=1, ge=1, le=1024)
    """Trials proposed at once; more is faster and the sampler learns less between them, so it changes the result."""


class Resources(SpecModel):
    """What one job asks of the machine."""

    gpus_per_job: Number = Field(default=1, ge=0)
    """GPUs of a job where there are any; a fraction lets jobs share one."""
    cpus_per_job: Whole = Field(default=1, ge=1)
    """CPU cores of a job."""
    precision: Literal["32-true", "64-true", "16-mixed", "bf16-mixed"] = "32-true"
    """Floating type of the training."""


def default_budgets() -> dict[str, Budget]:
    """Returns the budgets of a spec that defines none."""
    return {
        "small": Budget(name="small", trials=2, epochs=3, seeds=(0,)),
        "full": Budget(name="full", trials=20, epochs=1000, patience=20, seeds=(0, 1, 2, 3, 4)),
    }


class Spec(SpecModel):
    """A question about methods: which, on what, scored how, with how much effort."""

    version: Literal[1]
    """Version of the spec format."""
    name: Name
    """Name of the spec, shown above its table."""
    experiments: tuple[Experiment, ...] = Field(min_length=1)
    """Grids to run."""
    search: Search = Search()
    """How configurations are searched."""
    budgets: dict[Name, Budget] = Field(default_factory=default_budgets, min_length=1)
    """Efforts by name; by default `small` (2 trials, 3 epochs, 1 seed) and `full` (20 trials, 1000 epochs, 5 seeds)."""
    budget: Name = "auto"
    """Name of the budget to use; `auto` is the only one, or `full` where there is a GPU and `small` where not."""
    resources: Resources = Resources()
    """What one job asks of the machine."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        full = handler(core)
        written = handler.resolve_ref_schema(full)
        file = {"type": "string", "pattern": r"\.ya?ml$"}
        written["properties"]["extends"] = {
            "title": "Extends",
            "description": "Specs to start from, relative to this file; mappings merge, lists do not, this file wins.",
            "anyOf": [file, {"type": "array", "items": file}],
        }
        # Keys that start with x- hold YAML anchors and mean nothing else.
        written["patternProperties"] = {"^x-": {}}
        written["anyOf"] = [{"required": ["extends"]}, {"required": written.pop("required")}]
        return full

    @field_validator("version", mode="before")
    @classmethod
    def _not_a_truth_value(cls, raw: Any) -> Any:
        return str(raw).lower() if isinstance(raw, bool) else raw

    @field_validator("budgets", mode="before")
    @classmethod
    def _named(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        return {key: {"name": key, **value} if isinstance(value, dict) else value for key, value in raw.items()}
