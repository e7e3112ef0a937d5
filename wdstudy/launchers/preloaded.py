"""Imports what a worker needs; done once, by the server that workers are forked from."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal

# Optuna imports these only when a database is opened.
import alembic.command
import alembic.config
import alembic.migration
import alembic.script  # noqa: F401
import sqlalchemy.dialects.sqlite  # noqa: F401
import torch

import wdstudy.launchers.local  # noqa: F401
from wdstudy.launchers.processes import SOCKETS

# The first optimizer of a process imports half of torch.compile.
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)

atexit.register(gc.freeze)  # the server ends with its parent, not a second later
if folder := os.environ.get(SOCKETS):
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

# It was started deaf to Ctrl-C; now it ignores it, and so do those that it forks.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
