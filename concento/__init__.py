"""The vocabulary of a Concento network: what goes over the wire and what everybody must agree on."""
