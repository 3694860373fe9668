"""Ready-made folders of images with known labels, to try the tool on and to test it with."""

from imgcluster.samples.registry import SAMPLES, write_sample

__all__ = ["SAMPLES", "write_sample"]
