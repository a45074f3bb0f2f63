"""Invented pictures and questions about them: their specification, how they are drawn, and the lm-eval task."""
