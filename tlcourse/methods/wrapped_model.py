"""Models with another forward pass: the same parameters in the same groups, used differently."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tlcourse.errors import ModelError
from tlcourse.methods.feature_extraction.features import check_features
from tlcourse.models import groups_of


class Wrapped(nn.Module):
    """Holds a model as `.model` and forwards to it: groups, features, classes, tokens …

    Both share every parameter, so training the wrapper trains `.model`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        check_features(model)
        self.model = model
        self.train(model.training)

    @property
    def groups(self) -> dict[str, nn.Module]:
        return groups_of(self.model)

    @property
    def recipe(self) -> dict[str, Any]:
        """The model's own recipe, marked as wrapped: a replay must be given the model again."""
        return {**getattr(self.model, "recipe", {}), "wrapped": type(self).__name__}

    def features(self, x: Any) -> Tensor:
        return self.model.features(x)

    def forward(self, x: Any) -> Tensor:
        return self.model(x)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)


class HeadApart(Wrapped):
    """The head learns from the features; no gradient flows from the head into the features.

    For runs whose backbone is trained only by a further term of the loss, such as `contrastive` or
    `prototypical`. The run's own loss still trains the head, so its accuracy shows at every step how
    good the features are.
    """

    def forward(self, x: Any) -> Tensor:
        with torch.no_grad():
            features = self.features(x)
        return self.model.head(features)


def head_apart(model: nn.Module) -> HeadApart:
    """The model with its head trained separately (see `HeadApart`); `.model` is the model itself.

    >>> terms = {"pairs": tl.methods.contrastive(digits.train)}
    >>> run = tl.Session(head_apart(model), digits, terms=terms, steps=100)
    """
    if not isinstance(getattr(model, "head", None), nn.Module):
        raise ModelError(
            f"{type(model).__name__} has no module `head` to train separately. Make the model with "
            "tl.load_model, or name the last layer of yours `head`."
        )
    return HeadApart(model)
