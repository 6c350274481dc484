"""Lesson 05's descriptions, which were written before any was tried, and its exercises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlcourse.course.exercises.mechanism import exercise, wrong

WORDS = {  # data set → class → what one of its texts would say
    "tickets": {
        "access": "I cannot log in. My password is not accepted, my account is locked.",
        "status": "Where is my order? When will it arrive?",
        "change": "Please change my order: another address, another date.",
        "cancel": "Please cancel it. I do not want it any more.",
        "broken": "It does not work any more. It arrived damaged, it shows an error.",
        "wrong": "This is not what I ordered. You sent the wrong one, something is missing.",
        "payment": "I was charged twice. Where is my refund? A question about the bill.",
        "howto": "How do I do this? Is it possible? Where do I find it?",
        "privacy": "Delete my personal data. Who can see my data? I got a suspicious mail.",
        "complaint": "I am angry about your service. Nobody answers, you were rude.",
    },
    "banking77": {
        "card arrival": "My new card has not come yet. Where is it?",
        "card delivery estimate": "How many days until a card is delivered? Can it be sent faster?",
        "lost or stolen card": "My card was stolen. I have lost my card.",
        "card not working": "My card does not work. It is broken.",
        "declined card payment": "Why was my card declined in the shop?",
        "pending card payment": "Why is my payment still pending?",
        "card payment not recognised": "There is a card payment on my statement that I did not make.",
        "reverted card payment": "My payment was reversed: the money came back.",
        "request refund": "I want my money back for something I bought.",
        "cash withdrawal not recognised": "Somebody took cash from a machine, and it was not me.",
    },
}
KINDS = ("example", "words", "both")


@exercise(
    "05.1",
    hints=(
        "A description and an example are vectors of the same encoder, so they can be averaged.",
        "`tl.methods.describe_by` wants class → vectors (K, D): two rows for each class, "
        "`torch.stack([example[name], words[name]])`.",
        "Then `tl.methods.zero_shot(described).accuracy(cached.test)`, once for each of the three.",
    ),
)
def a_sentence_as_an_example(worth: Any) -> str:
    if not isinstance(worth, Mapping) or set(worth) != set(KINDS):
        wrong('Give three shares by name: {"example": …, "words": …, "both": …}.')
    shares = {kind: float(worth[kind]) for kind in KINDS}
    if not all(0 <= share <= 1 for share in shares.values()):
        wrong("Shares of right answers go from 0 to 1: take `.accuracy(cached.test)`.")
    if shares["words"] < 0.3:
        wrong(
            "The descriptions alone should do far better than that. Is each class's vector that of its "
            "own description, in the order of `SAID`?"
        )
    if shares["example"] >= shares["words"]:
        wrong(
            "One example came out as good as the descriptions. Is `example` really one message of each "
            "intent, and not the mean of many?"
        )
    if shares["both"] <= shares["example"]:
        wrong(
            "Both together came out no better than the example alone. Did the description get into the "
            "mean? Each class needs two rows, (2, D), before `describe_by`."
        )
    return (
        f"One message of each ⟨{shares['example']:.0%}⟩, the descriptions ⟨{shares['words']:.0%}⟩, both "
        f"⟨{shares['both']:.0%}⟩. A good description beats one example, and that one beside it hardly "
        "moves it. With ten of each the examples win: look at the bars above."
    )


@exercise(
    "05.2",
    hints=(
        "Begin with the class that has the shortest bar, and look at whom it is taken for.",
        "Write a second line instead of a longer one: lines are averaged, and each stays clear.",
        "Say what the writer wants and the others do not: for a question of how, "
        "`Can I do this online?` says more than `How?`.",
    ),
)
def better_words(board: Any) -> str:
    missing = [n for n in ("accuracy", "first", "edits", "classes") if not hasattr(board, n)]
    if missing:
        wrong('Give the board itself: tl.check("05.2", board).')
    if not board.edits:
        wrong("Nothing is edited yet. Type into a field above, or call `board.edit(name, text)`.")
    now, first = f"⟨{board.accuracy:.1%}⟩", f"⟨{board.first:.1%}⟩"
    if board.accuracy <= board.first:
        last = board.edits[-1]
        wrong(
            f"It began with {first}, and now {now} are right. Your last edit was of `{last.name}`: look "
            "at the confusions. Did that class gain, or does it now draw messages away from others?"
        )
    return (
        f"From {first} to {now}, and no weight was trained, no example labelled. These messages were "
        "looked at while writing, so expect a little less of new ones."
    )
