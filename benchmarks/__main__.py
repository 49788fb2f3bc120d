"""Both benchmarks, one after the other: `python -m benchmarks`, or `make bench`."""

from benchmarks import filters, pgd

if __name__ == "__main__":
    pgd.main([])
    print()
    filters.main([])
