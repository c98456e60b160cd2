"""The comparison's numbers: accuracies, intervals, tests, verdicts; no torch and no textual.

What is listed here is imported when it is first used, so that a command that only might need it starts at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui_attn.compare.archives import ArchiveError, read_archive
    from tui_attn.compare.change import Change, paired_change
    from tui_attn.compare.classes import ClassResults, class_names, class_results
    from tui_attn.compare.counting import comparable
    from tui_attn.compare.effects import (
        Effect,
        Effects,
        dependence_sentence,
        effect_rows,
        effects_json,
        effects_lines,
        effects_of,
        kind_words,
        layer_words,
    )
    from tui_attn.compare.heatmaps import (
        HeatmapFacts,
        Pattern,
        between_classes,
        effective_rank,
        heatmap_facts,
        heatmap_sentences,
        rank_correlation,
    )
    from tui_attn.compare.images import Disagreements, McNemar, confusion, disagreements, mcnemar, per_class
    from tui_attn.compare.interventions import (
        KINDS,
        LAYERS,
        Intervention,
        Interventions,
        InterventionsError,
        load_interventions,
    )
    from tui_attn.compare.notes import remarks
    from tui_attn.compare.paired import Interval, Verdict, mean_interval, verdict
    from tui_attn.compare.pooled import Pool, compare_together, why_not_together
    from tui_attn.compare.power import power_of, seeds_needed
    from tui_attn.compare.predictions import Predictions, PredictionsError, load_predictions
    from tui_attn.compare.probes import Probes, load_probes
    from tui_attn.compare.resampling import Beside, beside, bootstrap, sign_flip
    from tui_attn.compare.standing import Pairing, Standing, best_pairing
    from tui_attn.compare.summary import BASE, accuracies, comparisons, summarise
    from tui_attn.compare.text_tables import footnotes, model_rows, run_rows, table
    from tui_attn.compare.times import time_to_accuracy
    from tui_attn.compare.weight_digest import read_weights, weights_digest
    from tui_attn.compare.wording import (
        LAB_ACCURACY,
        LAB_REMARK,
        beside_sentence,
        networks_sentence,
        seeds_sentence,
        sentences,
        verdict_sentence,
    )

_MODULES = {
    "archives": (
        "ArchiveError",
        "read_archive",
    ),
    "change": (
        "Change",
        "paired_change",
    ),
    "classes": (
        "ClassResults",
        "class_names",
        "class_results",
    ),
    "counting": ("comparable",),
    "effects": (
        "Effect",
        "Effects",
        "dependence_sentence",
        "effect_rows",
        "effects_json",
        "effects_lines",
        "effects_of",
        "kind_words",
        "layer_words",
    ),
    "heatmaps": (
        "HeatmapFacts",
        "Pattern",
        "between_classes",
        "effective_rank",
        "heatmap_facts",
        "heatmap_sentences",
        "rank_correlation",
    ),
    "images": (
        "Disagreements",
        "McNemar",
        "confusion",
        "disagreements",
        "mcnemar",
        "per_class",
    ),
    "interventions": (
        "KINDS",
        "LAYERS",
        "Intervention",
        "Interventions",
        "InterventionsError",
        "load_interventions",
    ),
    "notes": ("remarks",),
    "paired": (
        "Interval",
        "Verdict",
        "mean_interval",
        "verdict",
    ),
    "pooled": (
        "Pool",
        "compare_together",
        "why_not_together",
    ),
    "power": (
        "power_of",
        "seeds_needed",
    ),
    "predictions": (
        "Predictions",
        "PredictionsError",
        "load_predictions",
    ),
    "probes": (
        "Probes",
        "load_probes",
    ),
    "resampling": (
        "Beside",
        "beside",
        "bootstrap",
        "sign_flip",
    ),
    "standing": (
        "Pairing",
        "Standing",
        "best_pairing",
    ),
    "summary": (
        "BASE",
        "accuracies",
        "comparisons",
        "summarise",
    ),
    "text_tables": (
        "footnotes",
        "model_rows",
        "run_rows",
        "table",
    ),
    "times": ("time_to_accuracy",),
    "weight_digest": (
        "read_weights",
        "weights_digest",
    ),
    "wording": (
        "LAB_ACCURACY",
        "LAB_REMARK",
        "beside_sentence",
        "networks_sentence",
        "seeds_sentence",
        "sentences",
        "verdict_sentence",
    ),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BASE",
    "KINDS",
    "LAB_ACCURACY",
    "LAB_REMARK",
    "LAYERS",
    "ArchiveError",
    "Beside",
    "Change",
    "ClassResults",
    "Disagreements",
    "Effect",
    "Effects",
    "HeatmapFacts",
    "Interval",
    "Intervention",
    "Interventions",
    "InterventionsError",
    "McNemar",
    "Pairing",
    "Pattern",
    "Pool",
    "Predictions",
    "PredictionsError",
    "Probes",
    "Standing",
    "Verdict",
    "accuracies",
    "beside",
    "beside_sentence",
    "best_pairing",
    "between_classes",
    "bootstrap",
    "class_names",
    "class_results",
    "comparable",
    "compare_together",
    "comparisons",
    "confusion",
    "dependence_sentence",
    "disagreements",
    "effect_rows",
    "effective_rank",
    "effects_json",
    "effects_lines",
    "effects_of",
    "footnotes",
    "heatmap_facts",
    "heatmap_sentences",
    "kind_words",
    "layer_words",
    "load_interventions",
    "load_predictions",
    "load_probes",
    "mcnemar",
    "mean_interval",
    "model_rows",
    "networks_sentence",
    "paired_change",
    "per_class",
    "power_of",
    "rank_correlation",
    "read_archive",
    "read_weights",
    "remarks",
    "run_rows",
    "seeds_needed",
    "seeds_sentence",
    "sentences",
    "sign_flip",
    "summarise",
    "table",
    "time_to_accuracy",
    "verdict",
    "verdict_sentence",
    "weights_digest",
    "why_not_together",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value
