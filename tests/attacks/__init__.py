"""Attacks on the sandbox, run for real: what candidate code would try, layer by layer (see docs/security.md)."""
