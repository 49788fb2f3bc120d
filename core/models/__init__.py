"""Classifiers: the contract, the architectures, what ships and what torchvision publishes."""
