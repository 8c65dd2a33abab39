"""Helpers that need nothing but the standard library: ``process``, ``path`` and ``wait``."""
