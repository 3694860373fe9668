"""What the process imports first of which the workers of a cluster of our own are forks, and then nothing else."""

import gc
import signal

gc.disable()  # hundreds of thousands of objects are made here, and all of them stay

import distributed  # noqa: E402, F401

import imgcluster.features.engines.dask.worker  # noqa: E402, F401

gc.freeze()  # so that no worker looks through them, and makes copies of their pages by that
gc.enable()

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole session; the process that started it decides
