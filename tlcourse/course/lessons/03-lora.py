# ---
# jupyter:
#   tlcourse:
#     cards:
#       pocket: [tickets, minilm]
#       public: [sentence-polarity, tickets, minilm]
# ---
# %% [markdown]
# # Lesson 03 · LoRA
#
# **Why train 1 % of the weights?**
#
# You fine-tune a network for one task and have to store all of it. A second task: all of it again. Ten customers, ten
# tasks each: a hundred copies that differ by a little. *LoRA* (low-rank adaptation, Hu et al. 2021) leaves the network as
# it is and trains a small addition beside it. The question is what that costs you in accuracy, and what it buys.
#
# You will hold it against full fine-tuning, turn an adapter up and down while the predictions change, melt it into
# the network, and exchange it for another one. About 25 minutes.

# %%
import copy
import time
from dataclasses import replace

import torch
from IPython.display import display
from torch import nn

import tlcourse as tl
from tlcourse.methods import directions, four_bits, held_by

tier = tl.tier("03")
tier

# %% [markdown]
# ## Predict first
#
# Three ways to teach a sentence encoder a new task, on the same texts: train a new last layer alone; go on from there
# with every weight; go on from there with LoRA, less than a hundredth of the weights, for the same number of steps.

# %%
guess = tl.predict(
    "03.1",
    "What accuracy do you expect of each on texts it has not seen?",
    {"head alone": 0.70, "full fine-tuning": 0.85, "LoRA": 0.75},
)
guess

# %% [markdown]
# ## The data
#
# In the pocket tier these are tickets of a hospital's IT desk, to be sorted by what the writer wants; in the public
# tier sentences of film reviews: is the critic for the film, or against it?

# %%
DATA = tier.pick(pocket={"name": "tickets", "domain": "clinic"}, public={"name": "sentence-polarity"})
LABELS = tier.pick(pocket=40, public=200)  # labelled texts of each class
SIZE = tier.pick(pocket=16, public=24)  # tokens of a text; what is longer is cut off

def draw(seed: int):
    return tl.load_data(**DATA, labels_per_class=LABELS, size=SIZE, seed=seed)

data = draw(0)
tl.plots.texts(data.train, data.classes, n=tier.pick(pocket=1, public=5), title=data.title)

# %% [markdown]
# ## The head first
#
# The encoder, MiniLM, was trained to put sentences of similar meaning close together. It stays frozen to begin with, so
# we ask it once about every text and train the head on its answers (lesson 01). Every way below starts from this head.

# %%
base = tl.load_model("minilm", classes=data.classes)
cached = tl.features(base, data)

def start(seed: int):
    """The encoder with a head that has learned from the draw's labels, and the head's accuracy."""
    model = tl.load_model("minilm", classes=data.classes, seed=seed)
    head = nn.Sequential()
    head.add_module("head", model.head)
    few = replace(cached, train=tl.features(base, draw(seed).train))
    return model, tl.Session(head, few, steps=60, lr=1e-2, eval_every=60, seed=seed).run().accuracy

# %% [markdown]
# ## A small addition beside a large matrix
#
# A layer multiplies by a matrix *W*. LoRA freezes *W* and adds a product of two thin ones:
#
# $$W x + \tfrac{\alpha}{r}\, B A\, x$$
#
# *A* has *r* rows, *B* has *r* columns; *r* is the **rank**. *B* begins at zero, so nothing has changed before the first step.
# What has to be stored is *A*, *B* and the head.

# %%
RANK = 4
adapted = tl.methods.lora(base, rank=RANK)  # beside every linear layer; base itself stays as it is
ways = {"head alone": nn.Sequential(base.head), "full fine-tuning": base, "LoRA": adapted}
costs = {name: tl.methods.cost(model) for name, model in ways.items()}
total = costs["full fine-tuning"].total
rows = [(name, c.trainable, f"{c.trainable / total:.3%}", f"{c.checkpoint_bytes / 1e3:,.0f} kB") for name, c in costs.items()]
tl.measure.table(rows, columns={"way": "text", "trained": "count", "share": "text", "to be stored": "text"})

# %%
share = costs["LoRA"].trainable / total
smaller = costs["full fine-tuning"].checkpoint_bytes / costs["LoRA"].checkpoint_bytes
few = "LoRA trains at most one percent of the parameters, the head included."
display(tl.claim("03.1", few, share, at_most=0.01, unit="percent"))
light = "What has to be stored is at least fifty times smaller than a fully fine-tuned model."
tl.claim("03.2", light, smaller, at_least=50, unit="ratio")

# %% [markdown]
# ## From the same head, the same steps
#
# Each seed draws other labels, and all three ways get the same. Full fine-tuning and LoRA have a learning rate each: an
# adapter, which starts from nothing, gets a far higher one than a trained matrix.

# %%
STEPS = tier.pick(pocket=12, public=24)
RATES = {"full fine-tuning": {"backbone": 5e-5, "head": 1e-3}, "LoRA": {"adapter": 1e-3, "backbone": 1e-3, "head": 1e-3}}

NOTHING = replace(data.valid, x=data.valid.x[:0], y=data.valid.y[:0], ids=(), texts=())  # no time for more tests

def tune(model, seed: int, lr):
    few = replace(draw(seed), valid=NOTHING, test=NOTHING)
    tl.Session(model, few, steps=STEPS, lr=lr, batch_size=16, keep_mb=1, seed=seed).run()
    return accuracy_of(model, data.test)

@torch.no_grad()
def accuracy_of(model, split) -> float:
    said = torch.cat([model.eval()(rows).argmax(1) for rows in split.x.split(64)])
    return float((said == split.y).float().mean())

# %%
SEEDS = range(4)
scores, changes = {"head alone": [], "full fine-tuning": [], "LoRA": []}, []
starts = [start(seed) for seed in SEEDS]
for seed, (base, reached) in zip(SEEDS, starts):
    full, adapted = copy.deepcopy(base), tl.methods.lora(base, rank=RANK, seed=seed)
    scores["head alone"].append(reached)
    scores["full fine-tuning"].append(tune(full, seed, RATES["full fine-tuning"]))
    scores["LoRA"].append(tune(adapted, seed, RATES["LoRA"]))
    changes.append(directions(base, full))  # how full fine-tuning changed each matrix: we come back to it
accuracy = {name: tl.interval(values) for name, values in scores.items()}
guess.outcome(accuracy)

# %%
behind = tl.measure.paired(accuracy["LoRA"], accuracy["full fine-tuning"])
ahead = tl.measure.paired(accuracy["LoRA"], accuracy["head alone"])
claimed = "LoRA is at most three points behind full fine-tuning."
display(tl.claim("03.3", claimed, behind, at_least=-0.03))
gains = [("over full fine-tuning", behind), ("over the head alone", ahead)]
tl.measure.table(gains, columns={"LoRA": "text", "seed by seed": tl.measure.measured("points")})

# %% [markdown]
# Two expectations failed while this lesson was made. We first asked for *two* points. On the tickets the mean was
# within, the whole interval was not: a handful of seeds and some hundred test texts cannot tell two points from none.
# So the claim now asks what this much evidence can decide. Before you believe a smaller difference, anywhere, look at
# how many texts it was measured on.
#
# And we claimed that LoRA is ahead of the head alone. On the tickets it was. On the film sentences the difference could
# not be told from zero, so it is no claim any more. Training inside the network is no gain in itself: measure the head
# first.
#
# ## Why so little is enough
#
# Full fine-tuning was free to change every matrix in every direction. What did it do with that freedom? Take the
# *change* of a matrix, after minus before, and ask for its **singular values**: how strong it is in each of its 384
# directions. The line shows what share of the change (squared) the strongest directions hold, beside a matrix of random
# numbers, which has no favourites.

# %%
def mean(shares: list[dict[int, float]], k: int) -> float:
    return sum(share[k] for share in shares) / len(shares)  # over the matrices for query and value

found = {k: tl.interval([mean(shares, k) for shares in changes]) for k in changes[0][0]}
noise = held_by(torch.randn(384, 384, generator=torch.Generator().manual_seed(0)), found)
tl.plots.lines({"fine-tuning": found, "random": noise}, x="directions kept", y="share of the change", log=True)

# %%
tl.claim(
    "03.4",
    "Eight of 384 directions hold more than 30 percent of what full fine-tuning changes in a matrix.",
    found[8],
    at_least=0.3,
)

# %% [markdown]
# A few directions hold far more than their share of the change, though not all of it. (Aghajanyan et al. 2020 speak of
# a low *intrinsic dimension*.) LoRA bets on that from the start.
#
# ## The rest of the family
#
# **Bottleneck adapters** (Houlsby et al. 2019) put a small network behind each part of a layer. **Prefix tuning** (Li & Liang
# 2021) gives attention some learnt tokens to look at. **(IA)³** (Liu et al. 2022) only turns units up and down. One seed each,
# at the same steps: a look, not a race. None was tuned.

# %%
base, _ = starts[0]
family = {
    "bottleneck": (tl.methods.bottleneck(base, width=8), 2e-3),
    "prefix": (tl.methods.prefix(base, length=8), 1e-2),
    "(IA)³": (tl.methods.ia3(base), 1e-2),
}
rows = [("head alone", costs["head alone"].trainable, accuracy["head alone"].values[0])]
rows += [("LoRA", costs["LoRA"].trainable, accuracy["LoRA"].values[0])]
for name, (model, rate) in family.items():
    reached = tune(model, 0, {"adapter": rate, "backbone": 1e-3, "head": 1e-3})
    rows.append((name, tl.methods.cost(model).trainable, reached))
rows.append(("full fine-tuning", total, accuracy["full fine-tuning"].values[0]))
percent = tl.measure.measured("percent")
tl.measure.table(rows, columns={"way": "text", "trained": "count", "test accuracy, one seed": percent})

# %% [markdown]
# ## Your hand on an adapter
#
# This run trains the head alone, until you add an adapter. In the cockpit:
#
# - Open *Adapters and head*, **Add LoRA**, and watch the loss: does the training find something that the head could not?
# - **Turn its scale** to 0: that is the base again. To 1: as trained. On to 2: twice the update. Watch the predictions
#   below, on texts that the head is unsure of. What goes wrong first beyond 1?
# - **Pause**, turn the scale, and let the picture be drawn again: nothing is trained, yet the answers change.
#
# (Where the lesson runs without a browser, a recorded hand steers a shorter run.)

# %%
run = tl.Session(
    copy.deepcopy(base),
    replace(data, test=NOTHING),
    steps=tier.live(240, headless=tier.pick(pocket=30, public=40)),
    lr=1e-3,
    freeze="backbone",
    batch_size=16,
    eval_every=20,
    pace=4,  # steps a second: it is for your hand
)
tl.hand(run, "03")
tl.Cockpit(run)

# %%
with torch.no_grad():
    sure = base.eval().head(cached.test.x).softmax(1).max(1).values
unsure = sure.argsort()[:4].tolist()

def look(model):
    said = model(data.test.x[unsure]).softmax(1)
    return tl.plots.predictions([data.test.texts[i] for i in unsure], said, data.classes, truth=data.test.y[unsure])

tl.Lens(run, look)

# %%
await run.wait()
run.record.save("records/03.jsonl")  # what you did, to be replayed: tlcourse replay records/03.jsonl
tl.plots.curves(run, title="The run, and every hand on it")

# %% [markdown]
# ## Melted in: the adapter for nothing
#
# An adapter beside a layer is a second path that takes time. But $W + \tfrac{\alpha}{r} B A$ is a matrix like *W*: compute it
# once, and the path is gone. That is *merging*.

# %%
merged = tl.methods.merged(adapted)
texts = data.test.x[:64]

@torch.no_grad()
def seconds(model, rows) -> float:
    began = time.perf_counter()
    model.eval()(rows)
    return time.perf_counter() - began

with torch.no_grad():
    beside, inside = adapted.eval()(texts), merged.eval()(texts)
pairs = [(seconds(adapted, texts[:1]), seconds(merged, texts[:1])) for _ in range(40)]  # one text, in turn
slow, fast = (min(times) for times in zip(*pairs))
rows = [("beside the layers", slow), ("merged", fast)]
tl.measure.table(rows, columns={"adapter": "text", "one text": tl.measure.measured("seconds")})

# %%
apart = float((beside - inside).abs().max() / beside.abs().max())
same = "Merged, the model says the same within float32's rounding."
display(tl.claim("03.5", same, apart, at_most=1e-4, unit="number"))
tl.claim("03.6", "Merged, it is no slower than with the adapter beside it.", slow / fast, at_least=1.0, unit="ratio")

# %% [markdown]
# ## One network, two desks
#
# A shop's support and a hospital's IT desk sort their tickets by the same ten intents, worded differently. One encoder
# serves both: an adapter each, exchanged when the other's ticket comes. `stored` takes the adapter and the head out,
# `load_stored` puts others in.

# %%
desks = {name: tl.load_data("tickets", domain=name, labels_per_class=10, size=24) for name in ("shop", "clinic")}
encoder = tl.load_model("minilm", classes=desks["shop"].classes)
drawer, answers = {}, {}
for name, desk in desks.items():
    serving = tl.methods.lora(encoder, rank=RANK)
    lean = replace(desk, valid=NOTHING, test=NOTHING)
    tl.Session(serving, lean, steps=8, lr={"adapter": 2e-3, "backbone": 1e-3, "head": 1e-2}, batch_size=16).run()
    drawer[name] = tl.methods.stored(serving)
    with torch.no_grad():
        answers[name] = serving.eval()(desk.valid.x)

# %%
same = []
for name in ("shop", "clinic", "shop"):
    tl.methods.load_stored(serving, drawer[name])
    with torch.no_grad():
        same.append(torch.equal(serving.eval()(desks[name].valid.x), answers[name]))
display(tl.claim("03.7", "Exchanged back and forth, each adapter answers as it did, bit for bit.", all(same)))

own = {name.replace(".base_layer", "").removeprefix("model."): p for name, p in serving.named_parameters()}
untouched = [torch.equal(p, own[name]) for name, p in encoder.named_parameters() if not name.startswith("head.")]
tl.claim("03.8", "After all of it every weight of the encoder is what it was, bit for bit.", all(untouched))

# %% [markdown]
# ## A base in four bits
#
# The base only has to be read, never changed, so it need not be stored in 32 bits. *QLoRA* (Dettmers et al. 2023) keeps it in
# four: each number becomes one of 16 levels, spaced as a normal distribution needs them (NF4), times a scale for every 64
# numbers. On a GPU this is what fits a large model into memory. Here we only round, and compute in float32 as before:
# that shows what the rounding costs, not how fast it is.

# %%
small = four_bits(base)
alone = accuracy_of(small, data.test)
taught = tune(tl.methods.lora(small, rank=RANK), 0, RATES["LoRA"])
head_alone, lora = (accuracy[name].values[0] for name in ("head alone", "LoRA"))
rows = [("32 bits", head_alone, lora), ("4 bits", alone, taught)]
columns = {"the base in": "text", "head alone": percent, "with LoRA": percent}
tl.measure.table(rows, columns=columns, title="Test accuracy, one seed")

# %% [markdown]
# ## Exercises
#
# Put your answer where the `...` is. `tl.hint("03.1")` gives one hint at each call, and at last the solution.
#
# **1. How large a rank?** MiniLM has 22,565,376 parameters without its head: six layers, whose query and value are matrices of
# 384 × 384. With LoRA on these alone, which is the largest rank whose adapter stays within one percent of that number?

# %%
rank = ...  # your turn
# SOLUTION
rank = 22_565_376 // 100 // (6 * 2 * (384 + 384))
# END
tl.check("03.1", rank)

# %% [markdown]
# **2. Merge by hand.** *W* is (out, in), *A* (rank, in), *B* (out, rank). Write the function that returns the one matrix which
# takes the place of all three.

# %%
def merge(W, A, B, alpha):
    ...  # your turn
    # SOLUTION
    return W + alpha / len(A) * B @ A
    # END

tl.check("03.2", merge)

# %% [markdown]
# **3. How far to turn?** An adapter's scale costs no training. Measure validation accuracy at five scales or more, from 0 to
# beyond 1. Is 1 the best?

# %%
def at_scale(scale: float) -> float:
    tl.methods.set_scale(adapted, scale)
    return accuracy_of(adapted, data.valid)

scales = ...  # your turn
# SOLUTION
scales = {scale: at_scale(scale) for scale in [0, 0.5, 1, 2, 4]}
display(tl.plots.lines({"LoRA": scales}, x="scale", y="validation accuracy"))
# END
tl.check("03.3", scales)

# %% [markdown]
# ## What to take home
#
# - Train the head first, then LoRA. Only if that is not enough, pay for full fine-tuning.
# - An adapter is a small file: one base, many tasks, exchanged in a moment, and the base stays what it was.
# - For use, merge it: the same answers, without the second path.
