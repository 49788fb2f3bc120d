"""Parts of a page that show or change the recipe: sidebar, forms, run list."""
