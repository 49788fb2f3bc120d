from core import memory

memory.keep()  # as the app does; the peers gain by it as much
