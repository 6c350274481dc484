# ---
# jupyter:
#   tlcourse:
#     cards:
#       pocket: [surfaces, pocket-resnet]
#       public: [caltech24, mobilenetv2]
# ---
# %% [markdown]
# # Lesson 01 · Feature extraction
#
# **How far do I get without touching the backbone?**
#
# You have a handful of labelled pictures. Somebody else has trained a network on a great many others. The
# cheapest thing you can do with it is to leave it exactly as it is, read what it says about each of your
# pictures, and train one small layer on top. That is *feature extraction*, and it is the line that every
# cleverer method has to beat.
#
# You will see what the frozen network sees, train a head on it with your own hands on the controls, and fall
# into the one trap that makes a "frozen" network move. About 25 minutes.

# %%
from torch import nn

import tlcourse as tl

tier = tl.tier("01")
tier

# %% [markdown]
# ## Predict first
#
# A few labelled pictures of each class are all you get. One network starts from random weights and learns from
# them alone. Another one was trained before, on other pictures, and stays frozen; only a new last layer learns.
# **What accuracy do you expect of each on pictures they have not seen?** Move the sliders, and commit before you go
# on: the lesson will hold the outcome against it. A wrong guess teaches more than none.

# %%
guess = tl.predict(
    "01.1",
    "What accuracy do you expect of each on pictures it has not seen?",
    {"from scratch": 0.50, "frozen backbone": 0.60},
)
guess

# %% [markdown]
# ## The data
#
# In the public tier these are photographs. In the pocket tier, where nothing is fetched, they are drawn by a
# renderer: surfaces on a production line, some of them damaged, as a camera would see them. The test pictures are the
# same for everybody; the seed only draws which pictures carry labels.

# %%
DATA = tier.pick(pocket="surfaces", public="caltech24")
LABELS = 10  # labelled pictures of each class
data = tl.load_data(DATA, labels_per_class=LABELS)
data

# %%
tl.plots.photos(data.train, data.classes, title=data.title)

# %% [markdown]
# ## The model: a backbone, and a head
#
# A classifier has two parts. The **backbone** turns a picture into a list of numbers, its *features*. The
# **head** is one linear layer that turns features into a score for each class. Only the head knows the classes,
# so only the head has to be new.

# %%
MODEL = tier.pick(pocket="pocket-resnet", public="mobilenetv2")
model = tl.load_model(MODEL, classes=data.classes)
groups = [(name, sum(p.numel() for p in group.parameters())) for name, group in model.groups.items()]
tl.measure.table(groups, columns={"group": "text", "parameters": "count"}, title=MODEL)

# %% [markdown]
# A frozen backbone says the same about a picture every time it is asked. So we ask once, and keep the answers:
# every picture becomes one row of numbers.

# %%
everything = tl.load_data(DATA)
cached = tl.features(model, everything)
cached

# %% [markdown]
# ## What does the backbone see?
#
# Nobody has told it about these classes. Take a test picture and look for the labelled pictures whose features
# point in the most similar direction. If the neighbours make sense, a simple head will do.

# %%
queries = range(7, len(cached.test), len(cached.test) // 5)  # five of the test pictures
tl.plots.neighbours(cached, everything, queries, title="Nearest neighbours in feature space")

# %%
tl.plots.feature_map(cached.test, cached.classes, title="All test pictures, by their features alone")

# %% [markdown]
# ## Four heads
#
# *kNN* lets the nearest labelled pictures vote. *Prototypes* compare with the mean of each class (Snell et al.
# 2017). *Logistic* is the linear layer, trained to its optimum. *MLP* has a hidden layer in between. Each is
# trained on five draws of labels, so that we see how much is luck.

# %%
SEEDS = range(5)
few = [
    tl.methods.reuse(cached, tl.load_data(DATA, labels_per_class=LABELS, seed=seed)) for seed in SEEDS
]

heads = {}
for kind in ["knn", "prototypes", "logistic", "mlp"]:
    scores = [tl.probe(d, kind=kind, k=min(5, LABELS)).accuracy(d.test) for d in few]
    heads[kind] = tl.interval(scores)
tl.plots.bars(heads, title=f"Four heads on a frozen backbone, {LABELS} labels a class")

# %% [markdown]
# ## And without the backbone's past?
#
# The same labels for a network that starts from random weights and trains all of its parameters; in the public tier one
# of another architecture, on smaller pictures.

# %%
SCRATCH = tier.pick(pocket="pocket-resnet", public="timm/resnet10t")
SIZE = tier.pick(pocket=64, public=48)  # small pictures keep the bill small
draws = 3  # a run from scratch takes its time
scratch_runs = []
for seed in SEEDS[:draws]:
    small = tl.load_data(DATA, labels_per_class=LABELS, size=SIZE, seed=seed)
    network = tl.load_model(SCRATCH, classes=small.classes, pretrained=False, seed=seed)
    run = tl.Session(network, small, steps=100, lr=3e-3, eval_every=100, seed=seed)
    scratch_runs.append(run.run().accuracy)
scratch = tl.interval(scratch_runs)
frozen = tl.interval(heads["logistic"].values[:draws])  # on the same draws of labels
guess.outcome({"from scratch": scratch, "frozen backbone": frozen})

# %%
points = 15  # fixed beforehand
tl.claim(
    "01.1",
    f"With {LABELS} labels a class, a frozen backbone beats training from scratch by {points} points.",
    tl.measure.paired(frozen, scratch),
    at_least=points / 100,
)

# %%
best = max(heads.values(), key=lambda head: head.mean)
worst = min(heads.values(), key=lambda head: head.mean)
tl.claim(
    "01.2",
    "The weakest of the four heads is nearer to the best than training from scratch is to the weakest.",
    (worst.mean - scratch.mean) - (best.mean - worst.mean),
    at_least=0.0,
    unit="points",
)

# %% [markdown]
# ## Where it is wrong
#
# An accuracy hides what a look shows. These are its mistakes, the surest first.

# %%
head = tl.probe(few[0])
sureness = head.predict_proba(few[0].test).max(1).values
tl.plots.mistakes(data.test, head.predict(few[0].test), data.classes, sureness=sureness)

# %% [markdown]
# ## Your hand on the run
#
# Now the head is trained step by step, as a part of the whole network, and you steer. The next cell starts the
# training and returns at once. While it runs, try in the cockpit:
#
# - **Turn the head's learning rate** up by ten, then down again. When does the loss stop falling, when does it jump?
# - **Augment**: the training pictures are shifted, turned and relit. Does the training loss rise? Does the accuracy?
# - **Unfreeze a stage** at a small rate, and look at how far its weights move. (Lesson 02 is all about this.)
# - **Pause**, think, **resume**.
#
# Everything you do stands on the time axis. (Without a browser, a recorded hand steers a shorter run.)

# %%
run = tl.Session(
    tl.load_model(MODEL, classes=data.classes),
    data,
    steps=tier.live(480, headless=tier.pick(pocket=150, public=60)),
    lr=1e-3,
    freeze="backbone",
    eval_every=tier.pick(pocket=15, public=10),
    pace=8,  # steps a second: a small network is faster than a hand
)
tl.hand(run, "01")
tl.Cockpit(run)

# %%
await run.wait()
run.record.save("records/01.jsonl")  # what you did, to be replayed: tlcourse replay records/01.jsonl
tl.plots.curves(run, title="The run, and every hand on it")

# %% [markdown]
# Did an intervention *bite*? The session does not take its own word for it. Beside each one, the cockpit says how
# far the weights of every group really went in the next few steps. A frozen group must not have moved at all.
#
# ## The same at a fraction of the price
#
# As long as the backbone is frozen and nothing is augmented, every step asks it the same questions again. Train the
# same head on the cached features instead, on the same batches: same answer, other bill. (The cached run is so short
# that we time it five times and keep the best: whatever else the machine does would spoil the comparison.)

# %%
STEPS = 24
slow = tl.Session(
    tl.load_model(MODEL, classes=data.classes), data, steps=STEPS, lr=3e-3, freeze="backbone", eval_every=STEPS
).run()

def train_head(steps: int, lr: float):
    head_only = nn.Sequential()
    head_only.add_module("head", tl.load_model(MODEL, classes=data.classes).head)
    return tl.Session(head_only, few[0], steps=steps, lr=lr, eval_every=steps).run()

fast = min((train_head(STEPS, lr=3e-3) for _ in range(5)), key=lambda result: result.seconds)
rows = [("a forward pass every time", slow.seconds, slow.accuracy), ("cached", fast.seconds, fast.accuracy)]
seconds, accuracy = tl.measure.measured("seconds"), tl.measure.measured("percent")
tl.measure.table(rows, columns={"features": "text", f"{STEPS} steps": seconds, "test accuracy": accuracy})

# %%
tl.claim(
    "01.3",
    "Training on cached features is at least ten times as fast as frozen forward passes.",
    slow.seconds / fast.seconds,
    at_least=10,
    unit="ratio",
)

# %%
tl.claim(
    "01.4",
    "On the same batches it reaches the same test accuracy within one point.",
    abs(slow.accuracy - fast.accuracy),
    at_most=0.01,
    unit="points",
)

# %% [markdown]
# What the cache costs: the pictures cannot be augmented any more, because each was looked at only once.
#
# ## The trap: a frozen backbone that moves
#
# *Frozen* means that the optimizer does not touch the weights. But **BatchNorm** layers also keep a running mean
# and variance of what flows through them, and in train mode every batch moves those. No gradient is involved, so
# `requires_grad=False` does not stop it. A session freezes them too, unless you ask it not to.

# %%
def frozen_run(stats: bool):
    model = tl.load_model(MODEL, classes=data.classes)
    before = tl.methods.batchnorm_stats(model), tl.methods.fingerprint(model, "backbone")
    tl.Session(model, data, steps=10, freeze="backbone", freeze_stats=stats, eval_every=10).run()
    moved = tl.methods.drift(before[0], tl.methods.batchnorm_stats(model))
    return moved, tl.methods.fingerprint(model, "backbone") == before[1]


drift_trapped, same_trapped = frozen_run(stats=False)
drift_frozen, same_frozen = frozen_run(stats=True)
rows = [("statistics moving", drift_trapped, same_trapped), ("statistics frozen too", drift_frozen, same_frozen)]
columns = {"10 steps, backbone frozen": "text", "drift": tl.measure.measured("percent"), "bit for bit the same": "text"}
tl.measure.table(rows, columns=columns)

# %%
tl.claim(
    "01.5",
    "Left in train mode, a frozen backbone's BatchNorm statistics drift by more than one percent in 10 steps.",
    drift_trapped,
    at_least=0.01,
    unit="percent",
)

# %%
tl.claim("01.6", "With its statistics frozen too, the backbone stays the same bit for bit.", same_frozen)

# %% [markdown]
# ## Exercises
#
# Put your answer where the `...` is; the last line of the cell says what is right about it and what is not. If you are
# stuck, run `tl.hint("01.1")` in a cell of its own: one hint at each call, and at last the solution.
#
# **1. What is one more label worth?** Measure the logistic head at 1, 2, 5 and 10 labels a class, with several draws
# of labels each, as `{1: interval, 2: …}`. `tl.plots.label_efficiency` draws it.

# %%
curve = ...  # your turn
# SOLUTION
curve = {}
for n in [1, 2, 5, 10]:
    sets = [tl.methods.reuse(cached, tl.load_data(DATA, labels_per_class=n, seed=s)) for s in range(3)]
    curve[n] = tl.interval([tl.probe(d).accuracy(d.test) for d in sets])
display(tl.plots.label_efficiency({"logistic": curve}, chance=1 / len(data.classes)))
# END
tl.check("01.1", curve)

# %% [markdown]
# **2. In a hurry.** On cached features a run takes no time, so you can afford to be wrong. `train_head(12, lr)` has half
# the steps of the one above. Which learning rate makes the most of them, on the validation pictures? (The test
# pictures are for the end, not for choosing.) Answer with `{rate: accuracy, …}`.

# %%
rates = ...  # your turn
# SOLUTION
rates = {lr: train_head(12, lr).valid_accuracy for lr in [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1]}
by_name = {f"lr {lr:g}": accuracy for lr, accuracy in rates.items()}
display(tl.plots.bars(by_name, title="Validation accuracy after 12 steps"))
# END
tl.check("01.2", rates)

# %% [markdown]
# **3. Who moved?** Set the trap by hand, in plain PyTorch: a fresh model with every weight frozen, in train mode, is
# shown one batch of pictures, `data.train.x[:32] / 255`. No loss, no optimizer. How far has each of its BatchNorm
# statistics drifted? Answer with `{name: drift, …}`.

# %%
moved = ...  # your turn
# SOLUTION
fresh = tl.load_model(MODEL, classes=data.classes).requires_grad_(False).train()
before = tl.methods.batchnorm_stats(fresh)
fresh(data.train.x[:32] / 255)
after = tl.methods.batchnorm_stats(fresh)
moved = {name: tl.methods.drift({name: before[name]}, {name: after[name]}) for name in before}
# END
tl.check("01.3", moved)

# %% [markdown]
# ## What to take home
#
# - Before you fine-tune anything, freeze everything and train a linear head: that is the line to beat.
# - Cache the features unless you need augmentation; then try heads, rates and seeds for free.
# - Frozen is not frozen while BatchNorm is in train mode. Check it with a fingerprint, not with hope.
