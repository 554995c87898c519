"""Recordings of the authors' video question answering: weights by names, gradients, and the data of a whole model.

Names map ours to theirs; several of theirs are one of ours, one below the other.
"""

from __future__ import annotations

import numpy as np
from recordings import GRADIENT, same, tensor

from bench.data.vqa import Clips, Questions, VqaData, VqaSplit
from bench.methods.answerer import Asked, QuestionBatch, Visual, Words

RECURRENT = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def linear(ours, theirs, *, bias=True):
    return {f"{ours}.{kind}": f"{theirs}.{kind}" for kind in (("weight", "bias") if bias else ("weight",))}


def lstm(ours, theirs):
    """Names of the weights of a layer that reads both ways."""
    names = {}
    for direction, suffix in (("ahead", ""), ("back", "_reverse")):
        for part in RECURRENT:
            names[f"{ours}.{direction}.{part}"] = f"{theirs}.{part}{suffix}"
    return names


def inside(ours, theirs, names):
    return {f"{ours}.{key}": f"{theirs}.{value}" for key, value in names.items()}


BILINEAR = linear("first", "linear0") | linear("second", "linear1") | linear("out", "linear_out")
ANSWER = (
    linear("question", "question_proj")
    | linear("layers.1", "classifier.1")
    | linear("layers.3", "classifier.3")
    | linear("layers.5", "classifier.5")
    | {f"layers.3.{name}": f"classifier.3.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
)


def recorded(record, theirs, kind):
    """Returns the `param` or the `grad` that one of our parameters corresponds to."""
    if isinstance(theirs, str):
        return record[f"{kind}/{theirs}"]
    return np.concatenate([record[f"{kind}/{one}"] for one in theirs])


def load(module, record, names, *, without=(), own=()):
    """Fills a module; every recorded parameter must be mapped, and every one of ours must be filled.

    Args:
        module: Of ours.
        record: With parameters `param/<name>`.
        names: Ours to theirs.
        without: Recorded parameters that we do not have.
        own: Entries of our state that are not recorded and keep their values.
    """
    mapped = {one for theirs in names.values() for one in ([theirs] if isinstance(theirs, str) else theirs)}
    assert {key.removeprefix("param/") for key in record if key.startswith("param/")} - mapped == set(without)
    state = {name: value for name, value in module.state_dict().items() if name in own}
    filled = {ours: tensor(recorded(record, theirs, "param")) for ours, theirs in names.items()}
    module.load_state_dict(state | filled)


def check_gradients(module, record, names, *, without=()):
    """Compares the gradients of all parameters but those `without` one."""
    for name, parameter in module.named_parameters():
        if names[name] not in without:
            same(parameter.grad, recorded(record, names[name], "grad"), **GRADIENT)


def recorded_data(record, sizes, question, clips):
    """Returns data whose one split is the recorded batch.

    Args:
        record: With `in/answers`.
        sizes: The recording's configuration.
        question: Names of the recorded tokens and of their lengths.
        clips: (n, clips, frames, d) appearance and (n, clips, d) motion.
    """
    rows = len(record["in/answers"])
    empty = np.zeros(rows, dtype=np.int64)
    tokens, lengths = (record[f"in/{name}"] for name in question)
    questions = Questions(
        tokens, lengths, np.arange(rows), record["in/answers"], empty, empty, None, None, empty, empty
    )
    split = VqaSplit(questions, Clips(*clips, empty))
    vocabulary = tuple(map(str, range(sizes["vocab_size"])))
    answers = tuple(map(str, range(sizes["num_answers"])))
    return VqaData("recorded", vocabulary, answers, (), 0, split, split)


def recorded_batch(record):
    """Returns the recorded batch of a model that sees appearance and motion."""
    visual = Visual(tensor(record["in/appearance"]), tensor(record["in/motion"]))
    words = Words(tensor(record["in/question"]), tensor(record["in/question_len"]))
    return QuestionBatch(visual, Asked(words), tensor(record["in/answers"]))
