"""A record as a plain PyTorch script: the same training without a session, to read and to hand in.

The script follows the timeline that the run ended on; what was rewound or left is not in it, since a
state is determined by its step and its history alone.
"""

import inspect
import string
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tlcourse import rng
from tlcourse.errors import CommandError, RecordError

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
from ..recipe import Recipe
from ..timelines.history import last_timeline
from .header import check_header, check_plain, is_argument, need, printable, recipe_of
from .record import Record
from .script_template import ADD_LORA, SWAP_HEAD, TEMPLATE

_KEY = 0x7FFF_FFFF_FFFF_FFFF
_UNQUOTED = str.maketrans("", "", "\"'\\")


class Code(str):
    """A piece of the script. Only `code` and the three functions below it make one."""

    __slots__ = ()


class _Filler(string.Formatter):
    """`str.format` for source code: a `Code` enters as it is, any other value as its literal."""

    def format_field(self, value: Any, spec: str) -> str:
        return value if isinstance(value, Code) else literal(value)


def code(template: str, *values: Any, **named: Any) -> Code:
    """template: this package's own text, with {} or {name} where a value goes."""
    return Code(_Filler().vformat(template, values, named))


def argument(name: str) -> Code:
    """The name of an argument. Raises RecordError for what is no identifier."""
    if not is_argument(name):
        raise RecordError(f"An argument's name must be an identifier, not {name!r}.")
    return Code(name)


def comment(text: str) -> Code:
    """Text for a comment: it stays on its line."""
    return Code(printable(text))


def docstring(text: str) -> Code:
    """Text for within a docstring: it cannot end it."""
    return Code(printable(text).translate(_UNQUOTED))


def literal(value: Any) -> Code:
    """A plain value as source. Raises RecordError for any other."""
    check_plain(value)
    if isinstance(value, dict):
        rows = [f"{literal(key)}: {literal(inner)}" for key, inner in value.items()]
        return Code("{" + ", ".join(rows) + "}")
    if isinstance(value, list | tuple):
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        begin, end = "()" if isinstance(value, tuple) else "[]"
        return Code(begin + ", ".join(map(literal, value)) + comma + end)
    for kind in (bool, str, int, float):  # what numpy makes of them is no literal
        if isinstance(value, kind):
            return Code(repr(kind(value)))
    return Code(repr(value))


def to_script(record: Record | str | Path) -> str:
    """A Python script that trains as the recorded run did, to the same losses, bit for bit on the same
    machine, and prints the last loss and the accuracy on test data.

    Where `load_model` or `load_data` cannot make the model or the data again, where the loss is not
    cross-entropy or has further terms, or where a function of the user's made the optimizer or the
    scheduler, the script has a marked place to put them. Nothing from the
    record becomes code: it enters as literals, and as names of arguments. Raises RecordError for a
    record that is not whole, or of a run in several processes.
    """
    if not isinstance(record, Record):
        record = Record.load(record)
    header = check_header(record.header)  # again: a record need not come from a file
    need(header, "versions", "machine", "recipe")
    try:
        steps, history = last_timeline(record)
        return str(_Writer(header).write(steps, history))
    except CommandError as error:
        raise RecordError(
            printable(f"A command of this record cannot be written: {error}")
        ) from None


class _Writer:
    """Follows what is frozen, at which rates, as the session did: so a command becomes plain lines."""

    def __init__(self, header: dict[str, Any]):
        if header.get("ranks", 1) > 1:
            raise RecordError("This run was trained by several processes; a script is for one.")
        self.header, self.recipe = header, recipe_of(header)
        self.names: list[str] = list(self.recipe.lr)
        self.rates = dict(self.recipe.lr)
        self.frozen = dict.fromkeys(self.recipe.freeze, self.recipe.freeze_stats)
        self.adapters: list[str] = []
        self.heads = 0

    def write(self, steps: int, history: Any) -> Code:
        header, recipe = self.header, self.recipe
        done = [command for _, command in history]
        self._check_rates(done)
        lora, swaps = (any(isinstance(c, kind) for c in done) for kind in (AddLoRA, SwapHead))
        augmented = recipe.augment > 0 or any(isinstance(c, Augment) for c in done)
        terms = dict(recipe.weights)
        layout, bf16 = recipe.layout == "channels_last", recipe.precision == "bf16"
        device = header.get("device", "cpu")
        on_cpu = device == "cpu"
        model = Code("YOUR_MODEL  # put your model here, as it was before the run")
        return code(
            TEMPLATE,
            steps=steps,
            versions=docstring(
                f"torch {header['versions'].get('torch', 'unknown')}, {header['machine']}"
            ),
            imports=_imports(augmented, lora, bool(terms), bool(header.get("parts"))),
            functions=_functions(augmented, lora, swaps),
            threads=header.get("threads", 1),
            data=_call("load_data", header, Code("YOUR_DATA  # put your data here")),
            model=_call("load_model", header, model),
            tlcourse=Code(
                "import tlcourse as tl\n\n" if any(map(_can_load, _calls(header))) else ""
            ),
            moved=Code("") if on_cpu else code("model.to({})\n", device),
            to=Code("") if on_cpu else code(".to({})", device),
            back=Code("" if on_cpu else ".cpu()"),
            adapters=Code("adapters = {}\n" if lora else ""),
            channels_last=Code("model.to(memory_format=torch.channels_last)\n" if layout else ""),
            rates=recipe.lr,
            parts=_parts(header.get("parts")),
            optimizer=_optimizer(recipe),
            scheduled=Code("    scheduler.step()\n" if recipe.scheduler else ""),
            frozen=list(recipe.freeze),
            still=_set(self.frozen if recipe.freeze_stats else ()),
            loss=_loss(header.get("loss", "cross_entropy"), terms),
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            strength=code("strength = {}  # of augmentation\n", recipe.augment)
            if augmented
            else Code(""),
            augment=Code(_AUGMENT if augmented else ""),
            laid_out=Code(".contiguous(memory_format=torch.channels_last)" if layout else ""),
            interventions=self._interventions(history),
            noise=rng.fold_in(recipe.seed, "noise"),
            body=Code(textwrap.indent(_body(recipe.accumulate, bf16, device, bool(terms)), "    ")),
            cast=code("torch.no_grad(), {}", _cast(device)) if bf16 else Code("torch.no_grad()"),
        )

    def _check_rates(self, done: Iterable[Command]) -> None:
        if "." not in self.recipe.optimizer and not self.recipe.scheduler:
            return
        for command in done:
            if isinstance(command, AddLoRA | SwapHead | SetLR) or getattr(command, "lr", None):
                raise RecordError(
                    f"{command!r} sets a factor on an optimizer or schedule of your own, and a script "
                    "does not write that. tl.replay(record, optimizer=…, scheduler=…) runs it again."
                )

    # -- interventions -------------------------------------------------------------------------

    def _interventions(self, history: Any) -> Code:
        rows: list[str] = []
        last = None
        for step, command in history:
            if step != last:
                rows.append(code("    if step == {}:", step))
            rows.append("        # " + comment(repr(command)))
            rows += ["        " + line for line in self._lines(command)]
            last = step
        return Code("".join(row + "\n" for row in rows))

    def _lines(self, command: Command) -> Iterator[Code]:
        match command:
            case SetLR(group, lr):
                yield from self._set_lr([n for n in self._of(group) if n not in self.frozen], lr)
            case Freeze(group, stats):
                asked = [n for n in self._of(group) if self.frozen.get(n) != stats]
                yield from self._freeze(asked, stats)
            case Unfreeze(group, lr):
                asked = [n for n in self._of(group) if n in self.frozen]
                for name in asked:
                    del self.frozen[name]
                yield from _requires_grad(asked, True)
                yield code("still -= {}", _set(asked))
                if lr is not None:
                    yield from self._set_lr(asked, lr)
            case AddLoRA():
                yield from self._add_lora(command)
            case SetScale(adapter, value):
                held = Code("adapters" if adapter in self.adapters else "model.scalable")
                yield code("for layer in {}[{}]:", held, adapter)
                yield code("    layer.set_scale({}, {})", adapter, float(value))
            case SwapHead(head, lr):
                key = rng.fold_in(self.recipe.seed, "head", self.heads) & _KEY
                self.heads += 1
                name = self.names[-1]
                yield code("held[{0}]['params'] = groups[{0}] = swap_head(", name)
                yield code("    model, groups[{}], mlp={}, key={}", name, head == "mlp", key)
                yield Code(")")
                if name in self.frozen:
                    yield from _requires_grad([name], False)
                if lr is not None:
                    yield from self._set_lr([name], lr)
            case SetWeight(term, value):
                yield code("weights[{}] = {}", term, float(value))
            case Augment(strength):
                yield code("strength = {}", float(strength))

    def _add_lora(self, command: AddLoRA) -> Iterator[Code]:
        name, asked = command.name, self._of(command.group)
        training = [self.rates[n] for n in self.names if n not in self.frozen]
        rate = max(training or self.rates.values()) if command.lr is None else command.lr
        endings = tuple(p.strip() for p in (command.layers or "").split(",") if p.strip())
        alpha = command.rank if command.alpha is None else command.alpha
        key = rng.fold_in(self.recipe.seed, "lora", name) & _KEY
        yield code("wanted = [p for name in {} for p in groups[name]]", asked)
        yield code("adapters[{}] = add_lora(", name)
        yield code("    model, wanted, {}, rank={}, alpha={},", name, command.rank, alpha)
        yield code("    endings={}, key={},", endings, key)
        yield Code(")")
        yield code("groups[{}] = [", name)
        yield code("    p for layer in adapters[{}] for part in (layer.lora_A, layer.lora_B)", name)
        yield Code("    for p in part.parameters()")
        yield Code("]")
        yield code("optimizer.add_param_group({{'params': groups[{}], 'lr': {}}})", name, rate)
        yield code("held[{}] = optimizer.param_groups[-1]", name)
        self.names.insert(len(self.names) - 1, name)
        self.rates[name] = rate
        self.adapters.append(name)
        yield from self._freeze([n for n in asked if n not in self.frozen], True)

    def _freeze(self, asked: list[str], stats: bool) -> Iterator[Code]:
        if asked:
            self.frozen |= dict.fromkeys(asked, stats)
            yield from _requires_grad(asked, False)
            yield code("still {} {}", Code("|=" if stats else "-="), _set(asked))

    def _set_lr(self, asked: list[str], lr: float) -> Iterator[Code]:
        for name in asked:
            self.rates[name] = lr
            yield code("held[{}]['lr'] = {}", name, lr)

    def _of(self, group: str) -> list[str]:
        return members(group, self.names, self.adapters)


_AUGMENT = """\
    if strength:
        u = uniforms(fold_in(SEED, "augment", epoch), numbers, DRAWS)
        x = augment(x, u, strength, getattr(data, "flips", False))
"""


def _requires_grad(asked: list[str], on: bool) -> Iterator[Code]:
    yield code("for name in {}:", asked)
    yield code("    for p in groups[name]: p.requires_grad_({})", on)


def _imports(augmented: bool, lora: bool, terms: bool, divided: bool) -> Code:
    rows = ["import math"] if augmented else []
    rows.append("import zlib")
    if terms:
        rows.append("from collections import namedtuple")
    if divided:
        rows.append("from operator import attrgetter")
    rows += ["", "import numpy as np", "import torch", "import torch.nn.functional as F"]
    if lora:
        rows.append("from peft import LoraConfig, inject_adapter_in_model")
    return Code("\n".join([*rows, "from torch import Tensor, nn"]))


@cache  # looking a function's source up parses its whole module
def _functions(augmented: bool, lora: bool, swaps: bool) -> Code:
    parts = [rng.mix, rng.fold_in, rng.permutation]
    constants = "_MASK, _GOLDEN = " + f"{rng._MASK:#x}, {rng._GOLDEN:#x}"
    if augmented:
        parts += [rng.uniforms, batches.augment]
        constants += f"\nDRAWS = {batches.DRAWS}"
    rows = [constants, *(inspect.getsource(part).strip() for part in parts)]
    added = [source for source, used in ((ADD_LORA, lora), (SWAP_HEAD, swaps)) if used]
    return Code("\n\n\n".join(rows) + "\n" + "".join("\n\n" + source for source in added))


def _calls(header: dict[str, Any]) -> list[dict[str, Any] | None]:
    return [header.get("data"), header.get("model")]


def _can_load(call: dict[str, Any] | None) -> bool:
    return bool(call) and "name" in call


def _call(function: str, header: dict[str, Any], otherwise: Code) -> Code:
    call = header.get(function.removeprefix("load_"))
    if not _can_load(call):
        return otherwise
    rest = Code("")
    for key, value in call.items():
        if key == "classes" and function == "load_model":
            value = Code("data.classes")
        if key != "name":
            rest = code("{}, {}={}", rest, argument(key), value)
    return code("tl.{}({}{})", Code(function), call["name"], rest)


def _optimizer(recipe: Recipe) -> Code:
    rows = [
        Code("param_groups = ["),
        Code('    {"params": groups[name], "lr": lr[name], "name": name} for name in lr'),
        Code("]"),
    ]
    if "." in recipe.optimizer:
        made = code("YOUR_OPTIMIZER(param_groups)  # put here {}", comment(recipe.optimizer))
    else:
        adamw = recipe.optimizer == "adamw"
        kind, momentum = Code("AdamW" if adamw else "SGD"), Code("" if adamw else "momentum=0.9, ")
        settings = code("{}weight_decay={}", momentum, recipe.weight_decay)
        made = code("torch.optim.{}(param_groups, {}, fused=True)", kind, settings)
    rows.append(code("optimizer = {}", made))
    if recipe.scheduler:
        put = comment(recipe.scheduler)
        rows.append(code("scheduler = YOUR_SCHEDULER(optimizer)  # put here {}", put))
    return Code("".join(f"{row}\n" for row in rows))


def _parts(paths: dict[str, list[str]] | None) -> Code:
    if paths is None:  # the model's own groups, or of a record that says nothing, its children
        return Code(_PARTS)
    return code(_DIVIDED, paths)


_PARTS = """\
parts = getattr(model, "groups", None) or dict(model.named_children())
groups = {name: list(parts[name].parameters()) for name in lr}"""
_DIVIDED = """\
paths = {}
seen = set()  # weights that two groups share belong to the first
parts, groups = {{}}, {{}}
for name in lr:
    found = [attrgetter(path)(model) for path in paths[name]]
    parts[name] = nn.ModuleList(part for part in found if isinstance(part, nn.Module))
    loose = [part for part in found if isinstance(part, nn.Parameter)]
    groups[name] = [p for p in (*loose, *parts[name].parameters()) if p not in seen]
    seen.update(groups[name])"""


def _loss(name: str, terms: dict[str, float]) -> Code:
    rows = [Code("loss_of = F.cross_entropy")]
    if name != "cross_entropy":
        rows = [code("loss_of = YOUR_LOSS  # put your loss here: {}(logits, y)", comment(name))]
    if terms:
        named = comment(", ".join(terms))
        rows += [
            code("weights = {}  # of the loss's further terms", terms),
            code("terms = YOUR_TERMS  # put here {}: a dict of functions of (model, batch)", named),
            Code("Batch = namedtuple('Batch', 'x y logits step')"),
        ]
    return Code("\n".join(rows))


def _cast(device: str) -> Code:
    return code("torch.autocast({}, torch.bfloat16)", device.split(":")[0])


def _body(accumulate: int, bf16: bool, device: str, terms: bool) -> Code:
    place = Code("step") if accumulate == 1 else code("step * {} + part", accumulate)
    rows = [code("x, y = batch({})", place)]
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
        rows += [code("with {}:", _cast(device)), *("    " + row for row in forward)]
    else:
        rows += forward
    total = Code("total" if terms else "loss")
    if accumulate == 1:
        return Code("\n".join([*rows, code("{}.backward()", total), "losses.append(loss.item())"]))
    inner = [
        *rows,
        code("({} * (1 / {})).backward()", total, accumulate),
        code("value += loss.item() / {}", accumulate),
    ]
    return Code(
        "\n".join(
            [
                "value = 0.0",
                code("for part in range({}):", accumulate),
                *("    " + row for row in inner),
                "losses.append(value)",
            ]
        )
    )


def _set(names: Iterable[str]) -> Code:
    """A set as code, in this order: Python's own would change from run to run."""
    return Code("{" + ", ".join(map(literal, names)) + "}") if names else Code("set()")
