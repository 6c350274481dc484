"""A Lightning Trainer under steering: real `fit`, a schedule of its own, checkpoints of its own."""

import asyncio
import logging
import warnings

import pytest
import torch
import torch.nn.functional as F

import tlcourse as tl
from tlcourse.errors import SessionError
from tlcourse.session import Applied, Evaluated, Failed, Moved, StepDone

from .conftest import Net, of
from .test_steer import batches as lists

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    L = pytest.importorskip("lightning.pytorch")

pytestmark = pytest.mark.filterwarnings("ignore")


class Module(L.LightningModule):
    def __init__(self, freeze=True):
        super().__init__()
        self.net = Net()
        self.losses, self.wrong = [], False
        if freeze:
            self.net.stem.requires_grad_(False)
            self.net.body.requires_grad_(False)

    def training_step(self, batch, _):
        x, y = batch
        if self.wrong:
            raise ValueError("no such batch")
        loss = F.cross_entropy(self.net(x), y)
        self.losses.append(float(loss))
        return loss

    def validation_step(self, batch, _):
        x, y = batch
        self.log("val_acc", (self.net(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        training = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(training, lr=1e-2)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 4, gamma=0.5)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def batches(count):
    return torch.utils.data.DataLoader(lists(count), batch_size=None)


def trainer_for(**options):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet = {
        "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
        "enable_model_summary": False, "accelerator": "cpu", "devices": 1,
    }  # fmt: skip
    return L.Trainer(**({"max_epochs": 1} | quiet | options))


def test_a_live_unfreeze_moves_the_weights_at_a_rate_that_follows_the_schedule():
    module, trainer = Module(), trainer_for(gradient_clip_val=1.0)
    steering = tl.steer_trainer(trainer, module)
    before = module.net.body[0].weight.detach().clone()
    steering.at(5, tl.Unfreeze("body", lr=1e-3))
    trainer.fit(module, batches(10))
    assert not torch.equal(module.net.body[0].weight, before)
    [applied], [moved] = of(Applied, steering.events), of(Moved, steering.events)
    assert applied.lrs == pytest.approx({"body": 1e-3, "head": 5e-3})
    assert moved.moved["body"] > 0 and moved.moved["stem"] == 0
    rates = {g.name: g.lr for g in steering.groups}
    assert rates == pytest.approx({"stem": 2.5e-3, "body": 5e-4, "head": 2.5e-3})
    assert (steering.status, steering.step, steering.steps) == ("finished", 10, 10)


def test_losses_and_measurements_reach_the_curves():
    module, trainer = Module(), trainer_for(limit_val_batches=2, max_epochs=2)
    steering = tl.steer_trainer(trainer, module)
    trainer.fit(module, batches(4), batches(2))
    assert [e.loss for e in of(StepDone, steering.events)] == pytest.approx(module.losses)
    measured = of(Evaluated, steering.events)
    assert [e.step for e in measured] == [4, 8]
    assert measured[-1].accuracy == pytest.approx(float(trainer.callback_metrics["val_acc"]))


def test_steps_are_optimizer_steps_when_gradients_are_accumulated():
    module, trainer = Module(), trainer_for(accumulate_grad_batches=3)
    steering = tl.steer_trainer(trainer, module)
    steering.at(2, tl.SetLR("head", 1e-4))
    trainer.fit(module, batches(12))
    done = of(StepDone, steering.events)
    assert len(done) == steering.step == steering.steps == trainer.global_step == 4
    assert done[0].loss == pytest.approx(sum(module.losses[:3]) / 3)
    assert of(Applied, steering.events)[0].step == 2


def test_stop_ends_training_as_the_trainer_would():
    module, trainer = Module(), trainer_for(max_epochs=5)
    steering = tl.steer_trainer(trainer, module)
    steering.at(4, tl.Stop())
    trainer.fit(module, batches(10))
    assert trainer.global_step == steering.step == 4 and trainer.should_stop
    assert steering.status == "stopped"


def test_adapters_and_rewind_work_in_a_trainer():
    module, trainer = Module(), trainer_for()
    steering = tl.steer_trainer(trainer, module)
    steering.at(2, tl.AddLoRA("backbone", rank=2))
    steering.at(7, tl.Rewind(2))
    trainer.fit(module, batches(10))
    assert of(Moved, steering.events)[0].moved["lora"] > 0
    assert steering.step == 2 + 3 and [g.name for g in steering.groups] == ["stem", "body", "head"]


def test_resuming_from_a_checkpoint_trains_on_what_was_unfrozen(tmp_path):
    module, trainer = Module(), trainer_for()
    steering = tl.steer_trainer(trainer, module)
    steering.at(3, tl.Unfreeze("body", lr=1e-3))
    trainer.fit(module, batches(8))
    trainer.save_checkpoint(tmp_path / "last.ckpt")

    module, trainer = Module(), trainer_for(max_epochs=2)
    steering = tl.steer_trainer(trainer, module)
    trainer.fit(module, batches(8), ckpt_path=tmp_path / "last.ckpt")
    assert [type(e.command) for e in of(Applied, steering.events)] == [tl.Unfreeze]
    assert of(Moved, steering.events)[0].moved["body"] > 0
    state = trainer.optimizers[0].state[module.net.body[0].weight]
    assert float(state["step"]) == 5 + 8


def test_a_cockpit_steers_it_while_the_cell_awaits():
    module, trainer = Module(), trainer_for(max_epochs=10**6)
    steering = tl.steer_trainer(trainer, module)

    async def cell():
        job = tl.beside(trainer.fit, module, batches(4))
        while steering.step < 3 and not job.over:
            await asyncio.sleep(0.01)
        steering.send(tl.Stop())
        await job

    asyncio.run(cell())
    assert steering.status == "stopped" and trainer.global_step == steering.step >= 3


def test_what_training_raised_is_told():
    module, trainer = Module(), trainer_for()
    module.wrong = True
    steering = tl.steer_trainer(trainer, module)
    with pytest.raises(ValueError, match="no such batch"):
        trainer.fit(module, batches(2))
    assert steering.status == "failed" and "no such batch" in of(Failed, steering.events)[0].error


def test_the_module_must_be_told():
    with pytest.raises(SessionError, match="steer_trainer\\(trainer, module\\)"):
        tl.steer_trainer(trainer_for())


class TwoOptimizers(Module):
    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]

    automatic_optimization = False


def test_one_optimizer_can_be_steered():
    module, trainer = TwoOptimizers(), trainer_for()
    tl.steer_trainer(trainer, module)
    with pytest.raises(SessionError, match="2 optimizers"):
        trainer.fit(module, batches(2))
