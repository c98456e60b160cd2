"""The comparison's numbers: accuracies, intervals, tests, verdicts; no torch and no textual."""

from tui_attn.compare.counting import comparable
from tui_attn.compare.images import Disagreements, McNemar, confusion, disagreements, mcnemar, per_class
from tui_attn.compare.notes import remarks
from tui_attn.compare.paired import Verdict, mean_interval, verdict
from tui_attn.compare.power import power_of, seeds_needed
from tui_attn.compare.predictions import Predictions, PredictionsError, load_predictions
from tui_attn.compare.resampling import Beside, beside, bootstrap, sign_flip
from tui_attn.compare.sentences import (
    LAB_ACCURACY,
    LAB_REMARK,
    beside_sentence,
    networks_sentence,
    seeds_sentence,
    sentences,
    verdict_sentence,
)
from tui_attn.compare.summary import BASE, accuracies, comparisons, summarise
from tui_attn.compare.tables import table
from tui_attn.compare.times import time_to_accuracy

__all__ = [
    "BASE",
    "LAB_ACCURACY",
    "LAB_REMARK",
    "Beside",
    "Disagreements",
    "McNemar",
    "Predictions",
    "PredictionsError",
    "Verdict",
    "accuracies",
    "beside",
    "beside_sentence",
    "bootstrap",
    "comparable",
    "comparisons",
    "confusion",
    "disagreements",
    "load_predictions",
    "mcnemar",
    "mean_interval",
    "networks_sentence",
    "per_class",
    "power_of",
    "remarks",
    "seeds_needed",
    "seeds_sentence",
    "sentences",
    "sign_flip",
    "summarise",
    "table",
    "time_to_accuracy",
    "verdict",
    "verdict_sentence",
]
