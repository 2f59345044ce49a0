"""The production replica in a made-up world: network, disk and clocks that fail by seed. docs/simulator.md."""
