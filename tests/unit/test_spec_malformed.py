"""Every broken spec under tests/assets/malformed is refused with exactly the lines written beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_world import fake_world

from bench.errors import EXIT_USER, SpecError
from bench.spec.check import validate_spec

FOLDER = Path(__file__).parents[1] / "assets" / "malformed"
SPECS = sorted(path.name for path in FOLDER.glob("[0-9]*.yaml"))


def test_there_are_at_least_sixty_and_each_has_its_message():
    assert len(SPECS) >= 60
    assert [Path(name).with_suffix(".expected").name for name in SPECS] == sorted(
        path.name for path in FOLDER.glob("*.expected")
    )


@pytest.mark.parametrize("name", SPECS)
def test_a_malformed_spec_is_refused_with_every_problem_at_its_place(name, monkeypatch):
    monkeypatch.chdir(FOLDER)
    with pytest.raises(SpecError) as caught:
        validate_spec(name, fake_world())
    assert str(caught.value).splitlines() == Path(name).with_suffix(".expected").read_text("utf-8").splitlines()
    assert caught.value.exit_code == EXIT_USER
    for problem in caught.value.problems:
        # The place exists: an editor can jump to it.
        lines = Path(problem.position.file).read_bytes().decode("utf-8", errors="replace").split("\n")
        assert 1 <= problem.position.line <= len(lines)
        assert 1 <= problem.position.column <= len(lines[problem.position.line - 1]) + 1
