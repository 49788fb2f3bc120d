"""What one user has: the recipe, results, loaded classifiers, uploaded images."""
