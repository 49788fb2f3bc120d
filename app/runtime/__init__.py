"""Background jobs and their progress, the turns on the device, the one adapter to the internals of Streamlit."""
