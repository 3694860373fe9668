"""From a folder of images to clusters and a submission file.

>>> import imgcluster
>>> config = imgcluster.load_config("configs/stage.yaml", ["clusters.n_clusters=6"])
>>> result = imgcluster.run(config)
>>> result.clusters.labels

Each step is there on its own, with plain values between: `list_images`, `extract_features`, `cluster_features`.
"""

import lazy_loader

from imgcluster._version import __version__ as __version__

# The names stand in `__init__.pyi`, as those of each package do; what has them is imported when one is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
