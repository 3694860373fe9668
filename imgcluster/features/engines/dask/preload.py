"""Preload of the forkserver: the imports that all workers of a local cluster share, as forks of it.

`start_early` in `cluster.py` names this module to `forkserver.set_forkserver_preload`. The forkserver is a process of
its own, which imports this module first and then becomes the parent of each worker. The module stands alone because:

- It only imports. Threads, locks and CUDA contexts do not survive a fork; a worker makes its own.
- Nobody else imports it. In any other process, `gc.freeze` would exempt all objects so far from collection for good.

A worker then starts in milliseconds rather than in the seconds that torch takes to import, and all workers share the
memory of these modules for as long as nobody writes to it.
"""

import gc
import signal
from importlib import import_module

gc.disable()  # the imports make hundreds of thousands of objects, all of which stay

for module in ("distributed", "imgcluster.features.engines.dask.worker"):
    import_module(module)

gc.freeze()  # no worker's collector touches these objects: that would copy their pages
gc.enable()

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole session; the process that started it decides
