"""`python -m tui_attn`."""

from tui_attn.cli import main

main()
