"""Parts of a page that know nothing of a recipe: image rows, controls, tables, pickers."""
