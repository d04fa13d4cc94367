"""The runner: carries out a scenario's timeline on a stage and collects what is to be judged."""

from bodydouble_labs.runner.progress import Progress, ProgressListener
from bodydouble_labs.runner.run import Run, conduct
from bodydouble_labs.runner.runner import Runner

__all__ = ["Progress", "ProgressListener", "Run", "Runner", "conduct"]
