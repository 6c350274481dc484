"""A course model with another way forward: the same parts in the same groups, used otherwise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tlcourse.errors import ModelError
from tlcourse.methods.feature_extraction.features import check_features
from tlcourse.models import groups_of


class Wrapped(nn.Module):
    """Holds a model as `.model` and passes on what it can do: groups, features, classes, tokens …

    Both share every parameter, so what is trained through the wrapper is there in `.model`.
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
        """The model's own, and that it is wrapped: a replay has to be given the model again."""
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
    """The head learns from the features, and the features learn nothing from the head.

    For runs whose backbone is trained by a term of the loss alone, such as `contrastive` or
    `prototypical`: the run's own loss trains the head beside it, so that its accuracy says at every
    step what the features are worth.
    """

    def forward(self, x: Any) -> Tensor:
        with torch.no_grad():
            features = self.features(x)
        return self.model.head(features)


def head_apart(model: nn.Module) -> HeadApart:
    """The model with its head trained apart (see `HeadApart`); `.model` is the model itself.

    >>> terms = {"pairs": tl.methods.contrastive(digits.train)}
    >>> run = tl.Session(head_apart(model), digits, terms=terms, steps=100)
    """
    if not isinstance(getattr(model, "head", None), nn.Module):
        raise ModelError(
            f"{type(model).__name__} has no module `head` to train apart. Make the model with "
            "tl.load_model, or name the last layer of yours `head`."
        )
    return HeadApart(model)
