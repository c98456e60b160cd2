r"""The comparison as a LaTeX table, to be included with \input; it needs the package booktabs."""

from __future__ import annotations

from tui_attn.compare.summary import ModelSummary, summarise
from tui_attn.compare.wording import p_value, points
from tui_attn.experiment.follower import Follower
from tui_attn.export.outfolder import OutFolder
from tui_attn.system.text import safe_text

FILE = "comparison.tex"
_SPECIAL = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def write_latex(follower: Follower, out: OutFolder, only: str | None = None) -> list[str]:
    """Write the table of all models into `out`; of one run alone (`only`) there is nothing to compare."""
    if only is not None:
        return [f"{FILE} compares models: it is left out of an export of one run"]
    with out.file(FILE) as file:
        file.write(latex_table(follower).encode())
    return []


def latex_table(follower: Follower) -> str:
    """Test accuracy in percent and the difference from base in points, each the mean and its interval."""
    summary = summarise(follower)
    rows = [" & ".join(_row(entry)) + r" \\" for entry in summary.models]
    title = f"{summary.experiment}: {summary.dataset}, epochs: {summary.epochs}, seeds: {len(summary.seeds)}"
    lines = [
        f"% {safe_text(title, one_line=True)}",
        r"\begin{tabular}{lrcrcr}",
        r"\toprule",
        r"model & accuracy (\%) & 95\,\% interval & difference & interval & $p$ \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join([*lines, ""])


def _row(entry: ModelSummary) -> list[str]:
    versus = entry.versus_base
    row = [safe_text(entry.model, one_line=True).translate(_SPECIAL)]
    row.append("--" if entry.accuracy is None else f"{100 * entry.accuracy:.2f}")
    row.append("--" if entry.ci95 is None else f"[{100 * entry.ci95[0]:.2f}, {100 * entry.ci95[1]:.2f}]")
    if versus is None:
        return [*row, "--", "--", "--"]
    row.append(f"${points(versus.delta)}$")
    row.append("--" if versus.ci95 is None else f"[${100 * versus.ci95[0]:+.2f}$, ${100 * versus.ci95[1]:+.2f}$]")
    return [*row, "--" if versus.p_value is None else p_value(versus.p_value).replace("<", "$<$")]
