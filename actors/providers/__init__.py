"""One file and one spec per speech or language provider; `spec.py` is the seam."""
