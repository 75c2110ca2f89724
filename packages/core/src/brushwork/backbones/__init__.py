"""timm networks: created, filled with pretrained weights, folded."""
