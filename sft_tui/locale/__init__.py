"""The catalogues of translations. English is the source; `python -m sft_tui.locale` brings them up to date."""
