"""A Hugging Face Trainer under steering: tiny BERT, real Trainer, its own schedule."""

import asyncio

import pytest
import torch

import tlcourse as tl
from tlcourse.errors import CommandError, SessionError
from tlcourse.session import Applied, Evaluated, Failed, Finished, Moved, StepDone

from .conftest import of

transformers = pytest.importorskip("transformers")


def tiny_bert():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=12, num_labels=2,
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config)
    model.bert.requires_grad_(False)
    return model


def sentences(count=64):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 40, (count, 8), generator=generator)
    labels = (ids[:, 0] > 20).long()
    return [
        {"input_ids": i, "attention_mask": torch.ones_like(i), "labels": label}
        for i, label in zip(ids, labels, strict=True)
    ]


def trainer_in(
    folder, model, steps=12, kind=transformers.Trainer, compute_loss_func=None, **options
):
    defaults = {
        "per_device_train_batch_size": 8, "learning_rate": 1e-2, "lr_scheduler_type": "linear",
        "logging_steps": 1, "save_strategy": "no", "report_to": [], "disable_tqdm": True,
        "use_cpu": True, "seed": 1,
    }  # fmt: skip
    args = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=steps, **(defaults | options)
    )
    data = sentences()
    accuracy = {"compute_metrics": lambda p: {"accuracy": (p[0].argmax(1) == p[1]).mean()}}
    return kind(
        model=model, args=args, train_dataset=data, eval_dataset=data[:16],
        compute_loss_func=compute_loss_func, **accuracy,
    )  # fmt: skip


def rates_by(optimizer):
    """What rate each parameter goes by, step for step."""
    seen = []

    def look(optimizer, *_):
        seen.append({p: float(g["lr"]) for g in optimizer.param_groups for p in g["params"]})

    optimizer.register_step_pre_hook(look)
    return seen


def test_a_live_unfreeze_moves_the_weights_at_a_rate_that_follows_the_schedule(tmp_path):
    model = tiny_bert()
    trainer = trainer_in(tmp_path, model)
    steering = tl.steer_trainer(trainer)
    seen = rates_by(trainer.optimizer)  # accelerate wraps it later; this is the one within
    layer = next(g.name for g in steering.groups if g.name.startswith("layer"))
    weight = model.bert.encoder.layer[0].attention.self.query.weight
    before = weight.detach().clone()
    steering.at(3, tl.Unfreeze(layer, lr=1e-3))
    trainer.train()
    assert not torch.equal(weight, before)
    [applied], [moved] = of(Applied, steering.events), of(Moved, steering.events)
    scheduled = 1e-2 * (12 - 3) / 12
    assert applied.lrs == pytest.approx({layer: 1e-3, "classifier": scheduled})
    assert moved.moved[layer] > 0 and moved.moved["embeddings"] == 0
    head = model.classifier.weight
    assert [s[head] for s in seen] == pytest.approx([1e-2 * (12 - n) / 12 for n in range(12)])
    assert [s[weight] for s in seen[3:]] == pytest.approx(
        [1e-3 * (12 - n) / 9 for n in range(3, 12)]
    )
    assert (steering.status, steering.step, steering.steps) == ("finished", 12, 12)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_losses_are_those_that_the_trainer_logs(tmp_path, accumulate):
    trainer = trainer_in(tmp_path, tiny_bert(), gradient_accumulation_steps=accumulate, steps=4)
    steering = tl.steer_trainer(trainer)
    trainer.train()
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    losses = [e.loss for e in of(StepDone, steering.events)]
    assert len(losses) == 4 and losses == pytest.approx(logged, abs=2e-4)


def test_evaluations_reach_the_curves(tmp_path):
    trainer = trainer_in(tmp_path, tiny_bert(), steps=4, eval_strategy="steps", eval_steps=2)
    steering = tl.steer_trainer(trainer)
    trainer.train()
    told = [(e.step, e.accuracy) for e in of(Evaluated, steering.events)]
    logged = [
        (e["step"], e["eval_accuracy"]) for e in trainer.state.log_history if "eval_loss" in e
    ]
    assert told == logged and len(told) == 2
    assert len(of(StepDone, steering.events)) == 4  # evaluating is no step


def test_stop_ends_training_as_the_trainer_would(tmp_path):
    trainer = trainer_in(tmp_path, tiny_bert())
    steering = tl.steer_trainer(trainer)
    steering.at(5, tl.Stop())
    done = trainer.train()
    assert done.global_step == trainer.state.global_step == steering.step == 5
    assert of(Finished, steering.events)[0].reason == steering.status == "stopped"


def test_one_rate_leaves_the_decay_groups_as_they_are(tmp_path):
    model = tiny_bert().requires_grad_(True)
    trainer = trainer_in(tmp_path, model, weight_decay=0.1, steps=4)
    steering = tl.steer_trainer(trainer)
    seen = rates_by(trainer.optimizer)
    steering.at(1, tl.SetLR("classifier", 1e-3))
    trainer.train()
    decay, none = trainer.optimizer.param_groups[0], trainer.optimizer.param_groups[1]
    assert (decay["weight_decay"], none["weight_decay"]) == (0.1, 0.0)
    classifier = set(model.classifier.parameters())
    for step, rates in enumerate(seen):
        scheduled = 1e-2 * (4 - step) / 4
        for p, lr in rates.items():
            theirs = scheduled * (1e-3 / 7.5e-3 if p in classifier and step >= 1 else 1)
            assert lr == pytest.approx(theirs)


def test_adapters_and_rewind_work_in_a_trainer(tmp_path):
    trainer = trainer_in(tmp_path, tiny_bert())
    steering = tl.steer_trainer(trainer)
    steering.at(2, tl.Save("early"))
    steering.at(3, tl.AddLoRA("backbone", layers="query,value", rank=2, lr=5e-3))
    steering.at(9, tl.Rewind("early"))
    trainer.train()
    lora = of(Moved, steering.events)[0]
    assert lora.moved["lora"] > 0 and lora.moved["embeddings"] == 0
    assert steering.step == 2 + 3 and trainer.state.global_step == 12
    assert "lora" not in [g.name for g in steering.groups]


def test_resuming_from_a_checkpoint_trains_on_what_was_unfrozen(tmp_path):
    trainer = trainer_in(tmp_path, tiny_bert(), save_strategy="steps", save_steps=6, steps=6)
    steering = tl.steer_trainer(trainer)
    layer = next(g.name for g in steering.groups if g.name.startswith("layer"))
    steering.at(3, tl.Unfreeze(layer, lr=1e-3))
    trainer.train()

    model = tiny_bert()  # the script from the beginning: all but the head is frozen
    trainer = trainer_in(tmp_path, model, steps=12, save_strategy="no")
    steering = tl.steer_trainer(trainer)
    weight = model.bert.encoder.layer[0].attention.self.query.weight
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    assert [e.command.group for e in of(Applied, steering.events)] == [layer]
    assert of(Moved, steering.events)[0].moved[layer] > 0
    assert float(trainer.optimizer.state[weight]["step"]) == 3 + 6


def test_a_cockpit_steers_it_while_the_cell_awaits(tmp_path):
    trainer = trainer_in(tmp_path, tiny_bert(), steps=10**6, logging_steps=10**6)
    steering = tl.steer_trainer(trainer)

    async def cell():
        job = tl.beside(trainer.train)
        while steering.step < 3 and not job.over:
            await asyncio.sleep(0.01)
        steering.send(tl.Pause())
        while steering.status != "paused" and not job.over:
            await asyncio.sleep(0.01)
        steering.send(tl.Unfreeze("pooler"))  # acts while it is paused
        while len(of(Applied, steering.events)) < 2 and not job.over:
            await asyncio.sleep(0.01)
        steering.send(tl.Stop())
        return await job

    done = asyncio.run(cell())
    assert done.global_step == steering.step and steering.status == "stopped"
    commands = [type(e.command) for e in of(Applied, steering.events)]
    assert commands == [tl.Pause, tl.Unfreeze, tl.Stop]


def test_what_training_raised_is_told_and_raised(tmp_path):
    trainer = trainer_in(tmp_path, tiny_bert())
    steering = tl.steer_trainer(trainer)
    trainer.train_dataset[0]["input_ids"] = torch.full((8,), 99)  # no such token

    async def cell():
        await tl.beside(trainer.train)

    with pytest.raises(IndexError):
        asyncio.run(cell())
    assert steering.status == "failed" and "IndexError" in of(Failed, steering.events)[0].error


def test_a_trainer_is_steered_once_however_often_the_cell_runs(tmp_path):
    trainer = trainer_in(tmp_path, tiny_bert(), steps=3)
    first, second = tl.steer_trainer(trainer), tl.steer_trainer(trainer)
    trainer.train()
    assert not first.events and len(of(StepDone, second.events)) == 3


def test_what_cannot_be_steered_is_refused(tmp_path):
    args = transformers.TrainingArguments(output_dir=str(tmp_path), report_to=[], use_cpu=True)
    with pytest.raises(SessionError, match="model_init"):
        tl.steer_trainer(transformers.Trainer(model_init=tiny_bert, args=args))
    with pytest.raises(SessionError, match="no Trainer of transformers or lightning"):
        tl.steer_trainer(object())
    steering = tl.steer_trainer(trainer_in(tmp_path, tiny_bert()))
    with pytest.raises(CommandError, match="the steps are yours"):
        steering.send(tl.Twin())


# -- what the trainer does in its own ways ---------------------------------------------------------


class Weighted(transformers.Trainer):
    """Class weights, as the documentation shows them."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = torch.nn.functional.cross_entropy(outputs.logits, labels, torch.tensor([0.2, 3.0]))
        return (loss, outputs) if return_outputs else loss


def own_loss(outputs, labels, num_items_in_batch=None):
    return torch.nn.functional.multi_margin_loss(outputs.logits, labels)


OWN_LOSSES = {
    "class weights": {"kind": Weighted},
    "class weights, accumulated": {"kind": Weighted, "gradient_accumulation_steps": 3},
    "label smoothing": {"label_smoothing_factor": 0.3},
    "label smoothing, accumulated": {
        "label_smoothing_factor": 0.3, "gradient_accumulation_steps": 2,
    },
    "a function": {"compute_loss_func": own_loss},
    "tuples": {"tuples": True},
}  # fmt: skip


@pytest.mark.parametrize("case", OWN_LOSSES)
def test_the_loss_shown_is_the_trainers_own(tmp_path, case):
    options = dict(OWN_LOSSES[case])
    model = tiny_bert()
    model.config.return_dict = not options.pop("tuples", False)
    trainer = trainer_in(tmp_path, model, steps=4, **options)
    steering = tl.steer_trainer(trainer)
    trainer.train()
    logged = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert [e.loss for e in of(StepDone, steering.events)] == pytest.approx(logged, abs=1e-4)


class Fails(transformers.TrainerCallback):
    """What comes in the middle of training."""

    def __init__(self, error):
        self.error = error

    def on_step_end(self, args, state, control, **_):
        if state.global_step == 3 and self.error:
            error, self.error = self.error, None
            raise error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit()])
def test_a_trainer_that_is_cut_short_is_over_and_can_train_again(tmp_path, error):
    trainer = trainer_in(tmp_path, tiny_bert(), steps=5)
    trainer.add_callback(Fails(error))
    steering = tl.steer_trainer(trainer)
    with pytest.raises(type(error)):
        trainer.train()
    assert steering.status == ("failed" if isinstance(error, ValueError) else "stopped")
    with pytest.raises(CommandError, match="comes too late"):
        steering.send(tl.Pause())
    assert steering.look(lambda model: 1) == 1
    trainer.train()
    assert steering.status == "finished"


def test_a_search_for_the_batch_size_begins_again(tmp_path):
    trainer = trainer_in(tmp_path, tiny_bert(), steps=5, auto_find_batch_size=True)
    trainer.add_callback(Fails(RuntimeError("CUDA out of memory.")))
    steering = tl.steer_trainer(trainer)
    trainer.train()
    assert steering.status == "finished" and trainer.state.global_step == 5


def test_a_checkpoint_brings_its_adapters_and_heads_back(tmp_path):
    options = {"steps": 8, "save_strategy": "steps", "save_steps": 4}
    trainer = trainer_in(tmp_path, tiny_bert(), **options)
    steering = tl.steer_trainer(trainer)
    steering.at(2, tl.AddLoRA("embeddings", layers="nothing"))  # refused
    steering.at(2, tl.AddLoRA("layer.0", rank=2, lr=1e-2))
    steering.at(3, tl.SwapHead("mlp"))
    trainer.train()
    again = trainer_in(tmp_path, tiny_bert(), **options)
    watched = tl.steer_trainer(again)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert [e.command for e in of(Applied, watched.events)][:2] == steering.edits
    now, then = again.model.state_dict(), trainer.model.state_dict()
    assert now.keys() == then.keys() and any("lora_" in name for name in now)
    assert all(torch.equal(now[name], then[name]) for name in now)
    (tmp_path / "checkpoint-4" / "tlcourse_edits.json").write_text('[{"kind": "stop"}]')
    with pytest.raises(SessionError, match="does not say which adapters"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
