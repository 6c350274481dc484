"""Lesson 01, feature extraction: what a label is worth, a head in half the steps, who moved."""

from typing import Any

from tlcourse.course.exercises import exercise, wrong


@exercise(
    "01.1",
    hints=(
        "For each n take several draws of labels; from the cache they cost almost nothing: "
        "`tl.methods.reuse(cached, tl.load_data(DATA, labels_per_class=n, seed=s))`.",
        "One draw has one score, `tl.probe(d).accuracy(d.test)`. Three scores or more make a "
        "`tl.interval([…])`.",
        "With `sets`, the three draws for n: "
        "`curve[n] = tl.interval([tl.probe(d).accuracy(d.test) for d in sets])`.",
    ),
)
def what_a_label_is_worth(curve: Any) -> str:
    """curve: labels a class → Interval of the logistic head's accuracy, at 1, 2, 5 and 10."""
    from tlcourse.measure import Interval

    if not isinstance(curve, dict):
        wrong("The curve is a dict, labels a class → interval: `{1: tl.interval([…]), 2: …}`.")
    if missing := [n for n in (1, 2, 5, 10) if n not in curve]:
        wrong(f"There is no point at {missing[0]} yet: measure at 1, 2, 5 and 10 labels a class.")
    points = [curve[n] for n in (1, 2, 5, 10)]
    if not all(isinstance(point, Interval) for point in points):
        wrong(
            "One number is an anecdote: make a `tl.interval([…])` of the scores of several seeds."
        )
    if any(point.n < 2 for point in points):
        wrong("One draw of labels says nothing about the next: take three seeds for each point.")
    if not all(0 <= value <= 1 for point in points for value in point.values):
        wrong("An accuracy lies between 0 and 1: take `tl.probe(d).accuracy(d.test)` as it is.")
    one, two, five, ten = (point.mean for point in points)
    if ten > 0.995:
        wrong("That is too good: is it measured on `d.test`, or on what the head learned from?")
    if not one < five < ten:
        wrong(
            "Five labels a class should do better than one, and ten better than five. Does each point "
            "use its own `labels_per_class=n`, and is it measured on `d.test`?"
        )
    first, last = (two - one) * 100, (ten - five) / 5 * 100
    return (
        f"The second label of a class is worth ⟨{first:.1f} points⟩, each of the last five "
        f"⟨{last:.1f} points⟩. The first labels buy the most: label a few, draw this curve, and its "
        "slope tells what more of them would bring."
    )


@exercise(
    "01.2",
    hints=(
        "What the run lacks in steps it needs in rate: the best one lies above that of a long run.",
        "Go up by threes, from well below to well above: 3e-4, 1e-3, 3e-3, …",
        "`rates = {lr: train_head(12, lr).valid_accuracy "
        "for lr in [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]}`",
    ),
)
def in_a_hurry(rates: Any) -> str:
    """rates: learning rate → validation accuracy after 12 steps."""
    if not isinstance(rates, dict):
        wrong("Keep what you measured in a dict: `{1e-3: accuracy, 3e-3: accuracy, …}`.")
    tried = {float(lr): float(accuracy) for lr, accuracy in rates.items()}
    if len(tried) < 3:
        wrong("Two points are no search: try three rates or more, each about three times the last.")
    if not all(0 <= accuracy <= 1 for accuracy in tried.values()):
        wrong(
            "An accuracy lies between 0 and 1: take `train_head(12, lr).valid_accuracy` as it is."
        )
    if len(set(tried.values())) == 1:
        wrong("All rates did equally well, which they do not. Does each run get its own `lr`?")
    best = max(tried, key=tried.get)
    if best == max(tried):
        wrong("The highest rate did best, so you do not know yet where the best one is: go up.")
    if best == min(tried):
        wrong("The lowest rate did best, so you do not know yet where the best one is: go down.")
    return (
        f"The best of them is ⟨{best:g}⟩ with ⟨{tried[best] * 100:.1f} %⟩, and it gets worse on both "
        "sides. How much of that is luck, other draws of labels would tell. That is all there is to "
        "choosing a rate: by factors, not by steps, until the best one has a worse one on either side."
    )


@exercise(
    "01.3",
    hints=(
        "`model.requires_grad_(False)` freezes every weight, `model.train()` sets the trap, and a "
        "forward pass springs it. `tl.methods.batchnorm_stats(model)` copies the statistics.",
        "Take a copy before and one after. `drift` of one statistic alone: "
        "`tl.methods.drift({name: before[name]}, {name: after[name]})`.",
        "All of them: "
        "`{name: tl.methods.drift({name: before[name]}, {name: after[name]}) for name in before}`.",
    ),
)
def who_moved(moved: Any) -> str:
    """moved: name of a BatchNorm statistic → its drift after one forward pass in train mode."""
    if not isinstance(moved, dict):
        wrong("Answer for each statistic by its name: `{name: drift, …}`.")
    drifts = {str(name): float(value) for name, value in moved.items()}
    if not all(name.endswith(("running_mean", "running_var")) for name in drifts):
        wrong("The names are those in `tl.methods.batchnorm_stats(model)`: one ending in "
              "`running_mean` and one in `running_var` for each BatchNorm layer.")  # fmt: skip
    if len(drifts) < 4:
        wrong("The network has more BatchNorm layers: go through all names in `before`.")
    if not any(drifts.values()):
        wrong("Nothing has moved. Was the model in train mode, `model.train()`, when it saw the "
              "batch? And were the statistics copied before that, and again after?")  # fmt: skip
    most = max(drifts, key=drifts.get)
    still = [name for name, value in drifts.items() if value == 0]
    if still:
        wrong(f"`{still[0]}` has not moved at all, though a batch went through it in train mode.")
    return (
        f"Every one of them moved, ⟨{most}⟩ the most, by ⟨{drifts[most] * 100:.0f} %⟩: one look at 32 "
        "pictures, no loss, no gradient, no optimizer. `requires_grad=False` guards weights, and these "
        "are none. Only `eval()` on the layer keeps them."
    )
