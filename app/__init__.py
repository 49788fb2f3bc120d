"""What the screens share: session, sidebar, widgets, plots, running jobs, theme."""
