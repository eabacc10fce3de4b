"""The commands, one module each; `main` finds them by name and turns errors into one sentence."""
