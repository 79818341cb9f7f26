"""Speed and memory of the library, as ratios in one run: `make bench` writes docs/benchmarks.md."""
