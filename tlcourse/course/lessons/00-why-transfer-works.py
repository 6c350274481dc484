# ---
# jupyter:
#   tlcourse:
#     cards:
#       pocket: [surfaces, digits, pocket-resnet, pocket-glyphs]
#       public: [caltech24, mnist, mobilenetv2]
# ---
# %% [markdown]
# # Lesson 00 · Why transfer works
#
# **What is a pre-trained network worth, in labels?**
#
# Somebody trained a network on a great many pictures that are not yours. You have few pictures, and labelling more
# of them costs an afternoon each time. *Transfer learning* is the hope that the first fact makes up for the
# second. In this lesson you put a price on it: how many labels is somebody else's training worth? Then you open the
# network, see what it brought along, and find the place where it stops being useful for you. About 25 minutes.

# %%
from dataclasses import replace

import tlcourse as tl

tier = tl.tier("00")
tier

# %% [markdown]
# ## Predict first
#
# Ten labelled pictures of each class. One network starts from random weights. One was trained before, on other
# pictures of other things, and stays as it is: only a new last layer learns. One was trained before and goes on
# learning, all of it. **What share of new pictures does each name correctly?**

# %%
guess = tl.predict(
    "00.1",
    "Ten labels a class: what share of new pictures does each name correctly?",
    {"from scratch": 0.5, "frozen": 0.5, "fine-tuned": 0.5},
)
guess

# %% [markdown]
# ## The data
#
# In the public tier these are photographs of 24 kinds of things. In the pocket tier, where nothing is fetched, they are
# surfaces on a production line as a renderer draws them: good ones, and six kinds of damage.

# %%
DATA = tier.pick(pocket="surfaces", public="caltech24")
SIZE = tier.pick(pocket=48, public=64)  # pixels a side: small pictures keep the bill small
data = tl.load_data(DATA, size=SIZE)
data

# %%
tl.plots.photos(data.train, data.classes, title=data.title)

# %% [markdown]
# ## One curve for each way
#
# The same test pictures for all; a *seed* draws which training pictures carry labels. Three seeds each, because with
# few labels much depends on the draw. In the public tier the network from scratch has another architecture.

# %%
MODEL = tier.pick(pocket="pocket-resnet", public="mobilenetv2")
SCRATCH = tier.pick(pocket="pocket-resnet", public="timm/resnet10t")
SEEDS = range(3)

def train(model, labels, seed, **how):
    few = tl.load_data(DATA, size=SIZE, labels_per_class=labels, seed=seed)
    network = tl.load_model(model, classes=data.classes, pretrained=how.pop("pretrained", True), seed=seed)
    return tl.Session(network, few, seed=seed, eval_every=1000, **how).run().accuracy

# %%
scratch = {
    labels: tl.interval([train(SCRATCH, labels, s, pretrained=False, steps=80, lr=3e-3) for s in SEEDS])
    for labels in tier.pick(pocket=[10, 40], public=[10, 20])
}

# %% [markdown]
# The last layer is the network's *head*, all the rest its *backbone*. A frozen backbone says the same about a picture
# every time. So we ask it once about every picture, keep the answers, and train as many heads on them as we like.

# %%
cached = tl.features(tl.load_model(MODEL, classes=data.classes), data)

def frozen_accuracy(labels, seed):
    few = tl.methods.reuse(cached, tl.load_data(DATA, size=SIZE, labels_per_class=labels, seed=seed))
    return tl.probe(few).accuracy(few.test)

MANY = tier.pick(pocket=[1, 2, 5, 10, 20, 40], public=[1, 2, 5, 10, 20])
frozen = {labels: tl.interval([frozen_accuracy(labels, s) for s in SEEDS]) for labels in MANY}

# %%
tuned = {
    labels: tl.interval([train(MODEL, labels, s, steps=20, lr=1e-3) for s in SEEDS])
    for labels in tier.pick(pocket=[10, 40], public=[10, 20])
}

# %%
curves = {"frozen": frozen, "fine-tuned": tuned, "from scratch": scratch}
tl.plots.label_efficiency(curves, chance=1 / len(data.classes), title="What labels buy, with and without a past")

# %%
guess.outcome({"from scratch": scratch[10], "frozen": frozen[10], "fine-tuned": tuned[10]})

# %% [markdown]
# Read the figure sideways as well: draw a level line from a point of the lowest curve to the highest one. The distance
# is what the past is worth, in labels. If even one label beats that point, it is worth more than the figure can show.
# (Would more steps save the network from scratch? Try it: `train(SCRATCH, 40, 0, pretrained=False, steps=400,
# lr=3e-3)`.)
#
# Does the fine-tuned network beat the frozen one? With few labels and few steps it need not: its new head begins at random, and drags
# good features about. What to do against that is the question of lesson 02.

# %%
points = 15  # fixed beforehand
tl.claim(
    "00.1",
    f"Ten labels a class on a frozen backbone beat the same labels from scratch by {points} points.",
    tl.measure.paired(frozen[10], scratch[10]),
    at_least=points / 100,
)

# %%
few, many = tier.pick(pocket=(10, 40), public=(5, 20))
tl.claim(
    "00.2",
    f"{few} labels a class with a past beat {many}, four times as many, without one.",
    tl.measure.paired(frozen[few], scratch[many]),
    at_least=0.0,
)

# %% [markdown]
# ## What did it bring along?
#
# Nobody told it about your classes. Its first layer looks at the pixels through these small filters, for edges and
# contrasts of colour: they serve whatever a picture shows. A filter that is grey all over has died, and sees nothing.

# %%
backbone = tl.load_model(MODEL, classes=data.classes)
tl.plots.filters(backbone, title="The first filters, after training on other pictures")

# %%
tl.plots.activations(backbone, data.test.x[0], title="One picture, deeper and deeper")

# %% [markdown]
# Early maps still look like the picture. Late ones are small and answer to few things. What comes out at the end is a
# list of numbers, the *features*. Two pictures are alike to the network if these point the same way. Take some test pictures and
# look up which training pictures come nearest:

# %%
queries = range(7, len(cached.test), len(cached.test) // 5)
tl.plots.neighbours(cached, data, queries, title="Nearest neighbours in feature space")

# %% [markdown]
# ## How deep does it go?
#
# Not everything it learned is for you. Put a *linear probe*, one layer of weights, on what comes out of each of its
# stages, and see how much a task of yours can make of it (Alain & Bengio 2016; Yosinski et al. 2014). Once for a
# **near** task, much like what the network was trained for, and once for a **far** one.

# %%
STUDENT = tier.pick(pocket="pocket-glyphs", public="mobilenetv2")
NEAR = tier.pick(pocket="digits", public="caltech24")
FAR = tier.pick(pocket="surfaces", public="mnist")
near = tl.load_data(NEAR, size=tier.pick(pocket=32, public=96), labels_per_class=tier.pick(pocket=40, public=20))
far = tl.load_data(FAR, size=tier.pick(pocket=48, public=96), labels_per_class=40)
tl.plots.photos(far.train, far.classes, title=f"The far task: {far.title}")

# %%
def probes_by_depth(data, labels=10):
    by_depth = tl.methods.features_by_depth(tl.load_model(STUDENT, classes=data.classes), data)
    curve = {}
    for group, found in by_depth.items():
        draws = [replace(found, train=tl.methods.keep_examples(found, labels, seed=s)) for s in range(5)]
        curve[group] = tl.interval([tl.probe(draw).accuracy(draw.test) for draw in draws])
    return curve

depth = {f"near: {NEAR}": probes_by_depth(near), f"far: {FAR}": probes_by_depth(far)}
tl.plots.lines(depth, x="stage, from input to output", title=f"{STUDENT}: what a probe makes of each stage")

# %% [markdown]
# For the near task the last stage still adds something. For the far one it takes something away: it has learned to
# ignore what did not matter *there*, and it may matter *here*.

# %%
near_by, far_by = depth.values()
*_, before, last = near_by  # fixed beforehand: the last stage, and the one before it
tl.claim(
    "00.3",
    "On the far task the stage before the last one is worth more than the last.",
    tl.measure.paired(far_by[before], far_by[last]),
    at_least=0.0,
)

# %%
tl.claim(
    "00.4",
    "On the near task it is the other way round: the last stage is worth more.",
    tl.measure.paired(near_by[last], near_by[before]),
    at_least=0.0,
)

# %% [markdown]
# ## Your hand on the run
#
# Start with everything frozen but the head, and decide **how deep** to let the training reach. In the cockpit:
#
# - Let it run until the accuracy stops rising. That is what the past alone is worth.
# - **Unfreeze** the last stage at a tenth of the head's rate. A *twin*, an untouched copy of the run, goes on without you: the distance
#   between the two lines is what your intervention did.
# - Unfreeze one more. **Rewind** if you regret it.
#
# (Where the lesson runs without a browser, a recorded hand steers a shorter run.)

# %%
run = tl.Session(
    tl.load_model(MODEL, classes=data.classes),
    tl.load_data(DATA, size=SIZE, labels_per_class=tier.pick(pocket=40, public=20)),
    steps=tier.live(360, headless=tier.pick(pocket=120, public=60)),
    lr=3e-3,
    freeze="backbone",
    eval_every=tier.pick(pocket=20, public=15),
    pace=6,  # steps a second: a small network is faster than a hand
)
tl.hand(run, "00")
tl.Cockpit(run)

# %%
await run.wait()
run.record.save("records/00.jsonl")  # what you did, to be replayed: tlcourse replay records/00.jsonl
tl.plots.curves(run, title="The run, and every hand on it")

# %% [markdown]
# ## Exercises
#
# **1. The price in labels.** From the curves above: how many labels a class does the network from scratch need to do as well as the
# frozen one does with two? Answer with the smallest number that was measured, or `None` if even the most was not enough.

# %%
labels_needed = ...  # your turn
# SOLUTION
reached = [labels for labels, found in scratch.items() if found.mean >= frozen[2].mean]
labels_needed = min(reached, default=None)
# END
tl.check("00.1", {"answer": labels_needed, "frozen": frozen, "scratch": scratch})

# %% [markdown]
# **2. Whose past?** Measure the frozen accuracy on the near task, ten labels a class, of `STUDENT` and of the same network
# with random weights (`pretrained=False`): what does an architecture know before it has seen anything? Give a dict
# `{"pre-trained": …, "random": …}` of accuracies.

# %%
whose = ...  # your turn
# SOLUTION
whose = {}
for name, pretrained in [("pre-trained", True), ("random", False)]:
    network = tl.load_model(STUDENT, classes=near.classes, pretrained=pretrained)
    found = tl.features(network, near)
    draw = replace(found, train=tl.methods.keep_examples(found, 10))
    whose[name] = tl.probe(draw).accuracy(draw.test)
# END
tl.check("00.2", whose)

# %% [markdown]
# ## What to take home
#
# - A pre-trained backbone is worth labels: with it, a quarter of them did better than all of them without.
# - It brings along a way of seeing. How much of it serves you depends on how near its past is to your task.
# - Before you fine-tune, probe: the stage where the curve turns is where the past stops serving you.
