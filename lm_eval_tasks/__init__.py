"""Tasks for lm-eval: give this folder to `--include_path`; `seal tasks` prints it."""
