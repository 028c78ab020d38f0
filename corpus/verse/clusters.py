"""Groups of a weighted graph by the Louvain method.

Blondel et al., "Fast unfolding of communities in large networks", arXiv:0803.0476; the resolution
is that of Reichardt and Bornholdt, arXiv:cond-mat/0603718.
"""

import numpy as np

MAX_SWEEPS = 30


def louvain(weights: np.ndarray, resolution: float = 1.0) -> np.ndarray:
    """The group, from 0, of each node of a graph with symmetric weights (n, n).

    Maximises the modularity Q, the sum over pairs in one group of w_ij - resolution k_i k_j / 2m,
    where k_i is the sum of the weights at node i and 2m the sum of all. A higher resolution gives
    more groups.
    """
    groups = np.arange(len(weights))
    graph = weights.astype(np.float64)
    while True:
        labels, moved = _move_nodes(graph, resolution)
        names, labels = np.unique(labels, return_inverse=True)
        groups = labels[groups]
        if not moved:
            return groups
        member = np.eye(len(names))[labels]  # (nodes, groups)
        graph = member.T @ graph @ member


def _move_nodes(graph: np.ndarray, resolution: float) -> tuple[np.ndarray, bool]:
    """Move each node to the group where it gains most until none does; whether any moved."""
    n = len(graph)
    degrees = graph.sum(1)
    total = degrees.sum()
    labels, sums, moved_ever = np.arange(n), degrees.copy(), False
    for _ in range(MAX_SWEEPS):
        moved = False
        for node in np.flatnonzero(degrees):
            own = labels[node]
            sums[own] -= degrees[node]
            shared = np.bincount(labels, graph[node], n)
            shared[own] -= graph[node, node]
            # Gain of joining a group, up to a factor: w(node, group) - r k_node k_group / 2m.
            gain = shared - resolution * sums * degrees[node] / total
            best = int(gain.argmax())
            if gain[best] <= gain[own] + 1e-9 * total:
                best = own
            sums[best] += degrees[node]
            if best != own:
                labels[node], moved, moved_ever = best, True, True
        if not moved:
            break
    return labels, moved_ever
