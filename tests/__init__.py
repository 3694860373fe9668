"""The tests of imgcluster; several processes of them share the cores."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent  # of the repository

# Threads of OpenMP that wait give their core to others: otherwise they spin on it, and two processes take a third
# longer. It is read as the libraries are loaded. Benchmarks are run without.
if "pytest" in sys.modules:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
