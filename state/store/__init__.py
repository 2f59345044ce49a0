"""What a node keeps: the ordered records on disk, the authenticated tree above the state, and the blocks."""
