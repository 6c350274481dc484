"""Lesson 03, LoRA: how large a rank is, what merging computes, how far to turn an adapter."""

from typing import Any

from tlcourse.course.exercises import exercise, wrong

LAYERS, PLACES, WIDTH = (
    6,
    2,
    384,
)  # of minilm: query and value in each layer, 384 numbers in and out
PARAMETERS = 22_565_376  # of minilm without a head


@exercise(
    "03.1",
    hints=(
        "Count one place first: A is `rank` × 384 and B is 384 × `rank`.",
        "There are two such places, query and value, in each of six layers.",
        "`6 * 2 * (384 + 384) * rank` numbers must stay within a hundredth of the backbone's.",
    ),
)
def the_largest_rank_within_a_percent(rank: Any) -> str:
    """rank: the largest whole one whose adapter on query and value has ≤ 1 % of minilm's parameters."""
    each = LAYERS * PLACES * 2 * WIDTH
    most = PARAMETERS // 100 // each
    if isinstance(rank, bool) or not isinstance(rank, int):
        wrong("A rank is a whole number: it is how many rows A has, and how many columns B.")
    if rank < 1:
        wrong("A rank begins at 1: with rank 0 there is nothing to train.")
    if rank == 2 * most or rank == 2 * most + 1:
        wrong("That is about twice too many. Did you count both A (rank × 384) and B (384 × rank)?")
    if LAYERS * most <= rank <= LAYERS * (most + 1):
        wrong("That is about six times too many: each of the six layers has its own A and B.")
    if rank > most:
        wrong(
            f"Rank {rank} takes {each * rank:,} numbers, which is "
            f"{each * rank / PARAMETERS:.2%} of the backbone: too many."
        )
    if rank < most:
        wrong(
            f"Rank {rank} fits, with {each * rank / PARAMETERS:.2%} of the backbone. But is there "
            "room for a larger one?"
        )
    return (
        f"Each step of rank costs {each:,} numbers, so {most} is the last that fits. The cost grows "
        "with the rank and the width, while a full matrix grows with the width squared: the larger "
        "the model, the smaller the share."
    )


@exercise(
    "03.2",
    hints=(
        "W is (out, in), A is (rank, in) and B is (out, rank). Which product has the shape of W?",
        "`B @ A` is (out, in). It is added to W, times a number that the rank enters.",
        "`return W + alpha / len(A) * B @ A`",
    ),
)
def merging_by_hand(merge: Any) -> str:
    """merge: a function (W, A, B, alpha) → the one matrix that does the work of all three."""
    import torch

    if not callable(merge):
        wrong("Write a function, `def merge(W, A, B, alpha): …`, and give it without calling it.")
    generator = torch.Generator().manual_seed(3)
    W, A, B = (torch.randn(shape, generator=generator) for shape in ((6, 8), (2, 8), (6, 2)))
    given, alpha = (W.clone(), A.clone(), B.clone()), 5.0
    try:
        found = merge(W, A, B, alpha)
    except RuntimeError:  # torch's own word for matrices that do not fit
        wrong(
            f"The shapes do not fit: W is {tuple(W.shape)}, A {tuple(A.shape)} and B "
            f"{tuple(B.shape)}. Which product of A and B has the shape of W?"
        )
    if not isinstance(found, torch.Tensor):
        wrong(f"It returned {type(found).__name__}, not a matrix. Is there a `return`?")
    if found.shape != W.shape:
        wrong(
            f"With W of {tuple(W.shape)} it returned {tuple(found.shape)}. What is merged takes the "
            "place of W, so it has the shape of W: that is the shape of `B @ A`."
        )
    if not all(torch.equal(now, was) for now, was in zip((W, A, B), given, strict=True)):
        wrong(
            "It changed what it was given: the base is shared by other tasks. `W + …` makes a new "
            "matrix, `W += …` writes into the old one."
        )
    W, update = given[0], given[2] @ given[1]
    if torch.allclose(found, W, atol=1e-4):
        wrong("It returned W as it was: the update B A is missing.")
    if torch.allclose(found, W + update, atol=1e-4):
        wrong("Nearly: the update is scaled by alpha / rank before it is added.")
    if torch.allclose(found, W + alpha * update, atol=1e-4):
        wrong("Nearly: alpha is divided by the rank, the number of A's rows.")
    if torch.allclose(found, alpha / 2 * update, atol=1e-4):
        wrong("That is the update alone: it is added to W.")
    if not torch.allclose(found, W + alpha / 2 * update, atol=1e-4):
        wrong("The shape fits, the numbers do not: it should be W + (alpha / rank) · B A.")
    return (
        "That is all there is to merging, once for each layer. x goes through one matrix instead of "
        "three, so the adapter costs nothing when the model is used."
    )


@exercise(
    "03.3",
    hints=(
        "`at_scale(scale)` in the cell above measures on validation texts. Try at least five scales.",
        "0 has to be among them, that is the base; 1, which is as trained; and something beyond.",
        "`scales = {scale: at_scale(scale) for scale in [0, 0.5, 1, 1.5, 2, 4]}`",
    ),
)
def how_far_to_turn(scales: Any) -> str:
    """scales: scale of the adapter → accuracy; at 0, 1, a larger one and two others at least."""
    if not isinstance(scales, dict):
        wrong("Answer with what you measured, as a dict: `{0: accuracy, 1: accuracy, …}`.")
    if missing := [at for at in (0, 1) if at not in scales]:
        what = "the base without its adapter" if missing[0] == 0 else "the adapter as trained"
        wrong(f"Scale {missing[0]} is missing: that is {what}, and the others are held against it.")
    if max(scales) <= 1:
        wrong("Go beyond 1, too: what does twice the update do?")
    if len(scales) < 5:
        wrong(f"{len(scales)} points make no curve yet: take five scales or more.")
    if not all(0 <= value <= 1 for value in scales.values()):
        wrong("An accuracy lies between 0 and 1: take `at_scale(scale)` as it is.")
    if len(set(scales.values())) == 1:
        wrong("The accuracy is the same everywhere. Was the scale really set before measuring?")
    best = max(scales, key=lambda at: scales[at])
    flat = [at for at in sorted(scales) if scales[best] - scales[at] <= 0.02]
    return (
        f"The best was scale ⟨{best:g}⟩, and within two points of it lie all from ⟨{flat[0]:g}⟩ to "
        f"⟨{flat[-1]:g}⟩. The scale can be turned without training, so validation data may choose it; "
        "but a little gain on few texts is luck."
    )
