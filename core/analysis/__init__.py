"""What is asked of a recipe beyond its outcome: comparison, transfer, class maps, patches elsewhere, loss surfaces."""
