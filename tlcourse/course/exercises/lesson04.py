"""Lesson 04, domain adaptation: what to believe, and a choice in earnest."""

from typing import Any

from tlcourse.course.exercises import exercise, wrong


@exercise(
    "04.1",
    hints=(
        "First ask the model: `says = tl.methods.probabilities(model, stream)`, with a model such "
        'as `trained["source only"][0][0]`.',
        "`sure = tl.methods.pseudo_labels(says, threshold=0.9)` believes what is at least as sure. It "
        "knows its `sure.share`, and `sure.agreement(stream.y)` with the truth.",
        "`believed = {t: (tl.methods.pseudo_labels(says, threshold=t).share, "
        "tl.methods.pseudo_labels(says, threshold=t).agreement(stream.y)) for t in [0.3, 0.6, 0.9]}`",
    ),
)
def how_sure_is_sure_enough(believed: Any) -> str:
    """believed: threshold → (share of the stream that is believed, share of it that is true)."""
    if not isinstance(believed, dict):
        wrong("Answer for each threshold: `{0.5: (share, agreement), 0.9: (share, agreement)}`.")
    points = {float(t): _pair(value, "share", "agreement") for t, value in believed.items()}
    if len(points) < 3:
        wrong("Two thresholds make no curve: take three or more, from 0.3 to 0.95.")
    if not all(0 <= number <= 1 for pair in points.values() for number in pair):
        wrong("Share and agreement lie between 0 and 1; where nobody is believed there is no "
              "agreement (NaN): leave such a threshold out.")  # fmt: skip
    order = sorted(points)
    shares = [points[t][0] for t in order]
    if shares != sorted(shares, reverse=True):
        wrong("A higher threshold cannot believe more pictures. Is the share the first of the two, and "
              "does each entry use its own threshold?")  # fmt: skip
    if shares[0] == shares[-1]:
        wrong("Every threshold believes as many. Does each entry use its own `threshold=`?")
    low, high = order[0], order[-1]
    (much, mixed), (few, true) = points[low], points[high]
    if true <= mixed:
        wrong("What it is surest of should be true more often than what it says of everything. Is "
              "agreement the second number, and are the labels those of the same stream?")  # fmt: skip
    return (
        f"From {low:g} to {high:g} the believed shrink from ⟨{much * 100:.0f} %⟩ of the stream to "
        f"⟨{few * 100:.0f} %⟩, and what is believed is true in ⟨{true * 100:.0f} %⟩ instead of "
        f"⟨{mixed * 100:.0f} %⟩. Confidence of a model far from home is a rank, not a promise: "
        "no threshold tells you the second number without labels."
    )


@exercise(
    "04.2",
    hints=(
        'Train one model for each weight, as `adapt(data, stream, "MMD", weight)` does, and keep '
        "both things that it returns.",
        "Information is computed from what a model says of the stream: "
        "`tl.methods.information(tl.methods.probabilities(model, stream))`.",
        'For each weight: `model, accuracy = adapt(plain[0], stream, "MMD", weight)`, then '
        "`choice[weight] = tl.methods.information(tl.methods.probabilities(model, stream)), accuracy`.",
    ),
)
def choose_in_earnest(choice: Any) -> str:
    """choice: weight of MMD → (information in nats, accuracy away)."""
    if not isinstance(choice, dict):
        wrong("Answer for each weight: `{1.0: (information, accuracy), …}`.")
    tried = {float(w): _pair(value, "information", "accuracy") for w, value in choice.items()}
    if len(tried) < 3:
        wrong("There is not much to choose from: try three weights or more.")
    if not all(nats >= 0 and 0 <= accuracy <= 1 for nats, accuracy in tried.values()):
        wrong("First the information, in nats and not below 0, then the accuracy, from 0 to 1.")
    if len({nats for nats, _ in tried.values()}) == 1:
        wrong(
            "All models have the same information, which they do not. Is it each weight's own model?"
        )
    chosen = max(tried, key=lambda weight: tried[weight][0])
    best = max(accuracy for _, accuracy in tried.values())
    cost = (best - tried[chosen][1]) * 100
    return (
        f"Information chooses ⟨{chosen:g}⟩, which has ⟨{tried[chosen][1] * 100:.1f} %⟩: ⟨{cost:.1f} "
        "points⟩ less than the best of yours. Whatever that cost is, you would have paid it without "
        "ever seeing it. A few labels from the target, kept for choosing, would show it."
    )


def _pair(value: Any, first: str, second: str) -> tuple[float, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        wrong(f"Each entry holds two numbers, `({first}, {second})`.")
    return _number(value[0], first), _number(value[1], second)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) and not hasattr(value, "item"):
        wrong(f"Here stands {value!r}, where {name} should be a number.")
    return float(value)
