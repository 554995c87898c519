"""Questions about videos whose answers follow from what happens, and from nothing in the words.

A noun phrase names objects by colour, shape and what they do. For each question a form is drawn first (which of the
three the phrase tells), then the answer that shall be right, then one of the phrases that make it so.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.data.worlds.scenes.draws import pick, pick_weighted, uniforms
from bench.data.worlds.scenes.videos import APPEARS, MOTIONS, STILL, VANISHES, VIDEO_COLOURS, VIDEO_SHAPES

if TYPE_CHECKING:
    from bench.data.worlds.scenes.videos import Events

TYPES = ("count", "exist", "colour", "shape", "direction", "compare")
"""Types of questions; colour, shape and direction are queries of one object's attribute."""

COUNTS, YES_NO, ORDER = ("0", "1", "2", "3"), ("yes", "no"), ("more", "equal", "less")
ANSWERS = (*COUNTS, *YES_NO, *VIDEO_COLOURS, *VIDEO_SHAPES, *MOTIONS[:STILL], *ORDER)
"""Every answer."""

PER_VIDEO = 5

ANY = -1
_ACTIONS = (*MOTIONS, "appears", "vanishes")
_PLURAL = ("move left", "move right", "move up", "move down", "stay still", "appear", "vanish")
_SINGULAR = ("moves left", "moves right", "moves up", "moves down", "stays still", "appears", "vanishes")

PHRASES = np.array(
    list(itertools.product(range(-1, len(VIDEO_COLOURS)), range(-1, len(VIDEO_SHAPES)), range(-1, len(_ACTIONS))))
)
"""(phrases, 3): colour, shape and action each phrase tells, `ANY` where it does not."""

_FORM = (PHRASES != ANY) @ np.array([1, 2, 4])
_C, _S, _CS, _A, _CA, _SA = 1, 2, 3, 4, 5, 6
_FORM_NAMES = {_C: "colour", _S: "shape", _CS: "colour+shape", _A: "action", _CA: "colour+action", _SA: "shape+action"}
_FORMS = {
    "count": (_C, _S, _A, _CS, _CA, _SA),
    "exist": (_CS, _CA, _SA),
    "colour": (_S, _A, _SA),
    "shape": (_C, _A, _CA),
    "direction": (_C, _S, _CS),
}
_COUNT_WEIGHTS = {1: np.array([0.8, 1.0, 1.2, 1.9]), 2: np.array([0.8, 0.9, 3.5, 12.0])}
"""Weights of the answers 0..3 of phrases that tell one thing and two: what happens seldom is asked for more often."""
_PLAIN = np.flatnonzero(np.isin(_FORM, (_C, _S)))
_PAIRS = np.array(list(itertools.permutations(_PLAIN.tolist(), 2)))


class AskedQuestions(NamedTuple):
    """Questions, `PER_VIDEO` for each video, video by video.

    Attributes:
        texts: The questions.
        answers: (n * 5,) index into `ANSWERS`.
        types: (n * 5,) index into `TYPES`.
        phrases: (n * 5, 2) row of `PHRASES`; the second is -1 but for comparisons.
        forms: What each phrase tells, e.g. `count/colour+shape`: all that the words give away besides names.
    """

    texts: list[str]
    answers: np.ndarray
    types: np.ndarray
    phrases: np.ndarray
    forms: list[str]


def matches(events: Events) -> np.ndarray:
    """Returns (n, K, phrases) bool: which objects each phrase names. An object counts if it is ever in the video."""
    colour, shape, action = PHRASES.T
    fits = (colour == ANY) | (events.colour[..., None] == colour)
    fits &= (shape == ANY) | (events.shape[..., None] == shape)
    does = (action == ANY) | (events.motion[..., None] == action)
    does |= (action == _ACTIONS.index("appears")) & (events.presence[..., None] == APPEARS)
    does |= (action == _ACTIONS.index("vanishes")) & (events.presence[..., None] == VANISHES)
    return np.asarray(fits & does & events.present[..., None])


def ask(seed: int, part: str, index: np.ndarray, events: Events) -> AskedQuestions:
    """Asks five questions about each video: a count, an existence, two queries of different attributes, a comparison.

    Where no phrase names a single object that fits a query, another count takes its place.
    """
    n = len(index)
    found = matches(events)
    counts = found.sum(axis=1)
    draws = uniforms(seed, f"questions/{part}", index, (PER_VIDEO, 4))
    left_out = pick(3, uniforms(seed, f"questions/{part}/queries", index))
    answers = np.empty((n, PER_VIDEO), dtype=np.int64)
    types = np.empty((n, PER_VIDEO), dtype=np.int64)
    phrases = np.full((n, PER_VIDEO, 2), -1)
    every = np.arange(n)
    answers[:, 0], phrases[:, 0, 0] = _count(counts, draws[:, 0])
    types[:, 0] = TYPES.index("count")
    answers[:, 1], phrases[:, 1, 0] = _exist(counts, draws[:, 1])
    types[:, 1] = TYPES.index("exist")
    for place, choice in ((2, left_out == 0), (3, left_out != 2)):
        asked = np.where(choice, place - 1, place - 2)
        for query, name in enumerate(("colour", "shape", "direction")):
            rows = every[asked == query]
            part_events = type(events)(*(field[rows] for field in events))
            answers[rows, place], phrases[rows, place, 0] = _query(name, part_events, found[rows], draws[rows, place])
            types[rows, place] = TYPES.index(name)
        rows = every[phrases[:, place, 0] < 0]
        answers[rows, place], phrases[rows, place, 0] = _count(counts[rows], draws[rows, place])
        types[rows, place] = TYPES.index("count")
    answers[:, 4], phrases[:, 4] = _compare(counts, draws[:, 4])
    types[:, 4] = TYPES.index("compare")
    flat_types, flat_phrases = types.reshape(-1), phrases.reshape(-1, 2)
    names = [TYPES[kind] for kind in flat_types.tolist()]
    return AskedQuestions(
        texts=[_text(name, *pair) for name, pair in zip(names, flat_phrases.tolist(), strict=True)],
        answers=answers.reshape(-1),
        types=flat_types,
        phrases=flat_phrases,
        forms=[_form(name, *pair) for name, pair in zip(names, flat_phrases.tolist(), strict=True)],
    )


def all_words() -> list[str]:
    """Returns the words of every question there can be."""
    texts = [_text(name, row, row) for name in TYPES for row in range(len(PHRASES))]
    return sorted(set(" ".join(texts).split()))


def _choose_form(name: str, draws: np.ndarray) -> np.ndarray:
    """Returns (n, phrases) bool: the phrases of one form, drawn for each row."""
    forms = np.array(_FORMS[name])[pick(len(_FORMS[name]), draws)]
    return np.asarray(_FORM == forms[:, None])


def _count(counts: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    allowed = _choose_form("count", draws[:, 0])
    wanted = allowed[:, None, :] & (counts[:, None, :] == np.arange(len(COUNTS))[:, None])
    single = np.isin(_FORM[np.argmax(allowed, axis=1)], (_C, _S, _A))
    weights = np.where(single[:, None], _COUNT_WEIGHTS[1], _COUNT_WEIGHTS[2])
    answer = pick_weighted(wanted.any(axis=2) * weights, draws[:, 1])
    return answer, pick_weighted(wanted[np.arange(len(counts)), answer], draws[:, 2])


def _exist(counts: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    allowed = _choose_form("exist", draws[:, 0])
    yes, no = allowed & (counts > 0), allowed & (counts == 0)
    # What does not exist is asked with words that each fit something, so that one of them alone tells nothing.
    fair = no & _parts_exist(counts)
    no = np.where(fair.any(axis=1)[:, None], fair, no)
    says_yes = np.where(no.any(axis=1), (draws[:, 1] < 0.5) & yes.any(axis=1), True)
    phrase = pick_weighted(np.where(says_yes[:, None], yes, no), draws[:, 2])
    return len(COUNTS) + np.where(says_yes, 0, 1), phrase


def _parts_exist(counts: np.ndarray) -> np.ndarray:
    """Returns (n, phrases) bool: whether each word of a phrase, taken alone, names something."""
    fits = np.ones(counts.shape, dtype=bool)
    for column in range(3):
        alone = np.full(PHRASES.shape, ANY)
        alone[:, column] = PHRASES[:, column]
        place = np.argmax((alone[:, None, :] == PHRASES[None]).all(axis=2), axis=1)
        fits &= (PHRASES[:, column] == ANY) | (counts[:, place] > 0)
    return fits


def _query(name: str, events: Events, found: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    allowed = _choose_form(name, draws[:, 0]) & (found.sum(axis=1) == 1)
    value = {"colour": events.colour, "shape": events.shape, "direction": events.motion}[name]
    owner = np.argmax(found, axis=1)
    told = np.take_along_axis(value, owner, axis=1)
    choices = {"colour": VIDEO_COLOURS, "shape": VIDEO_SHAPES, "direction": MOTIONS[:STILL]}[name]
    wanted = allowed[:, None, :] & (told[:, None, :] == np.arange(len(choices))[:, None])
    answer = pick_weighted(wanted.any(axis=2), draws[:, 1])
    phrase = pick_weighted(wanted[np.arange(len(found)), answer], draws[:, 2])
    return ANSWERS.index(choices[0]) + answer, np.where(answer < 0, -1, phrase)


def _compare(counts: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left, right = counts[:, _PAIRS[:, 0]], counts[:, _PAIRS[:, 1]]
    order = np.select([left > right, left == right], [0, 1], 2)
    # Both kinds exist where that can be, so that seeing one of them is not enough.
    wanted = (order[:, None, :] == np.arange(len(ORDER))[:, None]) & ((left > 0) & (right > 0))[:, None, :]
    wanted = np.where(wanted.any(axis=2)[..., None], wanted, order[:, None, :] == np.arange(len(ORDER))[:, None])
    answer = pick_weighted(wanted.any(axis=2), draws[:, 1])
    pair = pick_weighted(wanted[np.arange(len(counts)), answer], draws[:, 2])
    return ANSWERS.index(ORDER[0]) + answer, _PAIRS[pair]


def _noun(phrase: int, *, plural: bool) -> str:
    colour, shape, action = PHRASES[phrase].tolist()
    noun = VIDEO_SHAPES[shape] if shape != ANY else "thing"
    if plural:
        noun += "es" if noun.endswith("s") else "s"
    words = [VIDEO_COLOURS[colour]] if colour != ANY else []
    words.append(noun)
    if action != ANY:
        words += ["that", (_PLURAL if plural else _SINGULAR)[action]]
    return " ".join(words)


def _text(name: str, phrase: int, other: int) -> str:
    if name == "count":
        return f"how many {_noun(phrase, plural=True)} are there"
    if name == "exist":
        return f"is there a {_noun(phrase, plural=False)}"
    if name == "direction":
        return f"where does the {_noun(phrase, plural=False)} move"
    if name == "compare":
        return f"are there more or less {_noun(phrase, plural=True)} than {_noun(other, plural=True)}"
    return f"what {name} is the {_noun(phrase, plural=False)}"


def _form(name: str, phrase: int, other: int) -> str:
    names = [_FORM_NAMES[int(_FORM[row])] for row in (phrase, other) if row >= 0]
    return f"{name}/{' : '.join(names)}"
