"""A record as a plain PyTorch script: the same training without a session, to read and to share.

The script follows the timeline on which the run ended. What was rewound, or left on another branch, is
not in it: step and history alone determine a state.
"""

import inspect
import string
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from tlcourse import rng
from tlcourse.errors import CommandError, RecordError
from tlcourse.schema import printable, shown

from ..commands import AddLoRA, Augment, Command, SetLR, Stop, SwapHead, members
from ..engine import batches
from ..events import Applied
from ..recipe import Recipe
from ..state import GroupState, RunState
from ..timelines.paths import Paths, is_steering
from .record import Record
from .schema import check_header, check_plain, is_argument, need, recipe_of
from .script_template import ADD_LORA, SWAP_HEAD, TEMPLATE

_KEY = 0x7FFF_FFFF_FFFF_FFFF
_UNQUOTED = str.maketrans("", "", "\"'\\")


class Code(str):
    """A piece of the script: this package's own text, or a value made safe by the functions below."""

    __slots__ = ()


class _Filler(string.Formatter):
    """`str.format` for source code: a `Code` is inserted as it is, any other value as a literal."""

    def format_field(self, value: Any, spec: str) -> str:
        return value if isinstance(value, Code) else literal(value)


def code(template: str, *values: Any, **named: Any) -> Code:
    """template: this package's own text, with {} or {name} where a value goes."""
    return Code(_Filler().vformat(template, values, named))


def argument(name: str) -> Code:
    """The name of an argument. Raises RecordError if it is not an identifier."""
    if not is_argument(name):
        raise RecordError(f"An argument's name must be an identifier, not {name!r}.")
    return Code(name)


def comment(text: str) -> Code:
    """Text for a comment, kept on one line."""
    return Code(printable(text))


def docstring(text: str) -> Code:
    """Text inside a docstring, which it cannot end."""
    return Code(printable(text).translate(_UNQUOTED))


def literal(value: Any) -> Code:
    """A plain value as source code. Raises RecordError for any other value."""
    check_plain(value)
    if isinstance(value, dict):
        rows = [f"{literal(key)}: {literal(inner)}" for key, inner in value.items()]
        return Code("{" + ", ".join(rows) + "}")
    if isinstance(value, list | tuple):
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        begin, end = "()" if isinstance(value, tuple) else "[]"
        return Code(begin + ", ".join(map(literal, value)) + comma + end)
    for kind in (bool, str, int, float):  # NumPy subclasses have another repr
        if isinstance(value, kind):
            return Code(repr(kind(value)))
    return Code(repr(value))


def to_script(record: Record | str | Path) -> str:
    """A Python script that repeats the recorded training, with the same losses bit for bit on the same
    machine, and prints the last loss and the test accuracy.

    The script has a marked place for whatever a record cannot recreate: a model or data that do not come
    from `load_model` or `load_data`, a loss other than cross-entropy, further loss terms, and functions
    that make the optimizer or scheduler. Nothing from the record becomes code, except as literals and
    argument names. Raises RecordError for a record that is incomplete, or of a run in several processes.
    """
    if not isinstance(record, Record):
        record = Record.load(record)
    if not record.complete:
        raise RecordError(
            "A record of format 1 does not hold the state of the groups after each command; run it "
            "again first: tl.to_script(tl.replay(record).run.record)."
        )
    header = check_header(record.header)  # again, since a record need not come from a file
    need(header, "versions", "machine", "recipe", "began")
    paths = Paths(record.events)
    history = [event for event in paths.events(paths.now) if is_steering(event)]
    ending = record.commands[-1][1] if record.commands else None
    steps = (
        paths.step(*paths.line(paths.now)[-1])
        if isinstance(ending, Stop)
        else recipe_of(header).steps
    )
    try:
        return str(_Writer(header).write(steps, record.began, history))
    except CommandError as error:
        raise RecordError(
            printable(f"A command of this record cannot be written: {error}")
        ) from None


class _Writer:
    """Writes each command as plain lines, from the states of the run before and after it."""

    def __init__(self, header: dict[str, Any]):
        if header.get("ranks", 1) > 1:
            raise RecordError("This run was trained by several processes; a script is for one.")
        self.header, self.recipe = header, recipe_of(header)
        self.adapters: list[str] = []
        self.heads = 0

    def write(self, steps: int, began: RunState, history: list[Applied]) -> Code:
        header, recipe = self.header, self.recipe
        done = [applied.command for applied in history]
        self.own_rates = "." in recipe.optimizer or bool(recipe.scheduler)
        if self.own_rates:
            _check_rates(done)
        lora, swaps = (any(isinstance(c, kind) for c in done) for kind in (AddLoRA, SwapHead))
        augmented = recipe.augment > 0 or any(isinstance(c, Augment) for c in done)
        terms = dict(recipe.weights)
        layout, bf16 = recipe.layout == "channels_last", recipe.precision == "bf16"
        device = header.get("device", "cpu")
        on_cpu = device == "cpu"
        during, after = self._interventions(began, history, steps)
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
            parts=Code(_parts(header.get("parts")) + _fixed(header.get("fixed"))),
            optimizer=_optimizer(recipe),
            scheduled=Code("    scheduler.step()\n" if recipe.scheduler else ""),
            frozen=list(recipe.freeze),
            frozen_stats=_set(recipe.freeze if recipe.freeze_stats else ()),
            loss=_loss(header.get("loss", "cross_entropy"), terms),
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            strength=code("strength = {}  # of augmentation\n", recipe.augment)
            if augmented
            else Code(""),
            augment=Code(_AUGMENT if augmented else ""),
            laid_out=Code(".contiguous(memory_format=torch.channels_last)" if layout else ""),
            interventions=Code("".join("    " + row for row in during)),
            final=Code("".join(["\n# After the last step.\n\n", *after] if after else "")),
            noise=rng.fold_in(recipe.seed, "noise"),
            body=Code(textwrap.indent(_body(recipe.accumulate, bf16, device, bool(terms)), "    ")),
            cast=code("torch.no_grad(), {}", _cast(device)) if bf16 else Code("torch.no_grad()"),
        )

    # -- interventions -------------------------------------------------------------------------

    def _interventions(
        self, began: RunState, history: list[Applied], steps: int
    ) -> tuple[list[str], list[str]]:
        """Lines for what was done before a step, and after the last one."""
        during: list[str] = []
        after: list[str] = []
        before = began
        for step, at_step in groupby(history, lambda applied: applied.step):
            lines: list[Code] = []
            for applied in at_step:
                lines.append(Code("# " + comment(repr(applied.command))))
                lines += self._lines(applied.command, before, applied.state)
                before = applied.state
            if step >= steps:
                after += [line + "\n" for line in lines]
                continue
            if all(line.startswith("#") for line in lines):
                lines.append(Code("pass"))
            during += [code("if step == {}:", step) + "\n"]
            during += ["    " + line + "\n" for line in lines]
        return during, after

    def _lines(self, command: Command, before: RunState, after: RunState) -> Iterator[Code]:
        """What a command creates, then each difference between the states before and after it."""
        was = {group.name: group for group in before.groups}
        if isinstance(command, AddLoRA):
            yield from self._add_lora(command, before, after)
        elif isinstance(command, SwapHead):
            yield from self._swap_head(command, after)
            if old := was.get(after.groups[-1].name):
                was[old.name] = replace(old, trainable=True)  # as fresh parameters are
        off, on, stats_off, stats_on = [], [], [], []
        for group in after.groups:
            old = was.get(group.name, replace(group, trainable=True))
            if old.trainable != group.trainable:
                (on if group.trainable else off).append(group.name)
            if _stats_frozen(old) != _stats_frozen(group):
                (stats_off if _stats_frozen(group) else stats_on).append(group.name)
            if group.lr != old.lr and not self.own_rates:
                yield code("optimizer_groups[{}]['lr'] = {}", group.name, group.lr)
            if group.scale != old.scale:
                layers = Code("adapters" if group.name in self.adapters else "model.scalable")
                yield code("for layer in {}[{}]:", layers, group.name)
                yield code("    layer.set_scale({}, {})", group.name, float(group.scale or 0.0))
        for names, trains in ((off, False), (on, True)):
            if names:
                yield code("for name in {}:", names)
                yield code("    for p in groups[name]: p.requires_grad_({})", trains)
        if stats_off:
            yield code("frozen_stats |= {}", _set(stats_off))
        if stats_on:
            yield code("frozen_stats -= {}", _set(stats_on))
        for name, weight in after.weights.items():
            if before.weights.get(name) != weight:
                yield code("weights[{}] = {}", name, float(weight))
        if before.augment != after.augment:
            yield code("strength = {}", float(after.augment or 0.0))

    def _add_lora(self, command: AddLoRA, before: RunState, after: RunState) -> Iterator[Code]:
        name = command.name
        names = [group.name for group in before.groups]
        adapters = [group.name for group in before.groups if group.kind == "adapter"]
        wanted = members(command.group, names, adapters)
        rate = next((group.lr for group in after.groups if group.name == name), None)
        if rate is None:
            raise RecordError(f"After {shown(command)} there is no group {shown(name)}.")
        endings = tuple(p.strip() for p in (command.layers or "").split(",") if p.strip())
        alpha = command.rank if command.alpha is None else command.alpha
        key = rng.fold_in(self.recipe.seed, "lora", name) & _KEY
        yield code("wanted = [p for name in {} for p in groups[name]]", wanted)
        yield code("adapters[{}] = add_lora(", name)
        yield code("    model, wanted, {}, rank={}, alpha={},", name, command.rank, alpha)
        yield code("    endings={}, key={},", endings, key)
        yield Code(")")
        yield code("groups[{}] = [", name)
        yield code("    p for layer in adapters[{}] for part in (layer.lora_A, layer.lora_B)", name)
        yield Code("    for p in part.parameters()")
        yield Code("]")
        yield code("optimizer.add_param_group({{'params': groups[{}], 'lr': {}}})", name, rate)
        yield code("optimizer_groups[{}] = optimizer.param_groups[-1]", name)
        self.adapters.append(name)

    def _swap_head(self, command: SwapHead, after: RunState) -> Iterator[Code]:
        key = rng.fold_in(self.recipe.seed, "head", self.heads) & _KEY
        self.heads += 1
        if not after.groups:
            raise RecordError(f"After {shown(command)} there are no groups.")
        name, mlp = after.groups[-1].name, command.head == "mlp"
        yield code("optimizer_groups[{0}]['params'] = groups[{0}] = swap_head(", name)
        yield code("    model, groups[{}], mlp={}, key={}", name, mlp, key)
        yield Code(")")


def _check_rates(done: Iterable[Command]) -> None:
    for command in done:
        if isinstance(command, AddLoRA | SwapHead | SetLR) or getattr(command, "lr", None):
            raise RecordError(
                f"{command!r} scales the rate of your own optimizer or schedule, which a script cannot "
                "express. Repeat the run with tl.replay(record, optimizer=…, scheduler=…)."
            )


def _stats_frozen(group: GroupState) -> bool:
    """Whether the group's BatchNorm statistics are frozen."""
    return not group.trainable and bool(group.stats)


_AUGMENT = """\
    if strength:
        u = uniforms(fold_in(SEED, "augment", epoch), numbers, DRAWS)
        x = augment(x, u, strength, getattr(data, "flips", False))
"""


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


@cache  # getsource parses a whole module each time
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


def _fixed(names: list[str] | None) -> Code:
    return code(_FIXED, names) if names else Code("")


def _parts(paths: dict[str, list[str]] | None) -> Code:
    if paths is None:  # the model's own groups; in an older record, its children
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

_FIXED = """
fixed = {{model.get_parameter(name) for name in {}}}
groups = {{name: [p for p in groups[name] if p not in fixed] for name in lr}}
for p in fixed:
    p.requires_grad_(False)"""


def _loss(name: str, terms: dict[str, float]) -> Code:
    rows = [Code("loss_of = F.cross_entropy")]
    if name != "cross_entropy":
        rows = [code("loss_of = YOUR_LOSS  # put your loss here: {}(logits, y)", comment(name))]
    if terms:
        named = comment(", ".join(terms))
        rows += [
            code("weights = {}  # of the further loss terms", terms),
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
    """A set as code, in the given order: Python's own order differs between processes."""
    return Code("{" + ", ".join(map(literal, names)) + "}") if names else Code("set()")
