"""Byzantine agreement on block ids: Tendermint as in arXiv 1807.04938, pure. See README.md beside this file."""
