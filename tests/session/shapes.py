"""Small models shaped as those that people bring: none says what its parameter groups are."""

import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, width: int = 8):
        super().__init__()
        self.attention = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        return self.norm(x + self.output(torch.relu(self.attention(x))))


class Encoder(nn.Module):
    def __init__(self, depth: int):
        super().__init__()
        self.layer = nn.ModuleList(Layer() for _ in range(depth))

    def forward(self, x):
        for layer in self.layer:
            x = layer(x)
        return x


class Bert(nn.Module):
    def __init__(self, depth: int):
        super().__init__()
        self.embeddings = nn.Linear(8, 8)
        self.encoder = Encoder(depth)
        self.pooler = nn.Linear(8, 8)

    def forward(self, x):
        return torch.tanh(self.pooler(self.encoder(self.embeddings(x))))


class BertShaped(nn.Module):
    """backbone (embeddings, encoder.layer.0 …, pooler) and head, as a BERT for classification."""

    def __init__(self, depth: int = 6, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.backbone = Bert(depth)
            self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.backbone(x))
