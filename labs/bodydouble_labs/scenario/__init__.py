"""Scenario files: the model they become, the JSON Schema of them, and the loader that refuses wrong ones."""
