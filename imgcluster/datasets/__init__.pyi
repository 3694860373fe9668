from .registry import SAMPLES, write_sample

__all__ = ["SAMPLES", "write_sample"]
