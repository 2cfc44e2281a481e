-- wrk's findings as one JSON line, the last of its output; it knows no such option.
done = function(summary, latency)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.status + summary.errors.timeout
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p99_us": %d, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99), failed))
end
