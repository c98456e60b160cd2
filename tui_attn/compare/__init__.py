"""The comparison's numbers and sentences. Simulations call `verdict`; numpy and scipy are imported where needed."""

from tui_attn.compare.verdicts import verdict

__all__ = ["verdict"]
