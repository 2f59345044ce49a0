"""The command line: `concento NOUN VERB`. Talks to a node through `concento.client` alone."""
