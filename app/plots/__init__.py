"""Interactive plots (Plotly); the same figures for paper are in core/figures."""
