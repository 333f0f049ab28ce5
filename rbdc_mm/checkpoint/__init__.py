"""Checkpoint files: read, recognised, converted, grown and written, with what configs say of them."""
