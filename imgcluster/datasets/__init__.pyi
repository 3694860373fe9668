from .registry import write_sample

__all__ = ["write_sample"]
