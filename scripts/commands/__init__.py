"""The sub-commands of `callboard`, one file per group; each has `register(commands)`."""
