"""Decides *what* is trained, or on what: cached features, probes, BatchNorm's two modes."""

from tlcourse.methods.features import features, nearest, reuse
from tlcourse.methods.frozen import batchnorm_stats, drift, fingerprint
from tlcourse.methods.probes import Probe, probe

__all__ = [
    "Probe",
    "batchnorm_stats",
    "drift",
    "features",
    "fingerprint",
    "nearest",
    "probe",
    "reuse",
]
