"""Lesson 00, why transfer works: the price in labels, and whose past it was."""

from typing import Any

from tlcourse.course.exercises import exercise, wrong


@exercise(
    "00.1",
    hints=(
        "Both curves are dicts, labels a class → interval; `frozen[2].mean` is the height to reach.",
        "Go through `scratch.items()` and keep the labels whose mean is at least that high.",
        "`min((n for n, a in scratch.items() if a.mean >= frozen[2].mean), default=None)`",
    ),
)
def the_price_in_labels(given: dict[str, Any]) -> str:
    """given: {"answer": labels a class or None, "frozen": curve, "scratch": curve}."""
    answer, frozen, scratch = given["answer"], given["frozen"], given["scratch"]
    height = frozen[2].mean
    reached = [labels for labels, found in sorted(scratch.items()) if found.mean >= height]
    right = reached[0] if reached else None
    if answer is not None and answer not in scratch:
        tried = ", ".join(map(str, sorted(scratch)))
        wrong(f"From scratch was measured at {tried} labels: choose one of these, or `None`.")
    if answer is None and right is not None:
        wrong("It does get there: compare every mean of `scratch` with `frozen[2].mean`.")
    if answer is not None and (right is None or scratch[answer].mean < height):
        wrong(
            f"With {answer} labels it is still lower: ⟨{scratch[answer].mean:.1%}⟩ against the frozen "
            f"one's ⟨{height:.1%}⟩ with two."
        )
    if answer is not None and answer > right:
        wrong(f"So many would do, but fewer do as well: what of the {right}?")
    if right is None:
        return (
            "Not even the most that was measured is enough: the past is worth more labels than you "
            "have here."
        )
    return (
        f"Two labels with a past do as well as {right} without one. That is what somebody else's "
        "training saved you, in afternoons of labelling."
    )


@exercise(
    "00.2",
    hints=(
        "`tl.load_model(STUDENT, classes=near.classes, pretrained=False)` is the same, with random "
        "weights.",
        "`found = tl.features(network, near)`, then ten labels a class: "
        "`draw = replace(found, train=tl.methods.keep_examples(found, 10))`.",
        "`tl.probe(draw).accuracy(draw.test)` is the accuracy; put both into a dict.",
    ),
)
def whose_past(answer: Any) -> str:
    """answer: {"pre-trained": accuracy, "random": accuracy} of a probe on frozen features."""
    if not isinstance(answer, dict) or set(answer) != {"pre-trained", "random"}:
        wrong('Give a dict with two accuracies: `{"pre-trained": …, "random": …}`.')
    learned, drawn = float(answer["pre-trained"]), float(answer["random"])
    if not (0 <= learned <= 1 and 0 <= drawn <= 1):
        wrong(
            "An accuracy lies between 0 and 1: take `tl.probe(draw).accuracy(draw.test)` as it is."
        )
    if learned == drawn:
        wrong("Both are the same: did the second network get `pretrained=False`?")
    if learned < drawn:
        wrong(
            "Random weights came out ahead: are the two exchanged, or is one measured on what its "
            "head learned from?"
        )
    return (
        f"Random weights reach ⟨{drawn:.1%}⟩: even an untrained convolution keeps neighbouring pixels "
        f"together. The rest, up to ⟨{learned:.1%}⟩, is what it learned from somebody else's pictures."
    )
