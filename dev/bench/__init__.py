"""Benchmarks as ratios: ours against the peer in one run, interleaved, median and spread; never a timed test."""
