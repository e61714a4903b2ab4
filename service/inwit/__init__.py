"""Inwit, a guardrail gateway for LLM products."""

__version__ = "0.1.0"
