"""The product's words as frozen, typed records: operations on files, and what the control API speaks."""
