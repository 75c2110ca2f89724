"""GAN metrics: distances and scores of feature matrices, and the spaces where they are taken."""
