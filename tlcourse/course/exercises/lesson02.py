"""Lesson 02, fine-tuning: rates by hand, order and speed together, a warm-up as a plan."""

from typing import Any

from tlcourse.course.exercises import exercise, wrong


@exercise(
    "02.1",
    hints=(
        "`list(start().groups)` names the groups from the input to the head. The head is the last one.",
        "The group right below the head has half of its rate, the next one half of that: count how far "
        "each group lies below the head, and divide by 2 so many times.",
        "With `names` in that order: "
        "`{name: 1e-3 / 2 ** (len(names) - 1 - at) for at, name in enumerate(names)}`.",
    ),
)
def rates_by_hand(rates: Any) -> str:
    """rates: group → learning rate, the head's 1e-3, each below at half of the one above."""
    if not isinstance(rates, dict):
        wrong("The rates are a dict, `{group: rate, …}`, as `Session(lr=…)` takes them.")
    found = {str(name): float(rate) for name, rate in rates.items()}
    if "head" not in found:
        wrong("The head has no rate, and it is the group that learns fastest: give it 1e-3.")
    if len(found) < 3:
        wrong("There are more groups than that: `list(start().groups)` names them all.")
    if not _near(found["head"], 1e-3):
        wrong(f"The head's rate should be 1e-3, and is {found['head']:g}.")
    if list(found)[-1] != "head":
        wrong("Write them from the input to the head, as `list(start().groups)` has them.")
    below, above = list(found.values())[:-1], list(found.values())[1:]
    if len(set(found.values())) == 1:
        wrong("All groups have the same rate: that is what we wanted to leave behind.")
    if all(low > high for low, high in zip(below, above, strict=True)):
        wrong(
            "That is upside down: the layers near the input are the general ones, and move least."
        )
    for name, low, high in zip(found, below, above, strict=False):
        if not _near(2 * low, high):
            wrong(
                f"`{name}` should have half of the rate above it, {high / 2:g}, and has {low:g}. "
                "Each step down divides by 2 once more."
            )
    first = list(found)[0]
    return (
        f"`{first}` learns at {found[first]:g}, {found['head'] / found[first]:.0f} times as slowly as "
        "the head. A factor is enough to say it, because what counts is the ratio between neighbours."
    )


@exercise(
    "02.2",
    hints=(
        "`tl.methods.gradual_unfreezing` takes `lr=`: with which rates the groups start to train.",
        "The run needs the same rates from the beginning, `train(start(), by_depth, plan=…)`.",
        "The accuracies are in the run's result: `result.valid_accuracy` for the new task, "
        '`result.meters["old task"][-1][1]` for the old one.',
    ),
)
def order_and_speed(both: Any) -> str:
    """both: "new" and "old" → accuracy after a run stage by stage with rates by depth."""
    if not isinstance(both, dict) or {"new", "old"} - set(both):
        wrong('Answer with both of them: `{"new": accuracy, "old": accuracy}`.')
    new, old = (float(getattr(both[name], "mean", both[name])) for name in ("new", "old"))
    if not (0 <= new <= 1 and 0 <= old <= 1):
        wrong("An accuracy lies between 0 and 1: take it from the run's result as it is.")
    if new < 0.3:
        wrong(
            "It has hardly learned anything. Do the groups really unfreeze (`plan=stages`), and does "
            "the head have the full rate?"
        )
    if old > 0.93:
        wrong(
            "So much of the old task is only left if nothing but the head was trained. Was the last "
            "value of the meter taken, `[-1][1]`, and did the stages unfreeze?"
        )
    if old < 0.18:
        wrong(
            "That is what order alone keeps. Did the groups unfreeze at their own rates, `lr=by_depth`, "
            "in the plan as well?"
        )
    return (
        f"It learns ⟨{new * 100:.0f} %⟩ of the new task and keeps ⟨{old * 100:.0f} %⟩ of the old one. "
        "Set it beside the table: what do the rates keep, and what the order? The order saves backward "
        "passes in any case."
    )


@exercise(
    "02.3",
    hints=(
        "A plan is a list of `(step, command)`, and `tl.SetLR(group, lr)` is the command.",
        "There is a function for it: look at `help(tl.methods.warm_up)`.",
        "`warm = tl.methods.warm_up(RATE, 10)`",
    ),
)
def warm_up_as_a_plan(plan: Any) -> str:
    """plan: list of (step, SetLR) that reaches the full rate within ten steps."""
    from tlcourse.session import SetLR

    if not isinstance(plan, list | tuple) or not plan:
        wrong("The plan is a list, `[(step, command), …]`.")
    for entry in plan:
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            wrong(f"Each entry is a pair `(step, command)`, and {entry!r} is none.")
        if not isinstance(entry[1], SetLR):
            wrong(f"A warm-up sets rates, and {entry[1]!r} does something else.")
    steps, rates = [step for step, _ in plan], [command.lr for _, command in plan]
    if steps[0] != 0:
        wrong("The first steps are the dangerous ones: the plan has to begin at step 0.")
    if list(steps) != sorted(steps):
        wrong("The steps are out of order: a plan is read from top to bottom.")
    if any(late < early for early, late in zip(rates, rates[1:], strict=False)):
        wrong("A rate falls on the way: a warm-up rises.")
    if rates[0] > 0.5 * rates[-1]:
        wrong("It begins at more than half of the full rate: begin at a tenth or less.")
    if not 4 <= steps[-1] <= 10:
        wrong(f"The full rate is reached at step {steps[-1]}, and should be within the first 10.")
    return (
        f"From {rates[0]:g} to {rates[-1]:g} in {len(rates)} stairs. A fresh head and Adam's first, "
        "uncertain averages get small steps until they know where to go. Fitting the head first removes "
        "the first of the two reasons."
    )


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6 * abs(other)
