"""The actor runtime, the company of a call, the media clock and the providers."""
