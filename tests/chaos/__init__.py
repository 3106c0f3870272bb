"""Damaged files at every reader, kills and faults at the real commands; `make chaos` writes docs/chaos.md of them."""
