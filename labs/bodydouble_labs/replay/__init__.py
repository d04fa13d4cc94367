"""Replay: the standing guard of determinism. One seed in two fresh processes has to be one run, to the byte."""

from bodydouble_labs.replay.campaign import Campaign, Replayed

__all__ = ["Campaign", "Replayed"]
