"""An adapter that a model brings with it is turned by SetScale, as one that AddLoRA made."""

import pytest
import torch

import tlcourse as tl
from tlcourse.errors import CommandError
from tlcourse.methods.adapters.insert import bottleneck, ia3, lora
from tlcourse.methods.adapters.merging import set_scale
from tlcourse.session import Applied, Freeze, Refused, Rewind, Save, SetScale, Twin

from .test_adapters import examples, logits, trained, vit


def adapter_of(run):
    return next(g for g in run.groups if g.name == "adapter")


@pytest.mark.parametrize("method", [lora, bottleneck])
def test_setscale_turns_it_and_the_group_says_so(method):
    run = trained(method(vit()), "vit")
    assert (adapter_of(run).kind, adapter_of(run).scale) == ("adapter", 1.0)
    half = trained(method(vit()), "vit", plan=[(3, SetScale("adapter", 0.5))])
    assert adapter_of(half).scale == 0.5
    said = logits(half.model, "vit")
    set_scale(half.model, 1)
    assert not torch.equal(logits(half.model, "vit"), said)
    set_scale(half.model, 0.5)
    assert torch.equal(logits(half.model, "vit"), said)


def test_a_scale_set_before_the_run_is_where_it_begins_and_what_a_rewind_brings_back():
    adapted = lora(vit())
    set_scale(adapted, 0.25)
    run = trained(adapted, "vit", plan=[(2, SetScale("adapter", 2)), (3, Rewind("start"))])
    assert adapter_of(run).scale == pytest.approx(0.25)
    again = lora(vit())
    set_scale(again, 0.25)
    assert run.result.losses.tolist() == trained(again, "vit").result.losses.tolist()


def test_a_twin_keeps_its_own_scale():
    run = trained(lora(vit()), "vit", plan=[(1, Twin()), (2, SetScale("adapter", 0))])
    twin = run.result.timelines["twin"]
    alone = trained(lora(vit()), "vit").result
    assert twin.losses.tolist() == alone.losses.tolist() != run.result.losses.tolist()


def test_it_stays_a_group_like_the_others():
    """ "backbone" goes on to mean it too, and what has no scale is refused."""
    run = trained(lora(vit()), "vit", plan=[(1, Save("here")), (2, Freeze("backbone"))])
    assert [g.name for g in run.groups if g.trainable] == ["head"]
    other = tl.Session(ia3(vit()), examples("vit"), steps=2)
    assert adapter_of(other).kind == "layers"
    other.at(0, SetScale("adapter", 2))
    with pytest.warns(UserWarning, match="No adapter 'adapter'"):
        other.run()
    assert [type(e) for e in other.events if isinstance(e, Applied | Refused)] == [Refused]
    with pytest.raises(CommandError, match="No parameter group"):
        other.send(tl.Freeze("lora"))


def test_a_record_replays_and_a_killed_run_goes_on(tmp_path):
    options = {"lr": 1e-2, "batch_size": 8, "steps": 6, "eval_every": 9}
    run = tl.Session(lora(vit()), examples("vit"), autosave=tmp_path, autosave_s=0, **options)
    run.at(2, SetScale("adapter", 0.5))
    run.at(4, tl.Stop())
    run.run()
    assert tl.replay(run.record, model=lora(vit()), data=examples("vit")).exact
    again = tl.resume(tmp_path, model=lora(vit()), data=examples("vit"))
    assert adapter_of(again).scale == 0.5
    assert torch.equal(logits(again.model, "vit"), logits(run.model, "vit"))
    script = tl.to_script(run.record)
    assert "for layer in model.scalable['adapter']:" in script
