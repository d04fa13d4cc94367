"""The guard of a source: its addresses are its own only while nobody stands in for it."""
