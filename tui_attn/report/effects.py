"""What the interventions did, in one picture for each model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_attn.compare.effects import Effects, dependence_sentence, kind_words, layer_words
from tui_attn.report.figures import FAINT, INK, Picture, ink, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def effects_picture(found: Effects) -> Picture:
    """The change of accuracy under each intervention, with its interval; layers one below the other."""
    layers = list(dict.fromkeys(effect.layer for effect in found.effects))
    kinds = list(dict.fromkeys(effect.kind for effect in found.effects))
    styles = {layer: (marker, alpha) for layer, marker, alpha in zip(layers, "ovs", (0.55, 0.75, 1.0), strict=False)}
    step = 0.24

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axvline(0, color=FAINT, linewidth=1, zorder=1)
        for effect in found.effects:
            place = kinds.index(effect.kind) + step * (layers.index(effect.layer) - (len(layers) - 1) / 2)
            marker, alpha = styles[effect.layer]
            first = effect.kind == kinds[0]
            label = layer_words(effect.layer) if first and len(layers) > 1 else None
            axes.plot([100 * end for end in effect.ci95], [place] * 2, color=ink(found.model), alpha=alpha, zorder=2)
            axes.plot(
                [100 * effect.delta],
                [place],
                linestyle="none",
                marker=marker,
                color=ink(found.model),
                alpha=alpha,
                label=label,
                zorder=3,
            )
        axes.set_yticks(range(len(kinds)), [_wrapped(kind_words(found.model, kind)) for kind in kinds])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.invert_yaxis()
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_title(f"{found.model}: change of accuracy, points")
        if len(layers) > 1:
            axes.legend(loc="best", ncols=len(layers), handletextpad=0.2, columnspacing=1)

    over = "over the seeds" if len(found.runs) > 1 else "over the test images"
    what = "gates" if found.model == "se" else "attention weights"
    caption = f"What becomes of the accuracy when the {what} are replaced by …, with 95 % intervals {over}."
    height = 0.8 + len(kinds) * (0.2 + 0.13 * len(layers))
    return picture(f"interventions-{found.model}", dependence_sentence(found), caption, draw, height=height)


def _wrapped(words: str, width: int = 20) -> str:
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
