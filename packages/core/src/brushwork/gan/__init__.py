"""Generators that paint: networks, training objectives, evaluation."""
