"""A simulated caller: protocol clients without I/O, the conversation they hold, and what drives them."""
