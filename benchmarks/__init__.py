from core import memory

memory.tune_malloc()  # as the app does; the peers gain by it as much
