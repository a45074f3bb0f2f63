"""Benchmark suites that lm-eval's own evaluator runs."""
