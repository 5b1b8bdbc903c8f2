"""The media path: one 20 ms tick for all calls, and the batched DSP that it drives."""
