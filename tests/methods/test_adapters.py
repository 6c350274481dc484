"""Adapters: what is trained, what is untouched bit for bit, and that merged is the same function."""

import copy
from functools import cache

import pytest
import torch
import transformers as hf
from torch import nn

import tlcourse as tl
from tlcourse.data import Data, Split
from tlcourse.errors import CommandError, ModelError
from tlcourse.methods.adapters.insert import PrefixAttention, bottleneck, ia3, lora, prefix
from tlcourse.methods.adapters.merging import (
    cost,
    load_stored,
    merge,
    merged,
    set_scale,
    stored,
    unmerge,
)
from tlcourse.models import groups_of, pocket_vit
from tlcourse.models.classifier import new_head
from tlcourse.models.layers import parts_of
from tlcourse.models.text import TextClassifier
from tlcourse.session import AddLoRA, Applied, Refused, Save, SetScale, Twin

LABELS = ("a", "b", "c")
WIDTH, DEPTH = 16, 2
METHODS = {"lora": lora, "ia3": ia3, "bottleneck": bottleneck, "prefix": prefix}
KINDS = list(METHODS)


@cache
def first_vit(seed):
    return pocket_vit.classifier(LABELS, seed=seed, recipe={"name": "vit"})


def vit(seed=0):
    return copy.deepcopy(first_vit(seed))


class Padding:
    pad_token_id = 0


def bert(make=None):
    """A tiny text encoder of transformers, in the course's shape."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = hf.BertConfig(vocab_size=30, hidden_size=WIDTH, num_hidden_layers=DEPTH,
                               num_attention_heads=2, intermediate_size=32)  # fmt: skip
        body = make() if make else hf.BertModel(config, add_pooling_layer=False)
    return TextClassifier(body, new_head(WIDTH, 3, 0), Padding(), parts=parts_of(body),
                          classes=LABELS, recipe={"name": "bert"})  # fmt: skip


def distilbert():
    return hf.DistilBertModel(
        hf.DistilBertConfig(vocab_size=30, dim=WIDTH, hidden_dim=32, n_heads=2, n_layers=DEPTH)
    )


def llama():
    return hf.LlamaModel(
        hf.LlamaConfig(vocab_size=30, hidden_size=WIDTH, num_hidden_layers=DEPTH,
                       num_attention_heads=2, num_key_value_heads=2, intermediate_size=32)
    )  # fmt: skip


MODELS = {"vit": vit, "bert": bert}


def examples(kind):
    generator = torch.Generator().manual_seed(0)
    if kind == "vit":
        x = torch.randint(0, 256, (24, 3, 32, 32), generator=generator, dtype=torch.uint8)
    else:
        x = torch.randint(1, 30, (24, 7), generator=generator)
        x[:, 5:] *= torch.randint(0, 2, (24, 1), generator=generator)  # some are shorter
    y = torch.arange(24) % 3
    split = Split(x, y, tuple(map(str, range(24))))
    return Data(kind, kind, split, split, split, LABELS)


@torch.no_grad()
def logits(model, kind):
    x = examples(kind).train.x[:6]
    return model.eval()(x / 255 if kind == "vit" else x)


def trained(model, kind, *, steps=4, seed=0, plan=()):
    options = {"lr": 1e-2, "batch_size": 8, "eval_every": 9, "steps": steps, "seed": seed}
    run = tl.Session(model, examples(kind), **options)
    for step, command in plan:
        run.at(step, command)
    run.run()
    assert not [e for e in run.events if isinstance(e, Refused)]
    return run


def base_of(adapted):
    return {g: [p.detach().clone() for p in m.parameters()] for g, m in base_groups(adapted)}


def base_groups(adapted):
    return [(n, m) for n, m in adapted.groups.items() if n not in ("adapter", "head")]


def same(a, b):
    return all(torch.equal(p, q) for g in a for p, q in zip(a[g], b[g], strict=True))


# -- what is trained ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("method", KINDS)
def test_a_session_trains_adapter_and_head_and_nothing_else(kind, method):
    model = MODELS[kind]()
    before = tl.methods.fingerprint(model)
    adapted = METHODS[method](model)
    groups = groups_of(adapted)  # every parameter once
    assert list(groups) == [*list(model.groups)[:-1], "adapter", "head"]
    sizes = {n: sum(p.numel() for p in m.parameters()) for n, m in model.groups.items()}
    assert {n: sum(p.numel() for p in m.parameters()) for n, m in groups.items()
            if n != "adapter"} == sizes  # fmt: skip
    base = base_of(adapted)
    adapter = [p.detach().clone() for p in groups["adapter"].parameters()]
    assert adapted.features(next_batch(kind)).shape[1] == model.head.in_features
    run = trained(adapted, kind, plan=[(1, Save("early")), (2, Twin())])
    states = {g.name: g.trainable for g in run.groups}
    assert {name for name, trains in states.items() if trains} == {"adapter", "head"}
    assert same(base, base_of(run.model))
    now = list(run.model.groups["adapter"].parameters())
    assert not any(torch.equal(p, q) for p, q in zip(adapter, now, strict=True))
    assert tl.methods.fingerprint(model) == before


def next_batch(kind):
    x = examples(kind).train.x[:4]
    return x / 255 if kind == "vit" else x


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("method", ["lora", "ia3", "bottleneck"])
def test_at_first_the_model_says_what_it_said(kind, method):
    model = MODELS[kind]()
    assert torch.equal(logits(METHODS[method](model), kind), logits(model, kind))


def test_lora_is_the_commands_own_bit_for_bit():
    adapted = lora(vit(), rank=3, alpha=6, layers="attn.qkv,fc1", seed=5)
    run = tl.Session(vit(), examples("vit"), steps=1, seed=5)
    run.at(0, AddLoRA(rank=3, alpha=6, layers="attn.qkv,fc1", name="adapter"))
    run.run()
    theirs = dict(run.model.named_parameters())
    for name, p in adapted.model.named_parameters():
        assert p.shape == theirs[name].shape
        if "lora_A" in name:  # B is zero, so A has no gradient at the first step: only decayed
            assert torch.allclose(p, theirs[name], rtol=1e-4)


def test_the_counts_are_those_of_the_papers():
    r, d, h = 4, WIDTH, 32
    adapters = {
        "lora": (lora(bert(), rank=r, layers="query,value"), DEPTH * 2 * (r * d + d * r)),
        "ia3": (ia3(bert()), DEPTH * (d + d + h)),
        "bottleneck": (bottleneck(bert(), width=r), DEPTH * 2 * (d * r + r + r * d + d)),
        "prefix": (prefix(bert(), length=5), DEPTH * 2 * 5 * d),
    }
    head = 3 * d + 3
    for adapted, expected in adapters.values():
        assert cost(adapted).trainable == expected + head
    total = sum(p.numel() for p in bert().parameters())
    assert cost(adapters["ia3"][0]).total == total + DEPTH * (d + d + h)
    v = 192  # of four blocks
    assert cost(prefix(vit(), length=3)).trainable == 4 * 2 * 3 * v + 3 * v + 3
    assert cost(ia3(vit())).trainable == 4 * (3 * v + 3 * v) + 3 * v + 3


def test_a_bottleneck_is_the_formula():
    adapted = trained(bottleneck(vit(), width=4), "vit").model.eval()
    layer = adapted.model.body.blocks[2].mlp.fc2
    x = torch.rand(2, 5, 576)
    y = layer.base_layer(x)
    inner = nn.functional.gelu(y @ layer.down.weight.T + layer.down.bias)
    expected = y + inner @ layer.up.weight.T + layer.up.bias
    assert torch.allclose(layer(x), expected, atol=1e-5)
    assert (expected - y).abs().max() > 1e-3


def test_a_prefix_of_one_is_torchs_bias_to_keys_and_values():
    """torch's own attention knows one learnt key and value, behind the others instead of before."""
    ours = PrefixAttention(vit().body.blocks[0].attn.eval(), 1).eval()
    a = ours.base_layer
    theirs = nn.MultiheadAttention(192, 6, batch_first=True, add_bias_kv=True).eval()
    with torch.no_grad():
        ours.key.normal_()
        ours.value.normal_()
        theirs.in_proj_weight.copy_(a.qkv.weight)
        theirs.in_proj_bias.copy_(0 if a.qkv.bias is None else a.qkv.bias)
        theirs.out_proj.load_state_dict(a.proj.state_dict())
        theirs.bias_k.copy_(ours.key.reshape(1, 1, 192))
        theirs.bias_v.copy_(ours.value.reshape(1, 1, 192))
        x = torch.rand(2, 9, 192)
        assert torch.allclose(ours(x), theirs(x, x, x)[0], atol=1e-5)
        assert (ours(x) - a(x)).abs().max() > 1e-3


def test_a_prefix_that_nobody_looks_at_changes_nothing_but_the_positions():
    """peft's: with keys that no query likes, what remains is that positions begin behind the prefix."""
    model = bert()
    adapted = prefix(model, length=3)
    x = next_batch("bert")
    with torch.no_grad():
        weight = adapted.model.body.prompt_encoder["adapter"].embedding.weight
        weight.copy_(torch.zeros_like(weight))
        rows = weight.view(3, DEPTH, 2, WIDTH)
        mask = (x != 0).long()
        adapted.eval(), model.eval()
        shifted = torch.arange(3, 3 + x.shape[1])[None].expand(len(x), -1)
        plain = model.body(x, attention_mask=mask, position_ids=shifted).last_hidden_state
        near = adapted.model.body(x, attention_mask=mask).last_hidden_state
        assert (plain - near).abs().max() > 1e-3  # zero keys take their share of the attention
        for layer in range(DEPTH):  # a key far against every query's mean direction
            queries = model.body.encoder.layer[layer].attention.self.query
            queries.weight.zero_()
            queries.bias.fill_(1.0)
            twin = adapted.model.body.base_model.encoder.layer[layer].attention.self.query
            twin.weight.zero_()
            twin.bias.fill_(1.0)
            rows[:, layer, 0] = -100.0
        plain = model.body(x, attention_mask=mask, position_ids=shifted).last_hidden_state
        far = adapted.model.body(x, attention_mask=mask).last_hidden_state
    assert torch.allclose(plain, far, atol=1e-5)


@pytest.mark.parametrize(("make", "takes"), [(distilbert, {"lora", "ia3", "bottleneck"}),
                                             (llama, set(KINDS))])  # fmt: skip
def test_other_encoders_take_what_they_can(make, takes):
    for name, method in METHODS.items():
        if name in takes:
            adapted = method(bert(make))
            assert adapted(next_batch("bert")).shape == (4, 3)
            assert cost(adapted).share < 0.5
        else:
            with pytest.raises(ModelError, match="takes no prefix"):
                method(bert(make))


# -- merged, turned, swapped -------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("method", ["lora", "ia3"])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-5), (torch.bfloat16, 0.04)])
def test_merged_is_the_same_function_and_unmerged_the_same_bits(kind, method, dtype, within):
    adapted = shaken(METHODS[method](MODELS[kind]())).to(dtype)
    x = next_batch(kind)
    x = x.to(dtype) if kind == "vit" else x
    adapted.eval()
    with torch.no_grad():
        apart, bits = adapted(x), tl.methods.fingerprint(adapted)
        frozen = copy.deepcopy(adapted)
        set_to_base(frozen)
        gap = float((frozen(x) - apart).abs().max() / apart.abs().max())
        merge(adapted)
        together = adapted(x)
        assert tl.methods.fingerprint(adapted) != bits
        plain = merged(adapted)
        unmerge(adapted)
        assert float((together - apart).abs().max() / apart.abs().max()) < min(within, gap / 2)
        assert torch.equal(plain.eval()(x), together)
        assert tl.methods.fingerprint(adapted) == bits
        assert torch.equal(adapted(x), apart)
        assert torch.equal(merged(adapted).eval()(x), together)
    base = MODELS[kind]()
    assert type(plain) is type(base)
    assert {n: p.shape for n, p in plain.named_parameters()} == {
        n: p.shape for n, p in base.named_parameters()
    }


def shaken(adapted):
    """As after much training: far from where an adapter begins."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in adapted.groups["adapter"].parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator))
    return adapted


def set_to_base(adapted):
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.zero_()
            elif "ia3" in name:
                p.fill_(1.0)


def test_a_runs_own_lora_is_merged_and_its_rewind_still_finds_the_base():
    run = trained(vit(), "vit", plan=[(0, AddLoRA(rank=2, lr=0.05)), (3, Save("near the end"))])
    apart, bits = logits(run.model, "vit"), tl.methods.fingerprint(run.model)
    merge(run.model)
    assert tl.methods.fingerprint(run.model) != bits
    assert torch.allclose(logits(run.model, "vit"), apart, atol=1e-4)
    unmerge(run.model)
    assert tl.methods.fingerprint(run.model) == bits
    assert len([e for e in run.events if isinstance(e, Applied)]) == 2


@pytest.mark.parametrize("method", ["lora", "bottleneck"])
def test_the_scale_goes_from_the_base_to_the_adapter(method):
    adapted = trained(METHODS[method](vit()), "vit").model
    whole = logits(adapted, "vit")
    base = vit()
    base.head.load_state_dict(adapted.model.head.state_dict())
    set_scale(adapted, 0)
    assert torch.allclose(logits(adapted, "vit"), logits(base, "vit"), atol=1e-6)
    set_scale(adapted, 1)
    assert torch.equal(logits(adapted, "vit"), whole)


def test_the_scale_is_the_commands():
    run = trained(vit(), "vit", plan=[(0, AddLoRA(rank=2, lr=0.05)), (3, SetScale("lora", 0.5))])
    said = logits(run.model, "vit")
    set_scale(run.model, 2)
    assert not torch.equal(logits(run.model, "vit"), said)
    set_scale(run.model, 0.5)
    assert torch.equal(logits(run.model, "vit"), said)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("method", KINDS)
def test_swapping_adapters_restores_each_task_exactly(kind, method):
    adapted = METHODS[method](MODELS[kind]())
    first = stored(adapted)
    said, kept = {}, {}
    for task, steps in {"one": 3, "two": 5}.items():
        load_stored(adapted, first)
        trained(adapted, kind, steps=steps, seed=steps)
        said[task], kept[task] = logits(adapted, kind), stored(adapted)
    assert not torch.equal(said["one"], said["two"])
    for task in ("one", "two", "one"):
        load_stored(adapted, kept[task])
        assert torch.equal(logits(adapted, kind), said[task])
    fresh = METHODS[method](MODELS[kind]())  # another process: the base, and what was stored
    load_stored(fresh, kept["two"])
    if kind == "vit":  # as a session lays pictures out; another layout rounds otherwise
        fresh = fresh.to(memory_format=torch.channels_last)
    assert torch.equal(logits(fresh, kind), said["two"])


def test_what_is_stored_is_what_trains_and_the_statistics_beside_it():
    model = vit()
    full = cost(model)
    assert full.share == 1 and full.checkpoint_bytes > 4 * full.total
    assert any(name.endswith("running_var") for name in stored(model))
    small = cost(lora(model, rank=2, layers="attn.qkv"))
    names = list(stored(lora(model, rank=2, layers="attn.qkv")))
    assert all("lora_" in name or "head" in name for name in names) and len(names) == 4 * 2 + 2
    header = small.checkpoint_bytes - 4 * small.trainable
    assert 0 < header < 200 * len(names)
    assert full.checkpoint_bytes > 50 * small.checkpoint_bytes
    other = vit(seed=1)
    load_stored(other, stored(model))
    assert tl.methods.fingerprint(other) == tl.methods.fingerprint(model)


# -- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: lora(vit(), rank=0), "1 to 256, not 0"),
        (lambda: lora(vit(), layers="query"), "layers here end in"),
        (lambda: lora(lora(vit())), r"\(lora\) already"),
        (lambda: ia3(vit(), layers="nose"), "No linear layer of this model ends in nose.*fc1, fc2"),
        (lambda: bottleneck(vit(), width=0), "width is a whole number"),
        (lambda: prefix(vit(), length=True), "length is a whole number"),
        (lambda: prefix(tl.load_model("pocket-resnet", classes=3, pretrained=False)), "no prefix"),
        (lambda: lora(nn.Linear(3, 3)), "tl.load_model"),
        (lambda: merge(bottleneck(vit())), "Bottleneck: only LoRA"),
        (lambda: merge(vit()), "no adapter beside"),
        (lambda: unmerge(lora(vit())), "Nothing is merged"),
        (lambda: set_scale(ia3(vit()), 2), "only LoRA and bottleneck"),
        (lambda: set_scale(lora(vit()), "2"), "A scale is a number"),
        (lambda: load_stored(lora(vit(), rank=2), stored(lora(vit(), rank=3))), "another shape"),
        (lambda: load_stored(vit(), {}), "missing, unknown"),
        (lambda: stored(vit().requires_grad_(False)), "nothing to store"),
    ],
)
def test_what_cannot_be_is_refused(ask, says):
    with pytest.raises((CommandError, ModelError), match=says):
        ask()


def test_while_merged_nothing_is_turned_or_exchanged():
    adapted = lora(vit())
    state = stored(adapted)
    merge(adapted)
    for ask in (lambda: merge(adapted), lambda: set_scale(adapted, 2),
                lambda: load_stored(adapted, state)):  # fmt: skip
        with pytest.raises(ModelError, match="unmerge"):
            ask()


def test_a_broken_adapter_is_not_merged_and_changes_nothing():
    adapted = trained(lora(vit(), rank=2), "vit").model
    with torch.no_grad():
        adapted.model.body.blocks[-1].attn.qkv.lora_B["adapter"].weight[0, 0] = float("inf")
    bits = tl.methods.fingerprint(adapted)
    with pytest.raises(ModelError, match="cannot be merged"):
        merge(adapted)
    assert tl.methods.fingerprint(adapted) == bits
    set_scale(adapted, 1)  # not merged
