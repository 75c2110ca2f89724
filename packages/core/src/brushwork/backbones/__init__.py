"""Networks of timm: create them, fill in pretrained weights, fold their batch norms."""
