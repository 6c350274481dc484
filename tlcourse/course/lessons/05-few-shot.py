# ---
# jupyter:
#   tlcourse:
#     cards:
#       pocket: [glyphs, pocket-glyphs, tickets, minilm]
#       public: [omniglot, pocket-glyphs, banking77, minilm]
# ---
# %% [markdown]
# # Lesson 05 · Few-shot and zero-shot
#
# **Five examples a class: enough? None?**
#
# A shelf gets a new product, an inbox gets a new kind of letter. Nobody has labelled anything yet. What can you do
# with five examples of each class, with one, with none at all?
#
# First pictures: a network learns to compare characters, and then reads alphabets that it has never met. Then texts: how
# many labels does a sentence of description replace? You will write those sentences, and watch what they do.
# About 30 minutes.

# %%
from dataclasses import replace

import torch

import tlcourse as tl
from tlcourse.course.exercises.lesson05 import WORDS
from tlcourse.data import domains
from tlcourse.methods import by_distance, embed, episode, episode_accuracies, features, join, only

tier = tl.tier("05")
tier

# %% [markdown]
# ## Predict first
#
# **Which share of the answers will be right?** One: five characters of an unknown alphabet, one picture of each to learn from.
# Guessing gets 20 %. Two: ten kinds of messages to a customer service, five examples of each. Guessing gets 10 %. Three: the
# same ten kinds, no example, only a sentence or two that says what each is about.

# %%
guess = tl.predict(
    "05.1", "Which share of the answers will be right?",
    {"one picture of each of 5": 0.4, "five texts of each of 10": 0.6, "descriptions of 10": 0.3},
)
guess

# %% [markdown]
# ## An exam of its own
#
# One draw of five examples says little about a method: another draw gives another result. So few-shot methods sit many small
# exams, called *episodes* (Vinyals et al. 2016). In a **5-way 1-shot** episode five classes are drawn, one example
# of each is given (the *support*), and the rest are questions (the *queries*).
#
# The alphabets are divided: the network learns from the first lot, and is judged by the others.

# %%
DATA = tier.pick(pocket="glyphs", public="omniglot")
UNSEEN = tier.pick(
    pocket=["lao", "ogham", "old_italic"], public=["sanskrit", "japanese_katakana", "early_aramaic"]
)
SEEN = [name for name in domains(DATA) if name not in ("all", *UNSEEN)]
seen, unseen = (join([tl.load_data(DATA, domain=name) for name in names]) for names in (SEEN, UNSEEN))
pool = replace(unseen, test=unseen.train)  # what episodes are drawn from
task = episode(pool, ways=5, shots=1, queries=3)
print(f"{len(seen.classes)} characters to learn from, {len(unseen.classes)} others for exams")
tl.plots.photos(task.test, task.classes, rows=3, per_row=5, title="The questions of one exam, a column for each of its five characters")

# %% [markdown]
# ## Learning to compare
#
# Nobody can learn a character from one picture, from nothing. But one can learn *what makes two pictures the same
# character*, on other characters. A **prototypical network** does just that (Snell et al. 2017): in every training step
# it sits an exam. The features of a class's examples are averaged to its **prototype**, each query goes to the nearest
# one, and what goes wrong moves the backbone. In the next step other characters are asked, so it is better to compare
# than to learn by heart.

# %%
STEPS = tier.pick(pocket=250, public=400)
small = episode(seen, ways=20, shots=2, queries=3)  # for the run's own head
net = tl.load_model("pocket-glyphs", classes=small.classes, pretrained=False)
exams = tl.methods.prototypical(seen.train, ways=20, shots=2, queries=2)
how = dict(steps=STEPS, lr=4e-3, eval_every=STEPS, terms={"exams": exams})
tl.Session(tl.methods.head_apart(net), small, **how).run()


def exam(data, shots=1, method=by_distance, **how):
    how = {"episodes": 60, "ways": 5, "queries": 4, "shots": shots} | how
    return tl.interval(episode_accuracies(data, method, **how), of="exams")


def seen_by(model, data):
    return replace(data, test=features(model, data.test))

# %% [markdown]
# Sixty exams of characters that it has never seen, and sixty of its own alphabets (other pictures). For comparison:
# prototypes of bare pixels, and the same network before it learnt anything. Below, one exam as it sees it: four
# questions to the left, and beside each the five examples, the most similar one first.

# %%
def pixels(split):
    grey = torch.nn.functional.avg_pool2d(split.x.float().mean(1, keepdim=True), 4).flatten(1)
    return replace(split, x=(grey - grey.median(1, keepdim=True).values).abs())


learnt = seen_by(net, pool)
shown = {
    "bare pixels": exam(replace(pool, test=pixels(pool.test)), method="prototypes"),
    "untrained network": exam(seen_by(tl.load_model("pocket-glyphs", classes=2, pretrained=False), pool)),
    "prototypical network": exam(learnt),
    "the same, alphabets it knows": exam(seen_by(net, seen)),
}
tl.plots.bars(shown, title="Five characters, one picture of each (guessing: 20 %)")

# %%
tl.claim(
    "05.1",
    "Trained on some alphabets, a prototypical network beats pixels by 5 points on alphabets it has never seen.",
    tl.measure.paired(shown["prototypical network"], shown["bare pixels"]),
    at_least=0.05,
)

# %%
tl.plots.neighbours(features(net, task), task, [0, 4, 8, 12], k=5, title="One exam, as the trained network sees it")

# %% [markdown]
# ## Your hand on the run
#
# That network began with random weights. Another one, of the same shape, was trained before, to name *printed* characters of other
# scripts. Does it pay to begin there? The next cell starts the same training from it, and returns at once. The line *unseen* is
# an exam of forty characters that it never learns from, one picture of each (guessing: 2.5 %). Try in the cockpit:
#
# - **Compare.** Where does *unseen* begin, where does it end? `unseen_exam(net)` says where the network from scratch ended.
# - **Set the weight of *exams* to 0.** Nothing teaches the backbone any more, so *unseen* stands still. Then set it back to 1.
# - **Freeze** all stages but the last. How much of the gain is left?
# - **Turn the rate** of the backbone up by ten. When does it forget what it brought along? **Rewind** to before.
#
# The run's own head takes a small exam along; the backbone learns nothing from that. (Without a browser, a recorded
# hand steers a shorter run.)

# %%
forty = episode(pool, ways=40, shots=1, queries=4)


def unseen_exam(model):
    found = features(model, forty)
    return (by_distance(found) == found.test.y).float().mean().item()


printed = tl.load_model("pocket-glyphs", classes=small.classes)
run = tl.Session(
    tl.methods.head_apart(printed), small, steps=tier.live(480, headless=tier.pick(pocket=80, public=120)), lr=1e-3,
    eval_every=10, terms={"exams": exams}, meters={"unseen": unseen_exam}, pace=8,
)
tl.hand(run, "05")
tl.Cockpit(run)

# %%
await run.wait()
run.record.save("records/05.jsonl")
tl.plots.curves(run, title="From printed characters to other alphabets")

# %% [markdown]
# ## Five examples: compare, or fine-tune?
#
# With five pictures of each character there is something to train on. Four ways to use them, on the network that learnt from scratch:
# the **nearest neighbour**, the **prototypes**, a **linear probe** on frozen features, and **fine-tuning** all of it for each exam.

# %%
def fine_tuned(number):
    task = episode(pool, ways=5, shots=5, queries=4, number=number)
    copy = tl.load_model("pocket-glyphs", classes=task.classes, pretrained=False)
    copy.body.load_state_dict(net.body.state_dict())
    rates = {"backbone": 5e-4, "head": 1e-2}
    return tl.Session(copy, replace(task, valid=task.train), steps=20, lr=rates, eval_every=20).run().accuracy


ways_to_use = {
    kind: exam(learnt, shots=5, method=kind, episodes=8) for kind in ("knn", "prototypes", "logistic")
}
ways_to_use["fine-tuning"] = tl.interval([fine_tuned(number) for number in range(8)])
tl.plots.bars(ways_to_use, title="Five characters, five pictures of each (guessing: 20 %)")

# %% [markdown]
# A mean takes no time to train, and has nothing to set wrong. Fine-tuning pays for twenty steps through the network, in
# every exam anew. Before you call it better, look how far the intervals of eight exams overlap.
#
# ## Now texts
#
# Ten kinds of messages (*intents*) that reach a customer service. Nobody trains anything by exams this time: a sentence encoder that was trained on
# a great many other sentences turns each message into 384 numbers. In the pocket tier the messages are our own; in the public tier
# they are ten of the 77 intents of a bank (Casanueva et al. 2020), about cards and payments, which are easy to confuse.
#
# **How many examples?** Exams of all ten intents, with one to twenty examples of each. At one, a prototype *is* the example: its line and
# that of the nearest neighbour must begin at the same point, exactly.

# %%
TEN = [
    "card arrival", "card delivery estimate", "lost or stolen card", "card not working", "declined card payment",
    "pending card payment", "card payment not recognised", "reverted card payment", "request refund",
    "cash withdrawal not recognised",
]
texts = tier.pick(pocket=lambda: tl.load_data("tickets"), public=lambda: only(tl.load_data("banking77"), TEN))()
minilm = tl.load_model("minilm", classes=texts.classes)
cached = features(minilm, texts)
tl.plots.texts(texts.train, texts.classes, 1, title=texts.title)

# %%
SHOTS = [1, 2, 5, 10, 20]
inbox = replace(cached, test=cached.train)
curves = {
    kind: {n: exam(inbox, n, kind, episodes=12, ways=10, queries=15) for n in SHOTS}
    for kind in ("knn", "prototypes", "logistic")
}
tl.plots.label_efficiency(curves, chance=0.1, title="Ten intents, by examples of each")

# %%
tl.claim(
    "05.2",
    "With one example a class, prototypes and the nearest neighbour give the same answers.",
    curves["prototypes"][1].values == curves["knn"][1].values,
)

# %% [markdown]
# ## What we expected, and what came out
#
# We had written down what is often said: *with one example prototypes beat a linear probe; with twenty they lose.* The
# second half is true. The first is not, at least not of this probe, which is trained to its optimum with a penalty on
# large weights. It also sees what all ten examples have in common, and looks past it, where a prototype keeps it. A
# linear layer that begins at random and is stopped after a few steps is another classifier. So whoever says "linear
# probe" has to say how it was trained.

# %%
lead = {shots: tl.measure.paired(curves["logistic"][shots], curves["prototypes"][shots]) for shots in SHOTS}
sentence = "With twenty examples a class, a linear probe is at least one point ahead of prototypes."
display(tl.claim("05.3", sentence, lead[20], at_least=0.01))
sentence = "With one, trained to its optimum, it is no more than 2 points behind them."
tl.claim("05.4", sentence, lead[1], at_least=-0.02)

# %% [markdown]
# ## More out of five: pairs
#
# Fifty labelled messages are few. But they make 1,225 *pairs*, and of each pair we know whether it belongs together. Fine-tune the
# encoder until same-class pairs lie close and others apart, and only then train the linear probe: **contrastive** few-shot learning
# (SetFit, Tunstall et al. 2022; with the loss of Khosla et al. 2020). Each exam gets an encoder of its own; its lower half stays frozen.

# %%
PAIRED = tier.pick(pocket=3, public=4)  # exams
HOW = dict(steps=15, lr=2e-4, batch_size=2, eval_every=15, freeze=["embeddings", "layer0", "layer1", "layer2"])


def paired_first(number):
    few = episode(replace(texts, test=texts.train), ways=10, shots=5, queries=10, number=number)
    encoder = tl.load_model("minilm", classes=few.classes)
    pairs = {"pairs": tl.methods.contrastive(few.train, "supervised", pairs=8)}
    tl.Session(tl.methods.head_apart(encoder), replace(few, valid=few.train, test=few.train), terms=pairs, **HOW).run()
    found = replace(few, train=features(encoder, few.train))
    return tl.probe(found).accuracy(features(encoder, few.test))


by_pairs = tl.interval([paired_first(number) for number in range(PAIRED)])

# %%
frozen = exam(inbox, 5, "logistic", episodes=PAIRED, ways=10, queries=10)
rows = [("frozen features", frozen), ("by pairs first", by_pairs)]
rows += [("difference, exam by exam", tl.measure.paired(by_pairs, frozen))]
tl.measure.table(rows, columns={"a linear probe on": "text", "right": tl.measure.measured("percent")})

# %% [markdown]
# Here, too, we had written down what we expected: pairs win. On our own tickets they did. On the bank's questions,
# where the frozen probe is far better to begin with, they gained nothing that so few exams could tell from chance. So
# that is no claim: it is a method to try, and to measure on *your* texts.
#
# ## And no example at all?
#
# The encoder puts sentences of similar meaning close together. So describe each class in a sentence, and let a message
# belong to the description it is closest to. That is **zero-shot** classification; the descriptions are the whole
# classifier.

# %%
SAID = WORDS[texts.name]  # ours, written before any of them was tried
tl.measure.table(SAID.items(), columns={"intent": "text", "description": "text"})

# %%
by_words = tl.methods.zero_shot(tl.methods.describe(minilm, SAID))
right = (by_words.predict(cached.test) == cached.test.y).float()
tl.claim(
    "05.5",
    "Descriptions alone, without one example, are right five times as often as guessing.",
    tl.interval(right / 0.1, unit="ratio", of="messages"),
    at_least=5,
)

# %% [markdown]
# ## Your words
#
# Now you write them. Each field is a class; a line is a description, several lines are averaged. A pause in typing is enough: only what you
# changed is embedded, and everything below is new. These are the *validation* messages: who edits until the test set is happy has no test set any more.
#
# - Find the class with the shortest bar. What is it taken for? Write what tells the two apart.
# - Write like a customer, then like a dictionary. Which is understood better? Try the bare name.
# - Move the **temperature**: the bars get surer or less sure. Does any answer change?

# %%
board = tl.Descriptions(minilm, cached, SAID)
board

# %% [markdown]
# What a hand types is a plain call, too. Here are three edits of ours, each of which seemed a good idea. An edit is
# judged by few messages, so its number wobbles; and we chose by these very messages. What is left of all of them on the
# test set? (The examples' bars are of the exams above, which ask other messages.)

# %%
EDITS = tier.pick(
    pocket=[("broken", "It stopped working, it leaks, it is cracked."),
            ("howto", "Can I do this online?\nHow does it work?\nWhat do I have to do to get it?"),
            ("complaint", "complaint")],
    public=[("cash withdrawal not recognised", "There is a cash withdrawal in my app that I did not make."),
            ("card not working", "The chip cannot be read at any machine.\nMy card is broken."),
            ("request refund", "refund")],
)
for name, text in EDITS:
    board.edit(name, text)
board.history()

# %%
overview = {
    "descriptions, as they began": by_words.accuracy(cached.test),
    "descriptions, as they are now": board.measure(cached.test),
}
overview = {name: tl.interval([share]) for name, share in overview.items()}
overview |= {f"{n} of each": curves["logistic"][n] for n in SHOTS[:4]} | {"5 of each, by pairs": by_pairs}
tl.plots.bars(overview, title="Ten intents: what words are worth in examples")

# %%
guess.outcome({
    "one picture of each of 5": shown["prototypical network"],
    "five texts of each of 10": curves["logistic"][5],
    "descriptions of 10": by_words.accuracy(cached.test),
})

# %% [markdown]
# **Further on the same road.** CLIP (Radford et al. 2021) was trained on pictures with their captions, so that a
# sentence describes pictures, too: "a photo of a cat" is a classifier. Large language models take the description *and*
# some examples in one prompt, and no weight moves: *in-context learning* (Brown et al. 2020). Neither runs here.
#
# ## Exercises
#
# `tl.hint("05.1")` helps, one step at each call.
#
# **1. A sentence as one more example.** You have one labelled message of each intent, *and* the descriptions. The mean of both
# directions is a classifier, too (`tl.methods.describe_by` averages what you give it). What are the three worth on the test set?

# %%
one = episode(replace(cached, test=cached.train), ways=10, shots=1, queries=15)
example = {name: one.train.x[one.classes.index(name)] for name in SAID}
words = dict(zip(SAID, embed(minilm, list(SAID.values())), strict=True))
worth = ...  # your turn: {"example": …, "words": …, "both": …}, shares of cached.test
# SOLUTION
both = {name: torch.stack([example[name], words[name]]) for name in SAID}
worth = {
    kind: tl.methods.zero_shot(tl.methods.describe_by(vectors)).accuracy(cached.test)
    for kind, vectors in {"example": example, "words": words, "both": both}.items()
}
# END
tl.check("05.1", worth)

# %% [markdown]
# **2. Better words.** Edit the descriptions, above or by `board.edit(name, text)`, until more validation messages are right than
# when it began. Keep the test set out of it.

# %%
# SOLUTION
board.reset()
board.edit(*EDITS[0])
# END
tl.check("05.2", board)

# %% [markdown]
# ## What to take home
#
# - None: describe the classes in the words of those who write to you. That beats guessing by far, and takes no label.
# - A few: a linear probe on frozen features, at once. Training the encoder by pairs may add to it, or may not: measure it.
# - One draw proves nothing. Judge few-shot methods by many small exams, and never edit by the test set.
