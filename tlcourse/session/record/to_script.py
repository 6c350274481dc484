"""A record as a plain PyTorch script: the same training without a session, to read and to hand in.

The script follows the timeline that the run ended on; what was rewound or left is not in it, since a
state is determined by its step and its history alone.
"""

import inspect
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tlcourse import rng
from tlcourse.errors import RecordError

from ..commands import (
    AddLoRA,
    Augment,
    Command,
    Freeze,
    SetLR,
    SetScale,
    SetWeight,
    SwapHead,
    Unfreeze,
    members,
)
from ..engine import batches
from ..timelines.history import last_timeline
from .record import Record
from .script_template import ADD_LORA, SWAP_HEAD, TEMPLATE

_KEY = 0x7FFF_FFFF_FFFF_FFFF


def to_script(record: Record | str | Path) -> str:
    """A Python script that trains as the recorded run did, to the same losses, bit for bit on the same
    machine, and prints the last loss and the accuracy on test data.

    Where `load_model` or `load_data` cannot make the model or the data again, or where the loss is not
    cross-entropy or has further terms, the script has a marked place to put them. Raises RecordError for
    a record that is not whole, or of a run in several processes.
    """
    if not isinstance(record, Record):
        record = Record.load(record)
    header = record.header
    try:
        recipe = header["recipe"]
        steps, history = last_timeline(record)
        return _Writer(header, recipe).write(steps, history)
    except (KeyError, TypeError) as error:
        raise RecordError(f"The record's header is not whole: {error!r}.") from None


class _Writer:
    """Follows what is frozen, at which rates, as the session did: so a command becomes plain lines."""

    def __init__(self, header: dict[str, Any], recipe: dict[str, Any]):
        if header.get("ranks", 1) > 1:
            raise RecordError("This run was trained by several processes; a script is for one.")
        self.header, self.recipe = header, recipe
        self.names: list[str] = list(recipe["lr"])
        self.rates = dict(recipe["lr"])
        self.frozen = dict.fromkeys(recipe["freeze"], recipe["freeze_stats"])
        self.adapters: list[str] = []
        self.heads = 0

    def write(self, steps: int, history: Any) -> str:
        header, recipe = self.header, self.recipe
        done = [command for _, command in history]
        augmented = recipe["augment"] > 0 or any(isinstance(c, Augment) for c in done)
        terms = dict(recipe.get("weights") or {})
        layout, bf16 = recipe["layout"] == "channels_last", recipe["precision"] == "bf16"
        device = header.get("device", "cpu")
        adamw = recipe["optimizer"] == "adamw"
        kind, settings = ("AdamW", "") if adamw else ("SGD", "momentum=0.9, ")
        data = _call("load_data", header.get("data"), "YOUR_DATA  # put your data here")
        model = "YOUR_MODEL  # put your model here, as it was before the run"
        model = _call("load_model", header.get("model"), model)
        return TEMPLATE.format(
            steps=steps,
            versions=f"torch {header['versions']['torch']}, {header['machine']}",
            imports=_imports(augmented, done, terms),
            functions=_functions(augmented)
            + "".join(
                f"\n\n{source}"
                for source, kind in ((ADD_LORA, AddLoRA), (SWAP_HEAD, SwapHead))
                if any(isinstance(c, kind) for c in done)
            ),
            threads=header.get("threads", 1),
            data=data,
            model=model,
            tlcourse="import tlcourse as tl\n\n" if "tl." in data + model else "",
            moved="" if device == "cpu" else f"model.to({device!r})\n",
            to="" if device == "cpu" else f".to({device!r})",
            back="" if device == "cpu" else ".cpu()",
            adapters="adapters = {}\n" if any(isinstance(c, AddLoRA) for c in done) else "",
            channels_last="model.to(memory_format=torch.channels_last)\n" if layout else "",
            rates=_rates(recipe["lr"]),
            optimizer=f"torch.optim.{kind}",
            settings=f"{settings}weight_decay={recipe['weight_decay']!r}",
            frozen=recipe["freeze"] and list(recipe["freeze"]) or [],
            still=_braces(self.frozen) if self.frozen and recipe["freeze_stats"] else "set()",
            loss=_loss(header.get("loss", "cross_entropy"), terms),
            batch_size=recipe["batch_size"],
            seed=recipe["seed"],
            strength=f"strength = {recipe['augment']!r}  # of augmentation\n" if augmented else "",
            augment=_AUGMENT if augmented else "",
            laid_out=".contiguous(memory_format=torch.channels_last)" if layout else "",
            interventions=self._interventions(history),
            noise=rng.fold_in(recipe["seed"], "noise"),
            body=textwrap.indent(_body(recipe["accumulate"], bf16, device, bool(terms)), "    "),
            cast=f"torch.no_grad(), {_cast(device)}" if bf16 else "torch.no_grad()",
        )

    # -- interventions -------------------------------------------------------------------------

    def _interventions(self, history: Any) -> str:
        rows: list[str] = []
        last = None
        for step, command in history:
            if step != last:
                rows.append(f"    if step == {step}:")
            rows.append(f"        # {command!r}")
            rows += [f"        {line}" for line in self._lines(command)]
            last = step
        return "\n".join(rows) + "\n" if rows else ""

    def _lines(self, command: Command) -> Iterator[str]:
        match command:
            case SetLR(group, lr):
                yield from self._set([n for n in self._of(group) if n not in self.frozen], lr)
            case Freeze(group, stats):
                asked = [n for n in self._of(group) if self.frozen.get(n) != stats]
                yield from self._freeze(asked, stats)
            case Unfreeze(group, lr):
                asked = [n for n in self._of(group) if n in self.frozen]
                for name in asked:
                    del self.frozen[name]
                yield from _requires_grad(asked, True)
                yield f"still -= {_braces(asked)}"
                if lr is not None:
                    yield from self._set(asked, lr)
            case AddLoRA():
                yield from self._add_lora(command)
            case SetScale(adapter, value):
                held = "adapters" if adapter in self.adapters else "model.scalable"
                yield f"for layer in {held}[{adapter!r}]:"
                yield f"    layer.set_scale({adapter!r}, {float(value)!r})"
            case SwapHead(head, lr):
                key = rng.fold_in(self.recipe["seed"], "head", self.heads) & _KEY
                self.heads += 1
                name = self.names[-1]
                yield f"held[{name!r}]['params'] = groups[{name!r}] = swap_head("
                yield f"    model, groups[{name!r}], mlp={head == 'mlp'}, key={key}"
                yield ")"
                if name in self.frozen:
                    yield from _requires_grad([name], False)
                if lr is not None:
                    yield from self._set([name], lr)
            case SetWeight(term, value):
                yield f"weights[{term!r}] = {float(value)!r}"
            case Augment(strength):
                yield f"strength = {float(strength)!r}"

    def _add_lora(self, command: AddLoRA) -> Iterator[str]:
        name, asked = command.name, self._of(command.group)
        training = [self.rates[n] for n in self.names if n not in self.frozen]
        rate = max(training) if command.lr is None else command.lr
        endings = tuple(p.strip() for p in (command.layers or "").split(",") if p.strip())
        alpha = command.rank if command.alpha is None else command.alpha
        key = rng.fold_in(self.recipe["seed"], "lora", name) & _KEY
        yield f"wanted = [p for name in {asked!r} for p in groups[name]]"
        yield f"adapters[{name!r}] = add_lora("
        yield f"    model, wanted, {name!r}, rank={command.rank}, alpha={alpha!r},"
        yield f"    endings={endings!r}, key={key},"
        yield ")"
        yield f"groups[{name!r}] = ["
        yield f"    p for layer in adapters[{name!r}] for part in (layer.lora_A, layer.lora_B)"
        yield "    for p in part.parameters()"
        yield "]"
        yield f"optimizer.add_param_group({{'params': groups[{name!r}], 'lr': {rate!r}}})"
        yield f"held[{name!r}] = optimizer.param_groups[-1]"
        self.names.insert(len(self.names) - 1, name)
        self.rates[name] = rate
        self.adapters.append(name)
        yield from self._freeze([n for n in asked if n not in self.frozen], True)

    def _freeze(self, asked: list[str], stats: bool) -> Iterator[str]:
        if asked:
            self.frozen |= dict.fromkeys(asked, stats)
            yield from _requires_grad(asked, False)
            yield f"still {'|' if stats else '-'}= {_braces(asked)}"

    def _set(self, asked: list[str], lr: float) -> Iterator[str]:
        for name in asked:
            self.rates[name] = lr
            yield f"held[{name!r}]['lr'] = {lr!r}"

    def _of(self, group: str) -> list[str]:
        return members(group, self.names, self.adapters)


_AUGMENT = """\
    if strength:
        u = uniforms(fold_in(SEED, "augment", epoch), numbers, DRAWS)
        x = augment(x, u, strength, getattr(data, "flips", False))
"""


def _requires_grad(asked: list[str], on: bool) -> Iterator[str]:
    yield f"for name in {asked!r}:"
    yield f"    for p in groups[name]: p.requires_grad_({on})"


def _imports(augmented: bool, done: list[Command], terms: dict[str, float]) -> str:
    lora = any(isinstance(c, AddLoRA) for c in done)
    plain = ["math", "zlib"] if augmented else ["zlib"]
    rows = [f"import {name}" for name in plain]
    if terms:
        rows.append("from collections import namedtuple")
    return "\n".join(
        [
            *rows,
            "",
            "import numpy as np",
            "import torch",
            "import torch.nn.functional as F",
            *(["from peft import LoraConfig, inject_adapter_in_model"] if lora else []),
            "from torch import Tensor, nn",
        ]
    )


def _functions(augmented: bool) -> str:
    parts = [rng.mix, rng.fold_in, rng.permutation]
    constants = f"_MASK, _GOLDEN = {rng._MASK:#x}, {rng._GOLDEN:#x}"
    if augmented:
        parts += [rng.uniforms, batches.augment]
        constants += f"\nDRAWS = {batches.DRAWS}"
    return "\n\n\n".join([constants, *(inspect.getsource(part).strip() for part in parts)]) + "\n"


def _call(name: str, recipe: dict[str, Any] | None, otherwise: str) -> str:
    if not recipe or "name" not in recipe:
        return otherwise
    values = dict(recipe)
    first = values.pop("name")
    rest = "".join(f", {key}={value!r}" for key, value in values.items())
    if name == "load_model" and "classes" in values:
        rest = rest.replace(f"classes={values['classes']!r}", "classes=data.classes")
    return f"tl.{name}({first!r}{rest})"


def _rates(lr: dict[str, float]) -> str:
    return "{" + ", ".join(f"{name!r}: {rate!r}" for name, rate in lr.items()) + "}"


def _loss(name: str, terms: dict[str, float]) -> str:
    rows = []
    if name == "cross_entropy":
        rows.append("loss_of = F.cross_entropy")
    else:
        rows.append(f"loss_of = YOUR_LOSS  # put your loss here: {name}(logits, y)")
    if terms:
        rows.append(f"weights = {terms!r}  # of the loss's further terms")
        rows.append(
            f"terms = YOUR_TERMS  # put here {', '.join(terms)}: a dict of functions of (model, batch)"
        )
        rows.append("Batch = namedtuple('Batch', 'x y logits step')")
    return "\n".join(rows)


def _cast(device: str) -> str:
    return f"torch.autocast({device.split(':')[0]!r}, torch.bfloat16)"


def _body(accumulate: int, bf16: bool, device: str, terms: bool) -> str:
    place = "step" if accumulate == 1 else f"step * {accumulate} + part"
    rows = [f"x, y = batch({place})"]
    forward = ["logits = model(x)", "loss = total = loss_of(logits, y)"]
    if terms:
        forward += [
            "for name, weight in weights.items():",
            "    if weight:",
            "        total = total + weight * terms[name](model, Batch(x, y, logits, step))",
        ]
    else:
        forward[1] = "loss = loss_of(logits, y)"
    if bf16:
        rows += [f"with {_cast(device)}:", *(f"    {row}" for row in forward)]
    else:
        rows += forward
    total = "total" if terms else "loss"
    if accumulate == 1:
        return "\n".join([*rows, f"{total}.backward()", "losses.append(loss.item())"])
    share = f"1 / {accumulate}"
    inner = [*rows, f"({total} * ({share})).backward()", f"value += loss.item() / {accumulate}"]
    return "\n".join(
        [
            "value = 0.0",
            f"for part in range({accumulate}):",
            *(f"    {row}" for row in inner),
            "losses.append(value)",
        ]
    )


def _braces(names: Iterable[str]) -> str:
    """A set as code, in this order: Python's own would change from run to run."""
    return "{" + ", ".join(map(repr, names)) + "}"
