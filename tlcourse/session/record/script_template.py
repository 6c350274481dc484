"""The fixed parts of the scripts that `to_script.py` writes."""

TEMPLATE = '''\
"""The training of a recorded run in plain PyTorch ({versions}).

What was rewound, or left on another branch, is not here: only the commands that led to the end of the
run affect its result.
"""

{imports}

{tlcourse}# Random draws: pure functions of the seed (from tlcourse).

{functions}

# The model and its parameter groups, from input to output.

torch.set_num_threads({threads})  # affects the order of sums, and so the last bits
data = {data}
model = {model}
{moved}{channels_last}lr = {rates}
{parts}
norms = {{
    name: [m for m in parts[name].modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    for name in lr
}}
{adapters}
frozen = {frozen}
frozen_stats = {frozen_stats}  # groups whose BatchNorm statistics are frozen too
for name in groups:
    for p in groups[name]:
        p.requires_grad_(name not in frozen)
{optimizer}optimizer_groups = dict(zip(lr, optimizer.param_groups))

# Training. Each `if step == …` is an intervention.

SEED = {seed}
{loss}
x_train, y_train = data.train.x{to}, data.train.y{to}
size = min({batch_size}, len(y_train))
{strength}

def to_float(x):
    return x.float() / 255 if x.dtype == torch.uint8 else x


def batch(place):
    epoch, place = divmod(place, len(y_train) // size)
    order = permutation(fold_in(SEED, "order", epoch), len(y_train))
    numbers = order[place * size : (place + 1) * size]
    x = to_float(x_train[numbers])
{augment}    return x{laid_out}, y_train[numbers]


losses = []
for step in range({steps}):
{interventions}    model.train()
    for name in frozen_stats:
        for norm in norms.get(name, ()):
            norm.eval()
    torch.manual_seed(({noise} + step) & 0x7FFF_FFFF_FFFF_FFFF)  # for dropout
    optimizer.zero_grad()
{body}
    optimizer.step()
{scheduled}{final}
# Test accuracy.

model.eval()
right = 0
with {cast}:
    for x, y in zip(data.test.x.split(64), data.test.y.split(64)):
        x = to_float(x{to}){laid_out}
        right += int((model(x).argmax(1){back} == y).sum())
if losses:
    print(f"last loss {{losses[-1]:.6f}} after {{len(losses)}} steps")
if len(data.test.y):
    print(f"accuracy on test data {{right / len(data.test.y):.1%}}")
'''

ADD_LORA = '''\
def add_lora(model, wanted, name, rank, alpha, endings, key):
    """Add low-rank adapters to the layers of the wanted parameters; returns those layers."""
    own = {id(p) for p in wanted}
    found = {
        path: layer
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
        if id(layer.weight) in own
        if not endings or any(path == end or path.endswith(f".{end}") for end in endings)
    }
    beside = nn.ModuleDict({str(n): layer for n, layer in enumerate(found.values())})
    ranks = {n: min(rank, *layer.weight.shape[:2]) for n, layer in beside.items()}
    trained = {p: p.requires_grad for p in beside.parameters()}
    torch.manual_seed(key)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules="|".join(ranks),
        rank_pattern={f"^{n}$": r for n, r in ranks.items()},
        alpha_pattern={f"^{n}$": alpha / rank * r for n, r in ranks.items()},
    )
    inject_adapter_in_model(config, beside, adapter_name=name)
    for p, was in trained.items():  # peft freezes everything else
        p.requires_grad_(was)
    for path, layer in zip(found, beside.values()):
        owner, _, leaf = path.rpartition(".")
        setattr(model.get_submodule(owner), leaf, layer)
        layer.__class__ = type("Adapted", (type(layer),), {"weight": property(adapted_weight)})
    return list(beside.values())


def adapted_weight(layer):
    """For models that read a layer's weight (nn.MultiheadAttention) instead of calling it."""
    weight = layer.get_base_layer().weight
    for name in layer.active_adapters:
        weight = weight + layer.get_delta_weight(name).to(weight.dtype)
    return weight
'''

SWAP_HEAD = '''\
def swap_head(model, head, mlp, key):
    """Replace the head's last linear layer by a fresh one; returns the head's new parameters."""
    own = {id(p) for p in head}
    places = {new: (owner, name) for owner in model.modules() for name, new in owner.named_children()}
    old = [m for m in places if isinstance(m, nn.Linear) and id(m.weight) in own][-1]
    width, classes = old.in_features, old.out_features
    if getattr(places[old][0], "swapped_in", False):  # an MLP head is replaced as a whole
        old = places[old][0]
        width = old[0].in_features
    torch.manual_seed(key)
    new = nn.Linear(width, classes)
    if mlp:
        new = nn.Sequential(nn.Linear(width, width), nn.ReLU(), new)
        new.swapped_in = True
    setattr(*places[old], new.to(head[0].device, head[0].dtype))
    gone = {id(p) for p in old.parameters()}
    return [p for p in head if id(p) not in gone] + list(new.parameters())
'''
