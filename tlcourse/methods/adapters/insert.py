"""Parameter-efficient fine-tuning: the base stays frozen, and a small adapter is trained.

    adapted = lora(model, rank=8, layers="query,value")
    tl.Session(adapted, data, lr={"adapter": 1e-3, "head": 1e-2, "backbone": 1e-3}).run()

- `lora`        a low-rank update beside each layer                      peft      can be merged
- `ia3`         one factor for each key, value and hidden unit           peft      can be merged
- `bottleneck`  a small network after attention and feed-forward parts   our own   peft has none
- `prefix`      learned keys and values that every token can attend to   peft for text encoders that take
                `past_key_values` (BERT, decoders), our own for timm's attention, which peft cannot reach

Each takes a model of `load_model` and does not change it. The result is a copy with the same interface
(`groups`, `features`, `classes`); its groups are the base's (frozen), "adapter" and the head. In a run
that has started, the command `AddLoRA` adds the same LoRA layers. SetScale("adapter", …) scales a LoRA
or a bottleneck during a run, and the cockpit has a slider for it. `merging.py` is for adapters that are
trained.
"""

import copy
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.checks import whole_number
from tlcourse.errors import CommandError, ModelError
from tlcourse.methods.wrapped_model import Wrapped
from tlcourse.models import groups_of
from tlcourse.rng import checked_seed, initial_seed, seeded
from tlcourse.session import AddLoRA
from tlcourse.session.model.edits import plan_lora

NAME = "adapter"

# The parts that the papers name, by the endings of the layers' names in common libraries:
KEYS_VALUES = "self.key,self.value,attention.key,attention.value,attn.qkv,k_lin,v_lin,k_proj,v_proj"
ATTENTION_OUT = "attention.output.dense,attn.proj,out_lin,o_proj,out_proj"
FEED_FORWARD_OUT = r"\d.output.dense,mlp.fc2,lin2,down_proj"
_READS_WEIGHTS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)  # instead of calling layers


class Adapted(Wrapped):
    """A model with an adapter. adapter: names of its parameters in `.model`; settings: its arguments."""

    def __init__(
        self, model: nn.Module, adapter: tuple[str, ...], settings: dict[str, Any]
    ) -> None:
        super().__init__(model)
        self.adapter, self.settings = adapter, settings

    @property
    def groups(self) -> dict[str, nn.Module]:
        """The base's groups without the adapter's parameters; the adapter; the head."""
        parameters = dict(self.model.named_parameters())
        mine = [parameters[name] for name in self.adapter]
        *base, (head, module) = self.model.groups.items()
        others = frozenset(map(id, mine))
        groups: dict[str, nn.Module] = {name: Without(group, others) for name, group in base}
        return groups | {NAME: nn.ParameterList(mine), head: module}

    @property
    def recipe(self) -> dict[str, Any]:
        return {**self.model.recipe, NAME: self.settings}

    @property
    def scalable(self) -> dict[str, tuple[nn.Module, ...]]:
        """The layers that take `set_scale`, so that a run can scale the adapter: LoRA and bottleneck."""
        layers = tuple(
            m for m in self.model.modules() if isinstance(m, Bottleneck) or hasattr(m, "lora_A")
        )
        return {NAME: layers} if layers else {}

    @property
    def scales(self) -> dict[str, float]:
        """The current scale of the adapter."""
        return {name: _scale_of(layers[0]) for name, layers in self.scalable.items()}


class Without(nn.Module):
    """A module as a group of all its parameters except some."""

    def __init__(self, module: nn.Module, others: frozenset[int]) -> None:
        super().__init__()
        self.module, self.others = module, others

    def named_parameters(self, *how: Any, **named: Any) -> Iterator[tuple[str, nn.Parameter]]:
        for name, parameter in self.module.named_parameters(*how, **named):
            if id(parameter) not in self.others:
                yield name, parameter


def lora(
    model: nn.Module,
    *,
    rank: int = 8,
    alpha: float | None = None,
    layers: str | None = None,
    seed: int = 0,
) -> Adapted:
    """W x + (alpha / rank) · B A x, with A (rank, in) drawn by `seed` and B (out, rank) initially zero.

    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", eq. 3. The arguments are those
    of the command AddLoRA, and so are the layers, bit for bit: rank 1 … 256; layers: endings of names,
    such as "query,value" (the paper's choice) or "attn.qkv"; None means every linear layer and
    convolution.

    >>> adapted = lora(model, rank=4)
    >>> list(adapted.groups)[-2:]
    ['adapter', 'head']
    """
    AddLoRA(rank=rank, alpha=alpha, layers=layers, name=NAME).check()
    seed = checked_seed(seed, CommandError)

    def insert(made: nn.Module) -> None:
        groups = {name: list(group.parameters()) for name, group in groups_of(made).items()}
        backbone = list(groups)[:-1]
        how = {"rank": rank, "alpha": alpha, "layers": layers, "name": NAME, "seed": seed}
        plan_lora(made, groups, backbone, **how).do()

    return _adapted(model, insert, method="lora", rank=rank, alpha=alpha, layers=layers, seed=seed)


def ia3(model: nn.Module, *, layers: str | None = None, feedforward: str | None = None) -> Adapted:
    """Learned factors, initially 1, on keys, values and the hidden units of the feed-forward parts.

    Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context
    Learning", section 3.3. layers: endings of the layers whose outputs are scaled; feedforward: of the
    layers whose inputs are. None finds them in BERT, DistilBERT, Llama and ViT. timm computes queries,
    keys and values in one layer, so there queries get factors too.
    """

    def insert(made: nn.Module) -> None:
        from peft import IA3Config, inject_adapter_in_model

        from tlcourse.models.adapted_layers import readable

        inputs = _linear(made, feedforward or FEED_FORWARD_OUT)
        outputs = _linear(made, layers or KEYS_VALUES)
        config = IA3Config(target_modules=[*outputs, *inputs], feedforward_modules=list(inputs))
        inject_adapter_in_model(config, made, adapter_name=NAME)
        readable(made)

    return _adapted(model, insert, method="ia3", layers=layers, feedforward=feedforward)


def bottleneck(
    model: nn.Module, *, width: int = 16, layers: str | None = None, seed: int = 0
) -> Adapted:
    """y + U gelu(D y) after each part that writes to the residual stream; U starts at zero.

    Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP", section 2.1; they also
    train the LayerNorms, this does not. width: rows of D. layers: endings of the linear layers that get
    a bottleneck; None means the last of each attention and each feed-forward part. It is not linear, so
    it cannot be merged.
    """
    width = whole_number(width, "width", CommandError, 1)
    seed = checked_seed(seed, CommandError)

    def insert(made: nn.Module) -> None:
        with seeded(initial_seed(seed, "bottleneck")):
            found = _linear(made, layers or f"{ATTENTION_OUT},{FEED_FORWARD_OUT}")
            for path, layer in found.items():
                if isinstance(made.get_submodule(path.rpartition(".")[0]), _READS_WEIGHTS):
                    raise ModelError(
                        f"{path} is not called by the layer that holds it, which reads its weight, so "
                        "a bottleneck would have no effect there. lora works."
                    )
                _put(made, path, Bottleneck(layer, width))

    return _adapted(model, insert, method="bottleneck", width=width, layers=layers, seed=seed)


def prefix(model: nn.Module, *, length: int = 10, seed: int = 0) -> Adapted:
    """`length` learned keys and values in each attention, before those of the tokens.

    Li & Liang 2021, "Prefix-Tuning: Optimizing Continuous Prompts for Generation", without their
    reparametrisation. Drawn by `seed` from a normal distribution with standard deviation 0.02 (in
    peft: 1). Unlike the other methods, it changes the outputs from the start. In text encoders
    (peft), the tokens' positions begin at `length`. Raises ModelError if attention takes no prefix
    (DistilBERT, a ResNet).
    """
    length = whole_number(length, "length", CommandError, 1)
    seed = checked_seed(seed, CommandError)

    def insert(made: nn.Module) -> None:
        with seeded(initial_seed(seed, "prefix")):
            found = {path: m for path, m in made.named_modules() if _is_timms_attention(m)}
            for path, attention in found.items():
                _put(made, path, PrefixAttention(attention, length))
            if not found:
                made.body = _with_peft_prefix(getattr(made, "body", None), length)

    return _adapted(model, insert, method="prefix", length=length, seed=seed)


class Bottleneck(nn.Module):
    """A linear layer followed by an adapter."""

    def __init__(self, base_layer: nn.Linear, width: int) -> None:
        super().__init__()
        like = {"device": base_layer.weight.device, "dtype": base_layer.weight.dtype}
        self.base_layer = base_layer
        self.down = nn.Linear(base_layer.out_features, width, **like)
        self.up = nn.Linear(width, base_layer.out_features, **like)
        self.scale = 1.0
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def set_scale(self, adapter: str, scale: float) -> None:
        """Set the scale. adapter: its name, unused; peft's layers have the same signature."""
        self.scale = float(scale)

    def forward(self, x: Tensor) -> Tensor:
        y = self.base_layer(x)
        return y + self.scale * self.up(F.gelu(self.down(y)))


class PrefixAttention(nn.Module):
    """timm's self-attention over (B, N, C), with learned keys and values (heads, length, C / heads)."""

    def __init__(self, base_layer: nn.Module, length: int) -> None:
        super().__init__()
        weight = base_layer.qkv.weight
        shape = (base_layer.num_heads, length, base_layer.head_dim)
        self.base_layer = base_layer
        self.key = nn.Parameter(0.02 * torch.randn(shape).to(weight.device, weight.dtype))
        self.value = nn.Parameter(0.02 * torch.randn(shape).to(weight.device, weight.dtype))

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        if attn_mask is not None or is_causal:
            raise ModelError("A prefix works only with attention that has no mask.")
        a = self.base_layer
        B, N, _ = x.shape
        qkv = a.qkv(x).reshape(B, N, 3, a.num_heads, a.head_dim).permute(2, 0, 3, 1, 4)
        q, k = a.q_norm(qkv[0]), a.k_norm(qkv[1])
        k = torch.cat([self.key.expand(B, -1, -1, -1).to(k.dtype), k], dim=2)
        v = torch.cat([self.value.expand(B, -1, -1, -1).to(k.dtype), qkv[2]], dim=2)
        dropped = a.attn_drop.p if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=dropped)
        y = a.norm(y.transpose(1, 2).reshape(B, N, a.attn_dim))
        if a.gate is not None:
            y = y * a.gate(x).sigmoid()
        return a.proj_drop(a.proj(y))


def _scale_of(layer: nn.Module) -> float:
    if isinstance(layer, Bottleneck):
        return layer.scale
    return layer.scaling[NAME] * layer.r[NAME] / layer.lora_alpha[NAME]


def _adapted(model: nn.Module, insert: Callable[[nn.Module], None], **settings: Any) -> Adapted:
    """A copy of the model with an adapter inserted; adapter and head train, all else is frozen."""
    if isinstance(model, Adapted):
        raise ModelError(
            f"This model has an adapter ({model.settings['method']}) already; take its base."
        )
    if not isinstance(getattr(model, "groups", None), Mapping):
        raise ModelError(
            f"{type(model).__name__} has no groups: make the model with tl.load_model."
        )
    made = copy.deepcopy(model)
    before = {id(p) for p in made.parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft's imports
        insert(made)
    new = tuple(name for name, p in made.named_parameters() if id(p) not in before)
    adapted = Adapted(made, new, settings)
    for name, group in adapted.groups.items():
        group.requires_grad_(name in (NAME, list(adapted.groups)[-1]))
    return adapted


def _linear(model: nn.Module, endings: str) -> dict[str, nn.Linear]:
    """path → linear layer of the backbone with such an ending. Raises ModelError if there is none."""
    head = {id(m) for m in list(groups_of(model).values())[-1].modules()}
    linear = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) not in head
    }
    wanted = [re.escape(e.strip()).replace(r"\\d", r"\d") for e in endings.split(",") if e.strip()]
    pattern = re.compile(rf"(.*\.)?({'|'.join(wanted)})")
    found = {path: module for path, module in linear.items() if pattern.fullmatch(path)}
    if not found:
        present = sorted({path.rpartition(".")[2] for path in linear})
        raise ModelError(
            f"No linear layer of this model ends in {endings.replace(chr(92) + 'd.', '')}. Name some by "
            f"layers=…; they end in: {', '.join(present) or 'none'}."
        )
    return found


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    owner, _, leaf = path.rpartition(".")
    setattr(model.get_submodule(owner), leaf, module)


def _is_timms_attention(module: nn.Module) -> bool:
    from timm.layers import Attention

    return isinstance(module, Attention)


def _with_peft_prefix(body: nn.Module | None, length: int) -> nn.Module:
    if body is None or "past_key_values" not in inspect.signature(body.forward).parameters:
        raise ModelError(
            f"The attention of {type(body).__name__} takes no prefix: it must be timm's, or the model "
            "must take past_key_values. lora, ia3 and bottleneck need neither."
        )
    from peft import PrefixTuningConfig, get_peft_model

    config = PrefixTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=length)
    made = get_peft_model(body, config, adapter_name=NAME)
    nn.init.normal_(made.prompt_encoder[NAME].embedding.weight, std=0.02)
    return made
