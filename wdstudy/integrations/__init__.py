"""LossRecorder in the training loops of other libraries, in one line of a script."""
