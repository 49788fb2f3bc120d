"""Questions that need more than one run of a recipe: comparison, transfer, patches elsewhere, maps, surfaces."""
