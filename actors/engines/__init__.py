"""CPU-bound speech engines, each in processes of its own: they hold the GIL (or a whole process's state) while they
work, and the loop must stay free. `frames` is the protocol, `process` and `pool` the loop's side, `child` the other.
"""
