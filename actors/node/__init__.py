"""The control plane: a node's manager, its workers, and how operators look into them."""
