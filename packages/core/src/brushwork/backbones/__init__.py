"""Networks of timm: create them, load pretrained weights, fold batch norms into convolutions."""
