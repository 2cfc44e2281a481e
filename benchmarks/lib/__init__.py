"""What the benchmarks share: fair rounds, CPU accounting, tables and JSON."""
