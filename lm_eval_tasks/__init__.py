"""lm-eval tasks. Pass this folder to `--include_path`; `seal tasks` prints its path."""
