"""How the numbers of a report came about and how to read them, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

READING: Sequence[tuple[str, str]] = (
    (
        "Verdict",
        "Both models of a pair saw the same batches in the same order, so their accuracies are compared seed by "
        "seed: the paired t interval of the differences decides. Where several models are compared with base, each "
        "interval is made wider (Bonferroni), so that all of them hold at once in 95 % of experiments. “No "
        "difference shown” is no proof that there is none: the interval says which differences remain possible.",
    ),
    (
        "Fixed epochs",
        "Every accuracy is that of the last epoch. The best epoch is never picked on the test set: that would add "
        "about as much as the effects that are looked for.",
    ),
    (
        "One trained network",
        "The exact McNemar test counts the test images that only one of two trained networks gets right. It speaks "
        "of these two networks; another seed would give others.",
    ),
    (
        "Interventions",
        "The trained network is kept as it is, and only its gates or attention weights are replaced while it looks "
        "at the test images. With their mean in the place of each image's own, it is exactly a network without "
        "attention (the mean folds into the weights before or after it), so what it loses is what it gained by "
        "looking at each image. It is not what a network trained without attention would lose: that is what the "
        "verdict says. Random replacements are drawn three times, for every image anew. For one network the "
        "interval is over its test images (Bonett and Price, 2012), for several over the seeds; each holds by "
        "itself, not all at once.",
    ),
    (
        "Heatmaps",
        "An untrained network has a heatmap, too, because images of different classes differ in brightness and "
        "outline. A pattern counts as learned where it is at least three times as strong, or as weak, as the "
        "untrained network's: of all pairs of untrained networks 97 % differ by less. How much of a gate's "
        "variance lies between classes is no sign of learning: on Fashion-MNIST it is about a third before any "
        "training. Numbers of channels mean nothing across seeds.",
    ),
    (
        "A large gate",
        "A large gate does not mean that a channel matters, nor a small one that it does not: what matters is what "
        "is lost without it, which the interventions measure.",
    ),
)
"""What each part means: a name and a paragraph."""
