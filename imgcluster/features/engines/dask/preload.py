"""Preload of the forkserver: the imports and objects that all local Dask workers share, as forks of it."""

import gc
import signal

gc.disable()  # the imports make hundreds of thousands of objects, all of which stay

import distributed  # noqa: E402, F401

import imgcluster.features.engines.dask.worker  # noqa: E402, F401

gc.freeze()  # no worker's collector touches these objects: that would copy their pages
gc.enable()

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole session; the process that started it decides
