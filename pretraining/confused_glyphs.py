"""Which characters of `glyphs` a network confuses, for the hand-made list in choose_glyphs.py.

    python pretraining/confused_glyphs.py [--steps 1400] [--show 20]

pocket-glyphs, trained on fresh pictures of all characters (seeds that the data set does not use),
names three times forty others of each. Prints the share that is right and the pairs that are
confused most, in percent of their pictures. Takes about four minutes on one busy core.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tlcourse.data.sources.glyphs import COPIES, draw, scripts
from tlcourse.models.load import load_model

BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--show", type=int, default=20, help="pairs")
    options = parser.parse_args()
    torch.set_num_threads(1)

    characters = "".join(scripts().values())
    model = trained(characters, options.steps)
    table = confusion(model, characters)
    print(f"{100 * table.diag().mean():.1f} % of {len(characters)} characters are recognised")
    mutual = ((table + table.T) / 2).triu(1)
    for share, at in zip(*mutual.flatten().topk(options.show), strict=True):
        one, other = (characters[index] for index in divmod(int(at), len(characters)))
        print(f"{100 * share:4.1f}  {one}  {other}")


def trained(characters: str, steps: int) -> nn.Module:
    model = load_model("pocket-glyphs", classes=list(characters), seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(characters)).repeat_interleave(COPIES)
    order, seed = torch.empty(0, dtype=torch.long), 0
    for _ in range(steps):
        if len(order) < BATCH:
            seed += 1
            pictures = draw(characters, seed=seed)
            order = torch.randperm(len(pictures), generator=generator)
        rows, order = order[:BATCH], order[BATCH:]
        scores = model(pictures[rows].float() / 255)
        loss = F.cross_entropy(scores, labels[rows], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
    return model.eval()


@torch.inference_mode()
def confusion(model: nn.Module, characters: str) -> Tensor:
    """(N, N): the share of the row's pictures that is predicted as the column."""
    labels = torch.arange(len(characters)).repeat_interleave(COPIES)
    table = torch.zeros(len(characters), len(characters))
    for seed in (1001, 1002, 1003):
        pictures = draw(characters, seed=seed)
        named = torch.cat([model(part.float() / 255).argmax(1) for part in pictures.split(512)])
        table.index_put_((labels, named), torch.tensor(1.0), accumulate=True)
    return table / table.sum(1, keepdim=True)


if __name__ == "__main__":
    main()
