"""The networks: generators, discriminators and classifiers."""
