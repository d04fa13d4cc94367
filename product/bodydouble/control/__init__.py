"""The JSON control API and its typed client."""
