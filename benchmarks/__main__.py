"""All benchmarks, one after the other: `python -m benchmarks`, or `make bench`."""

from benchmarks import attacks, certificates, denoisers, evaluation, explain, filters, pgd

if __name__ == "__main__":
    pgd.main([])
    print()
    attacks.main([])
    print()
    filters.main([])
    print()
    evaluation.main([])
    print()
    explain.main([])
    print()
    denoisers.main([])
    print()
    certificates.main([])
