"""Decides *what* is trained, or on what: cached features, probes, BatchNorm's two modes."""

from tlcourse.methods.features import features, nearest, reuse
from tlcourse.methods.frozen import batchnorm_stats, drift, fingerprint
from tlcourse.methods.probes import Probe, probe
from tlcourse.methods.rates import discriminative, layer_decay
from tlcourse.methods.schedules import gradual_unfreezing, lp_ft, solve_head, warm_up

__all__ = [
    "Probe",
    "batchnorm_stats",
    "discriminative",
    "drift",
    "features",
    "fingerprint",
    "gradual_unfreezing",
    "layer_decay",
    "lp_ft",
    "nearest",
    "probe",
    "reuse",
    "solve_head",
    "warm_up",
]
