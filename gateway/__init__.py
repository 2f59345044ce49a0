"""Serves licensed files: checks the licence on the chain, keeps the log of receipts, anchors it."""
