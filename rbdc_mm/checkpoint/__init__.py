"""Checkpoint files: read, recognised, converted, grown, written; what configs say of them."""
