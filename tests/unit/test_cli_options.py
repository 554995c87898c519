from __future__ import annotations

import pytest

from bench.cli.options import spread


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["s.yaml", "--only", "a", "b"], ["s.yaml", "--only", "a", "--only", "b"]),
        (["--only", "a", "b", "s.yaml"], ["--only", "a", "--only", "b", "s.yaml"]),
        (["--only", "a,b", "--only", "c"], ["--only", "a", "--only", "b", "--only", "c"]),
        (["--only=a,b", "s.yml"], ["--only=a", "--only", "b", "s.yml"]),
        (["--seed", "0", "1", "2", "--json"], ["--seed", "0", "--seed", "1", "--seed", "2", "--json"]),
        (["--seed", "0,1", "somewhere"], ["--seed", "0", "--seed", "1", "somewhere"]),
        (["--seed", "x", "s.yaml"], ["--seed", "x", "s.yaml"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--budget", "full", "s.yaml"], ["--budget", "full", "s.yaml"]),
        (["s.yaml", "--only"], ["s.yaml", "--only"]),
        (["--only", "--json"], ["--only", "--json"]),
    ],
)
def test_options_of_several_words(typed: list[str], meant: list[str]) -> None:
    assert spread(typed) == meant
