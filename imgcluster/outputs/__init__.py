"""What a run writes: the submission, the table of clusters, the clusterer, the run record."""

from imgcluster.outputs.run_folder import RunFolder
from imgcluster.outputs.write import write_outputs

__all__ = ["RunFolder", "write_outputs"]
