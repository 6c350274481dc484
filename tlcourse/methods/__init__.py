"""Decides *what* is trained, on what data, and for which loss. The rooms are sorted by topic; every
public name is here."""

from tlcourse.data.tasks import join, only
from tlcourse.methods.adapters.insert import bottleneck, ia3, lora, prefix
from tlcourse.methods.adapters.lowrank import directions, four_bits, held_by
from tlcourse.methods.adapters.merging import (
    cost,
    load_stored,
    merge,
    merged,
    set_scale,
    stored,
    unmerge,
)
from tlcourse.methods.domain_adaptation.adversarial import (
    adversarial,
    domain_distance,
    reversal,
    reverse_gradient,
    with_domain,
)
from tlcourse.methods.domain_adaptation.alignment import alignment, coral, mmd, recolour
from tlcourse.methods.domain_adaptation.batchnorm import (
    adapt_batchnorm,
    batchnorm_stats,
    drift,
    restore_batchnorm,
)
from tlcourse.methods.domain_adaptation.masked_words import covered_loss, masked_words, with_words
from tlcourse.methods.domain_adaptation.model_selection import (
    atc,
    dev,
    effective_size,
    entropy,
    importance_weighted,
    importance_weights,
    information,
    model_selection_scores,
)
from tlcourse.methods.domain_adaptation.self_training import (
    fixmatch,
    probabilities,
    pseudo_labels,
    with_pseudo_labels,
)
from tlcourse.methods.feature_extraction.features import features, features_by_depth, nearest, reuse
from tlcourse.methods.feature_extraction.probes import Probe, probe
from tlcourse.methods.few_shot.contrastive import (
    contrastive,
    cosine_loss,
    draw_pairs,
    supervised_contrastive,
)
from tlcourse.methods.few_shot.episodes import draw_episode, episode, episode_accuracies
from tlcourse.methods.few_shot.prototypes import (
    as_linear,
    by_distance,
    class_means,
    prototype_logits,
    prototypical,
)
from tlcourse.methods.few_shot.zero_shot import describe, describe_by, embed, zero_shot
from tlcourse.methods.fine_tuning.rates import discriminative, layer_decay
from tlcourse.methods.fine_tuning.schedules import gradual_unfreezing, lp_ft, solve_head, warm_up
from tlcourse.methods.forgetting.metrics import (
    average_accuracy,
    average_forgetting,
    backward_transfer,
    forward_transfer,
)
from tlcourse.methods.forgetting.rehearsal import keep_examples, mix, rehearse
from tlcourse.methods.forgetting.weight_penalties import ewc, fisher_diagonal, l2_sp
from tlcourse.methods.wrapped_model import head_apart
from tlcourse.models.inspection import fingerprint

memory, judges = keep_examples, model_selection_scores  # names of 0.1, kept until 1.0

__all__ = [
    "Probe",
    "adapt_batchnorm",
    "adversarial",
    "alignment",
    "as_linear",
    "atc",
    "average_accuracy",
    "average_forgetting",
    "backward_transfer",
    "batchnorm_stats",
    "bottleneck",
    "by_distance",
    "class_means",
    "contrastive",
    "coral",
    "cosine_loss",
    "cost",
    "covered_loss",
    "describe",
    "describe_by",
    "dev",
    "directions",
    "discriminative",
    "domain_distance",
    "draw_episode",
    "draw_pairs",
    "drift",
    "effective_size",
    "embed",
    "entropy",
    "episode",
    "episode_accuracies",
    "ewc",
    "features",
    "features_by_depth",
    "fingerprint",
    "fisher_diagonal",
    "fixmatch",
    "forward_transfer",
    "four_bits",
    "gradual_unfreezing",
    "head_apart",
    "held_by",
    "ia3",
    "importance_weighted",
    "importance_weights",
    "information",
    "join",
    "keep_examples",
    "l2_sp",
    "layer_decay",
    "load_stored",
    "lora",
    "lp_ft",
    "masked_words",
    "merge",
    "merged",
    "mix",
    "mmd",
    "model_selection_scores",
    "nearest",
    "only",
    "prefix",
    "probabilities",
    "probe",
    "prototype_logits",
    "prototypical",
    "pseudo_labels",
    "recolour",
    "rehearse",
    "restore_batchnorm",
    "reuse",
    "reversal",
    "reverse_gradient",
    "set_scale",
    "solve_head",
    "stored",
    "supervised_contrastive",
    "unmerge",
    "warm_up",
    "with_domain",
    "with_pseudo_labels",
    "with_words",
    "zero_shot",
]
