"""The actor runtime, the company of a call, the media clock and the providers."""

import os

# Before anything imports numpy: its OpenBLAS starts a thread for each further core at once, which would be forked with
# a worker, and which would spin for the voice detector on cores that belong to other workers.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
