"""Preflight: whether two machines would fail over, judged by facts alone, each requirement by itself."""
