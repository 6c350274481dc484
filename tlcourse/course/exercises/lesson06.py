"""Lesson 06, forgetting: the price of a point, forward transfer, whom a wrong source harms."""

from typing import Any

from tlcourse.course.exercises import exercise, wrong


@exercise(
    "06.1",
    hints=(
        "`adapt(start, new, old, terms=…, weights={'old': w})` gives (old, new) for a "
        "weight w. The Fisher "
        "information and the term do not depend on w: make them once.",
        "Go in large steps, such as 10, 300, 10 000: it is a matter of factors.",
        "`spring = tl.methods.ewc(start, tl.methods.fisher_diagonal(start, old))`, then "
        "`{w: adapt(start, new, old, terms={'old': spring}, weights={'old': w}) for w in …}`.",
    ),
)
def the_price_of_a_point(prices: Any) -> str:
    """prices: EWC's weight → (accuracy on the old task, on the new one)."""
    if not isinstance(prices, dict):
        wrong("Keep what you measured by its weight: `{10: (old, new), 300: (old, new), …}`.")
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in prices.values()):
        wrong("Each weight has two accuracies, (old, new): what `adapt` gives, as it is.")
    seen = {float(w): (float(old), float(new)) for w, (old, new) in sorted(prices.items())}
    if len(seen) < 3:
        wrong("Two weights make a straight line of anything: try three or more.")
    if not all(0 <= accuracy <= 1 for pair in seen.values() for accuracy in pair):
        wrong("An accuracy lies between 0 and 1: take what `adapt` gives as it is.")
    least, most = min(seen), max(seen)
    if least <= 0 or most / least < 100:
        wrong("The weights lie too close together to show anything: take some a hundredfold apart.")
    kept = seen[most][0] - seen[least][0]
    paid = seen[least][1] - seen[most][1]
    if kept <= 0:
        wrong(
            "The stiffest spring did not keep more of the old task than the softest. "
            "Does each run get "
            "its own weight, does it start from `held(…)`, and is the pair (old, new), "
            "in this order?"
        )
    return (
        f"From the softest to the stiffest spring the old task wins ⟨{kept * 100:.1f} points⟩, and the "
        f"price in the new task is ⟨{paid * 100:.1f} points⟩. While that is about nothing, or below "
        "it, a stiffer spring may still be free; from there on, choose by what a mistake costs in each "
        "task, and not by the new task's accuracy alone."
    )


@exercise(
    "06.2",
    hints=(
        "Row 0 of R is `before[0]`, (old, new) when only the old task was learned; row 1 "
        "is `plain[0]`.",
        "The untrained one is `tl.load_model(MODEL, classes=old.classes)`: pre-trained, "
        "with a head that "
        "knows nothing.",
        "`tl.methods.probabilities(fresh, old.test).argmax(1)` is what it says, and "
        "`tl.measure.accuracy(said, old.test.y)` how often that is right.",
    ),
)
def looking_forward(matrix: Any) -> str:
    """matrix: {"R": accuracies after each task, "untrained": accuracies before any}."""
    from tlcourse.errors import DataError
    from tlcourse.methods import average_accuracy, backward_transfer, forward_transfer

    if not isinstance(matrix, dict) or not {"R", "untrained"} <= set(matrix):
        wrong('Answer with both: `{"R": [[…, …], […, …]], "untrained": […, …]}`.')
    R = [[float(accuracy) for accuracy in row] for row in matrix["R"]]
    untrained = [float(accuracy) for accuracy in matrix["untrained"]]
    try:
        forward = forward_transfer(R, untrained)
        average, backward = average_accuracy(R), backward_transfer(R)
    except DataError as error:
        wrong(f"{error} A row of R is (old, new), one row after each task.")
    if not all(0 <= accuracy <= 1 for accuracy in untrained):
        wrong("An accuracy lies between 0 and 1, of the untrained network as well.")
    if R[0][0] <= R[0][1] or R[1][1] <= R[0][1]:
        wrong(
            "After the old task a network is better at the old one, and the new one "
            "improves by its own "
            "training. Are the rows `before[0]` and `plain[0]`, in this order?"
        )
    if max(untrained) > 0.4:
        wrong(
            "The untrained network knows too much: is its head new? `tl.load_model(MODEL, "
            "classes=old.classes)` has learned neither task."
        )
    return (
        f"Forward ⟨{forward * 100:+.1f} points⟩, backward ⟨{backward * 100:+.1f} "
        "points⟩, average accuracy "
        f"⟨{average * 100:.1f} %⟩. Forward transfer of this kind asks for answers before "
        "any training on the new "
        "task, so it is small where the new pictures look different. That the old task's "
        "features may still "
        "make the new one quicker to learn, it does not see."
    )


@exercise(
    "06.3",
    hints=(
        "The true labels are `upside_down(0)[0].test.y`; `both[0]` holds (accuracy, "
        "answers) twice.",
        "For the digit with number `label`, look at the test pictures where `y == "
        "label`, and count the "
        "right answers with and without.",
        "`mine = y == label`, then `(said[mine] == label).float().mean() - "
        "(said_mixed[mine] == label).float().mean()`.",
    ),
)
def who_is_harmed(harm: Any) -> str:
    """harm: digit → share of its test pictures that are lost by mixing in the old ones."""
    if not isinstance(harm, dict):
        wrong("Answer for each digit by its name: `{'0': points lost, '1': …}`.")
    losses = {str(digit): float(value) for digit, value in harm.items()}
    if set(losses) != set("0123456789"):
        wrong("There are ten digits, called '0' to '9': answer for each.")
    if not all(-1 <= value <= 1 for value in losses.values()):
        wrong("Lost points are shares here, from −1 to 1: 0.2 is twenty points.")
    if sum(losses.values()) <= 0:
        wrong("On the whole the mixing helps, you say. Is it without minus with, in this order?")
    if min(losses["6"], losses["9"]) < sorted(losses.values())[4]:
        wrong(
            "6 and 9 are not among those that lose most. Are the answers compared with "
            "the upside-down "
            "test's own labels, `upside_down(0)[0].test.y`?"
        )
    return (
        f"6 loses ⟨{losses['6'] * 100:.0f} points⟩ and 9 ⟨{losses['9'] * 100:.0f} "
        "points⟩: upside down, each looks "
        "like the other, and eight in nine pictures insist on the old name. No amount of such data "
        "helps, because it is not noise, it is another convention. The mean over all "
        "digits hides whom it harms."
    )
