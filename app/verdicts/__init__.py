"""The sentences and tables of each screen, made from what was found; one module a screen, no Streamlit."""
