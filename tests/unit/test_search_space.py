from __future__ import annotations

import math

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bench.search.space import decode, distribution, distributions, encode, grid, grid_values, nearest_inside
from bench.spec.space import Choices, IntRange, Log, Uniform

scalars = st.one_of(
    st.booleans(), st.integers(-5, 5), st.floats(-5, 5, allow_nan=False), st.text(max_size=3)
)  # fmt: skip
choices = st.lists(scalars, min_size=1, max_size=5, unique_by=lambda v: (type(v).__name__, v)).map(
    lambda values: Choices(*values)
)
bounds = st.tuples(st.floats(1e-6, 1.0), st.floats(1.5, 100.0))
domains = st.one_of(
    choices,
    bounds.map(lambda b: Uniform(*b)),
    bounds.map(lambda b: Log(*b)),
    st.tuples(st.integers(-9, 3), st.integers(4, 90)).map(lambda b: IntRange(*b)),
)


@pytest.mark.parametrize("ordinal", [False, True])
@given(space=st.dictionaries(st.sampled_from("abcd"), domains, min_size=1), seed=st.integers(0, 99))
def test_what_optuna_suggests_lies_in_the_domain_and_encodes_back(ordinal, space, seed):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    suggested = study.ask(fixed_distributions=distributions(space, ordinal=ordinal)).params
    decoded = decode(space, suggested)
    for name, domain in space.items():
        assert domain.contains(decoded[name])
        if isinstance(domain, Choices):
            assert any(v == decoded[name] and type(v) is type(decoded[name]) for v in domain.values)
    if not any(isinstance(domain, Choices) for domain in space.values()):
        assert encode(space, decoded) == suggested


@given(domain=domains, value=st.one_of(scalars, st.none()))
def test_nearest_value_is_always_inside(domain, value):
    assert domain.contains(nearest_inside(domain, value))


@given(domain=domains)
def test_grid_values_are_inside_and_distinct(domain):
    values = grid_values(domain)
    assert all(domain.contains(value) for value in values)
    assert len({(type(value), value) for value in values}) == len(values)


def test_distributions_are_those_of_the_forms():
    assert distribution(Uniform(0, 1)) == FloatDistribution(0, 1)
    assert distribution(Log(1e-3, 1)) == FloatDistribution(1e-3, 1, log=True)
    assert distribution(IntRange(1, 4)) == IntDistribution(1, 4)
    assert distribution(Choices("a", "b")) == CategoricalDistribution((0, 1))
    assert distribution(Choices(0.1, 1, 10), ordinal=True) == IntDistribution(0, 2)
    assert distribution(Choices("a", "b"), ordinal=True) == CategoricalDistribution((0, 1))


def test_numeric_choices_count_by_size():
    assert decode({"x": Choices(10, 0.1, 1)}, {"x": 0}) == {"x": 0.1}


def test_value_outside_its_domain_is_refused():
    with pytest.raises(ValueError, match="outside"):
        encode({"x": Uniform(0, 1)}, {"x": 2.0})
    with pytest.raises(ValueError, match="not one of the choices"):
        encode({"x": Choices(1, 2)}, {"x": True})
    with pytest.raises(ValueError, match="the space has"):
        encode({"x": Choices(1, 2)}, {"y": 1})


def test_log_grid_is_even_in_the_logarithm():
    steps = [math.log10(value) for value in grid_values(Log(1e-4, 1.0))]
    assert steps == pytest.approx([-4, -3, -2, -1, 0])


def test_grid_larger_than_memory_is_sampled():
    space = {f"f{index:02d}": Choices(*range(8)) for index in range(20)}
    first = dict.fromkeys(space, 0)
    points = grid(space, first=first, limit=10, seed=1)
    assert points[0] == first and len(points) == 10
    assert points == grid(space, first=first, limit=10, seed=1) != grid(space, first=first, limit=10, seed=2)
